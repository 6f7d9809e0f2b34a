"""Side by side with peers: `make bench`. Prints a table (what, ours, peer, ratio, bar, met) and writes benches/RESULTS.md.

Each bar is one function below, named after what it measures. Data: a million rows of eight float8, an overlapping Gaussian
mixture of 64 with log-normal tails, and uniform noise.
"""

import argparse
import base64
import json
import re
import subprocess
import sys
import time
import traceback
import zipfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / name) for name in ("benches", "scripts", "tests")]

import build
import describe
import frame
import house
import one_row
import ours
import segment
import setup
import shapes
import standardise
import stored_values
import windows
from frame import SHORT, Row, interleave, seconds
from house import CACHE, ROOT, say
from lib.cluster import Cluster
from ours import COLUMNS

# No table takes a quarter of the buffers: beyond that a scan reads through the kernel again and again, on cores that are measured.
SETTINGS = {"shared_buffers": "'3GB'", "work_mem": "'64MB'", "max_wal_size": "'8GB'", "autovacuum": "off",
            "max_parallel_workers_per_gather": "0"}
DATA = CACHE / "bench"


class Peer:
    """benches/peers.py, asked over its standard input."""

    def __init__(self, psql):
        self.psql = psql
        self.process = subprocess.Popen([str(house.venv("bench")), str(ROOT / "benches" / "peers.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, start_new_session=True)

    def ask(self, do, **request):
        self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peers' process ended at {do}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{do}: {answer['error']}")
        return answer["ok"]

    def close(self):
        self.process.stdin.close()
        house.end_group(self.process)


def peer_script(name):
    """A script of tests/quality, asked in the venv of the benchmarks."""
    def ask(*arguments):
        command = [house.venv("bench"), ROOT / "tests" / "quality" / f"{name}.py", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout

    DATA.mkdir(parents=True, exist_ok=True)
    return ask, DATA / f"{name}.csv", DATA / f"{name}.json"


class Bench:
    def __init__(self, cluster, peer, rows, repeats, large=False):
        self.cluster, self.peer, self.rows, self.repeats, self.large = cluster, peer, rows, repeats, large
        self.psql = cluster.psql_command("bench")
        self.made = 0
        self.connection = None
        self.fresh_session()

    def fresh_session(self):
        """For each bar: what earlier ones left of a session's memory makes a window over all rows 13 % faster."""
        if self.connection:
            self.connection.close()
        self.connection = self.cluster.connect("bench", timeout=1200)
        self.sql("SET search_path = public")

    def sql(self, text):
        return self.connection.query(text)

    def timed(self, text):
        began = time.perf_counter()
        self.sql(text)
        return time.perf_counter() - began

    def phase(self, name, text):
        """Seconds that a phase of a fit takes, as it logs it at debug1."""
        self.connection.notices.clear()
        self.sql(f"SET client_min_messages = debug1; {text}; RESET client_min_messages")
        found = [re.search(rf"{name} took ([0-9.]+) ms", notice["M"]) for notice in self.connection.notices]
        return float(next(one for one in found if one).group(1)) / 1000

    def fresh(self, name):
        """A name that no model or table has yet."""
        self.made += 1
        return f"{name}_{self.made}"

    def aggregate(self, expression, table="mixture"):
        return lambda: self.sql(f"SELECT {expression} FROM {table}") and None


def sums(function):
    return ", ".join(f"{function}({column})" for column in COLUMNS)


def ingest(bench):
    """The phase `reading` of a fit: what ingest takes, without the fit."""
    def reading():
        return bench.phase("reading", ours.fit_segments(bench.fresh("ingest"), "mixture", 1, iterations=1))

    took = interleave({"ours": reading, "peer": bench.aggregate(sums("sum"))}, SHORT * bench.repeats)
    yield Row("ingest 1 M x 8", seconds(took["ours"]), f"sum of eight columns {seconds(took['peer'])}", took["ours"] / took["peer"], 1.2)


def segments(bench):
    """Table to centroids, and with the labels written into a table. Ours runs to its own end; the peer is held to as many
    iterations."""
    for table in ("mixture", "uniform"):
        for k, bar, bar_with_labels in ((8, 8, 3), (64, 12, 6)):
            model = f"bench_{table}_{k}"
            bench.sql(ours.fit_segments(model, table, k))
            iterations = bench.sql(ours.iterations(model)).scalar()

            def peer(**more):
                return bench.peer.ask("kmeans", psql=bench.psql, table=table, k=k, seed=1, max_iter=iterations, **more)["seconds"]

            def ours_with_labels():
                # Models of their own each time: a table that a model publishes into may not be dropped under it.
                return bench.timed(ours.fit_segments(bench.fresh(model), table, k, save_to=bench.fresh("labels")))

            def peer_with_labels():
                bench.sql("DROP TABLE IF EXISTS peer_labels; CREATE TABLE peer_labels (id bigint PRIMARY KEY, segment integer)")
                return peer(labels_into="peer_labels")

            took = interleave({
                "ours": lambda: bench.timed(ours.fit_segments(bench.fresh(model), table, k)),
                "peer": peer,
                "ours, labels": ours_with_labels,
                "peer, labels": peer_with_labels,
            }, min(bench.repeats, 3), warm_up=False)
            name = f"fit_segments, {table}, k = {k}, {iterations} iterations"
            yield Row(name, seconds(took["ours"]), f"COPY, pandas, scikit-learn {seconds(took['peer'])}", took["peer"] / took["ours"], bar, at_most=False)
            yield Row(f"{name}, labels into a table", seconds(took["ours, labels"]), f"and COPY back {seconds(took['peer, labels'])}",
                      took["peer, labels"] / took["ours, labels"], bar_with_labels, at_most=False)


def inertia(bench):
    """Mean over five seeds, one start and at most 100 iterations on both sides, the peer's to full convergence; our
    centroids are judged by numpy over the same points."""
    for k in (8, 64):
        ours_found, peers = [], []
        for seed in range(5):
            model = bench.fresh("inertia")
            bench.sql(ours.fit_segments(model, "mixture", k, seed=seed))
            centroids = centroids_of(bench, model)
            ours_found.append(bench.peer.ask("inertia", psql=bench.psql, table="mixture", centroids=centroids)["inertia"])
            peers.append(bench.peer.ask("kmeans", psql=bench.psql, table="mixture", k=k, seed=seed, max_iter=100)["inertia"])
        mean_ours, mean_peer = sum(ours_found) / 5, sum(peers) / 5
        yield Row(f"inertia, mixture, k = {k}, mean of five seeds", f"{mean_ours:.6g}", f"scikit-learn {mean_peer:.6g}", mean_ours / mean_peer, 1.005)


def centroids_of(bench, model, features=COLUMNS):
    """The model's centroids in original units, in the order of the features."""
    by_segment = {}
    for segment, feature, value in bench.sql(ours.centroids(model)).rows:
        by_segment.setdefault(segment, {})[feature] = value
    return [[values[feature] for feature in features] for _, values in sorted(by_segment.items())]


def imported_scores(bench):
    models = bench.peer.ask("export_models", psql=bench.psql, table="mixture")
    for name, payload in models.items():
        bench.sql(ours.import_onnx(f"bench_{name}", base64.b64decode(payload)))
        took = interleave({
            "ours": lambda: bench.sql(f"SELECT sum(s) FROM (SELECT persona.score_batch('bench_{name}', v) OVER () AS s FROM mixture v) AS q") and None,
            "window": lambda: bench.sql("SELECT sum(s) FROM (SELECT avg(a) OVER () AS s FROM mixture v) AS q") and None,
            "python": lambda: bench.peer.ask("onnx", psql=bench.psql, table="mixture", name=name)["seconds"],
        }, bench.repeats)
        peer = took["window"] + took["python"]
        mean = bench.sql(f"SELECT avg(s) FROM (SELECT persona.score_batch('bench_{name}', v) OVER () AS s FROM mixture v) AS q").scalar()
        theirs = bench.peer.ask("onnx", psql=bench.psql, table="mixture", name=name)["mean"]
        if abs(mean - theirs) > 1e-5:
            raise RuntimeError(f"the scores of {name} differ: {mean} and {theirs}")
        yield Row(f"score_batch of an imported model ({name}), 1 M rows", seconds(took["ours"]),
                  f"ONNX Runtime {seconds(took['python'])} + avg OVER () {seconds(took['window'])}", took["ours"] / peer, 1.5)


def per_row(bench, name, expression, bar):
    """µs a row of a function over one that only takes the row: num_nulls is handed the same composite value."""
    took = interleave({
        "ours": bench.aggregate(f"sum({expression})", "mixture AS v"),
        "peer": bench.aggregate("sum(num_nulls(v))", "mixture AS v"),
    }, bench.repeats)
    micros = (took["ours"] - took["peer"]) / bench.rows * 1e6
    return Row(f"{name}, µs a row over num_nulls(row)", seconds(took["ours"]), f"num_nulls {seconds(took['peer'])}", micros, bar)


def native_score(bench):
    bench.sql(ours.fit_logistic("native", f"SELECT {', '.join(COLUMNS)}, converted FROM mixture", "converted"))
    yield per_row(bench, "native logistic score", "persona.score('native', v)", 0.5)


def label_rows(bench):
    bench.sql(ours.fit_segments("labelling", "mixture", 8))
    yield per_row(bench, "segment of a named model, k = 8", "persona.segment('labelling', v)", 0.4)


# nDCG, precision and recall at ten on MovieLens-100K; of user_knn those of the same formula in numpy, whose pages are the same.
MOVIELENS = {"item_knn": (0.4308, 0.3799, 0.1998), "user_knn": (0.4323, 0.3755, 0.2029), "popular": (0.2518, 0.2284, 0.1145)}


def movielens(bench):
    inter = DATA / "ml-100k.inter"
    if not inter.exists():
        with zipfile.ZipFile(house.wheel("recbole")) as wheel:
            inter.write_bytes(wheel.read("recbole/dataset_example/ml-100k/ml-100k.inter"))
    figures = {name: [] for name in MOVIELENS}
    fits = {name: [] for name in MOVIELENS}
    for seed in range(5):
        train, test, listed = (DATA / f"ml-{name}.csv" for name in ("train", "test", "recommended"))
        bench.peer.ask("movielens_split", path=str(inter), train=str(train), test=str(test), seed=seed)
        bench.sql("DROP TABLE IF EXISTS ratings; CREATE TABLE ratings (user_id bigint, item_id bigint, rating float8, at float8)")
        bench.connection.copy_in("COPY ratings FROM STDIN (FORMAT csv, HEADER)", train.read_bytes())
        bench.sql("ANALYZE ratings")
        for algorithm in MOVIELENS:
            model = bench.fresh(f"ml_{algorithm}")
            fits[algorithm].append(bench.timed(ours.fit_recommender(model, "SELECT user_id, item_id FROM ratings", algorithm)))
            rows = bench.sql(ours.recommend_all(model, 10)).rows
            listed.write_text("user_id,item_id,rank\n" + "".join(f"{user},{item},{rank}\n" for user, item, rank in rows))
            found = bench.peer.ask("ranking", recommended=str(listed), test=str(test), n=10)
            figures[algorithm].append([found["ndcg"], found["precision"], found["recall"]])
    for algorithm, wanted in MOVIELENS.items():
        means = [sum(column) / 5 for column in zip(*figures[algorithm])]
        worst = max(abs(mean - goal) for mean, goal in zip(means, wanted))
        shown = "/".join(f"{mean:.4f}" for mean in means)
        yield Row(f"{algorithm}, MovieLens-100K: nDCG/precision/recall@10, largest difference", shown, "/".join(map(str, wanted)), worst, 0.006)
        slowest = max(fits[algorithm])
        yield Row(f"{algorithm}, MovieLens-100K: seconds to fit", seconds(slowest), "", slowest, 1.0)


BARS = [ingest, *standardise.BARS, *windows.BARS, *describe.BARS, *segment.BARS, *shapes.BARS, *one_row.BARS, *stored_values.BARS, segments, inertia, imported_scores, native_score, label_rows, movielens]


def make_tables(bench):
    DATA.mkdir(parents=True, exist_ok=True)
    for kind in ("mixture", "uniform"):
        path = DATA / f"{kind}-{bench.rows}.csv"
        if not path.exists():
            say(f"making {path.name}")
            bench.peer.ask("make_data", path=str(path), kind=kind, rows=bench.rows)
        columns = ", ".join(f"{column} float8" for column in COLUMNS)
        script = (f"CREATE TABLE {kind} (id bigint, {columns}, converted integer);\n"
                  f"\\copy {kind} FROM '{path}' (FORMAT csv, HEADER)\n"
                  f"ALTER TABLE {kind} ADD PRIMARY KEY (id);\nVACUUM (ANALYZE, FREEZE) {kind};\n")
        house.run_with_input([*bench.psql, "-q", "-v", "ON_ERROR_STOP=1"], script, timeout=600)
    bench.sql("CHECKPOINT")


def body():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=[bar.__name__ for bar in BARS])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="also ten million rows, which take minutes")
    parser.add_argument("--no-build", action="store_true")
    arguments = parser.parse_args()
    setup.setup(("18",))
    if not arguments.no_build:
        build.build([house.pg_config("18")])
        build.install(house.pg_config("18"))
    cluster = Cluster("18", SETTINGS).start()
    cluster.create_database("bench")
    peer = Peer(cluster.psql_command("bench"))
    rows, failures = [], []
    try:
        bench = Bench(cluster, peer, arguments.rows, arguments.repeats, arguments.large)
        make_tables(bench)
        for bar in BARS:
            if arguments.only and bar.__name__ not in arguments.only:
                continue
            say(f"measuring {bar.__name__}")
            bench.fresh_session()
            try:
                for row in bar(bench):
                    rows.append(row)
                    print("  " + "  ".join(row.cells()), flush=True)
            except Exception as cause:
                failures.append((bar.__name__, str(cause).splitlines()[0]))
                traceback.print_exc()
    finally:
        peer.close()
        cluster.remove()
    print("\n" + frame.table(rows) + "\n")
    for name, why in failures:
        print(f"not measured: {name}: {why}")
    if not arguments.only and arguments.rows == 1_000_000:
        frame.write_results(ROOT / "benches" / "RESULTS.md", rows, failures, "PostgreSQL 18", arguments.repeats)
        say("written to benches/RESULTS.md")
    return 0 if rows and not failures and all(row.met for row in rows) else 1


if __name__ == "__main__":
    house.main(body)
