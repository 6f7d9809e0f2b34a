"""k-means alone, from the same centroids on the same points: beside scikit-learn and faiss, and beside the machine's own limit.
And how it grows: what a row costs when there are many, and what seeds cost beside iterations."""

import json
import math
import subprocess

import ours as sql
from frame import SHORT, Row, interleave, seconds
from house import CACHE, ROOT

DATA = CACHE / "bench"
# Rows, features, and how many times faster than each peer.
SHAPES = [(1_000_000, 8, 5), (1_000_000, 32, 3), (200_000, 128, 1.2)]
ITERATIONS = 20


class Lloyd:
    """benches/lloyd.rs, built once a run."""

    def __init__(self):
        built = subprocess.run(["cargo", "bench", "--bench", "lloyd", "--no-run", "--message-format=json"], cwd=ROOT, check=True,
                               stdout=subprocess.PIPE, text=True).stdout
        artefacts = [json.loads(line) for line in built.splitlines()]
        self.program = next(one["executable"] for one in artefacts if one.get("executable"))

    def ask(self, *arguments):
        printed = subprocess.run([self.program, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout
        return [float(number) for number in printed.split()]


def shapes(bench):
    """(kind, rows, features, k, bar, points, centroids), the points made once a run."""
    DATA.mkdir(parents=True, exist_ok=True)
    points, centroids = DATA / "points.f32", DATA / "centroids.f32"
    for rows, features, bar in SHAPES:
        for kind in ("mixture", "uniform"):
            for k in (8, 64, 256):
                bench.peer.ask("make_points", kind=kind, rows=rows, features=features, k=k, points=str(points), centroids=str(centroids))
                yield kind, rows, features, k, bar, points, centroids


def compute(bench):
    """So many iterations from the same start on two threads."""
    program = Lloyd()
    one, two, bandwidth = program.ask("peak")
    for kind, rows, features, k, bar, points, centroids in shapes(bench):
        ours, peers = {}, {}

        def ask_ours():
            took, ours["inertia"], ours["iterations"] = program.ask(points, centroids, features, ITERATIONS)
            return took

        def ask(library):
            def measure():
                peers[library] = bench.peer.ask("lloyd", library=library, points=str(points), centroids=str(centroids), features=features, max_iter=ITERATIONS)
                return peers[library]["seconds"]
            return measure

        took = interleave({"ours": ask_ours, **{library: ask(library) for library in ("scikit-learn", "faiss")}}, 3, warm_up=False)
        multiply_adds = rows * k * features * (ours["iterations"] + 1) / took["ours"] / 1e9
        share = f"{multiply_adds / two:.0%} of {two:.0f} G multiply-adds/s"
        for library in ("scikit-learn", "faiss"):
            name = f"{ITERATIONS} iterations, {kind} {rows // 1000} k x {features}, k = {k}"
            yield Row(name, f"{seconds(took['ours'])} ({share})", f"{library} {seconds(took[library])}", took[library] / took["ours"], bar, at_most=False)
            yield Row(f"{name}: inertia", f"{ours['inertia']:.6g}", f"{library} {peers[library]['inertia']:.6g}",
                      ours["inertia"] / peers[library]["inertia"], 1.0005)


def converge(bench):
    """To the same tolerance, from the same start, on two threads."""
    program = Lloyd()
    for kind, rows, features, k, _, points, centroids in shapes(bench):
        if (features, k) != (8, 64):
            continue
        ours = {}

        def ask_ours():
            took, ours["inertia"], ours["iterations"] = program.ask(points, centroids, features, 300, 1e-4)
            return took

        def peer():
            ours["peer"] = bench.peer.ask("lloyd", library="scikit-learn", points=str(points), centroids=str(centroids), features=features, max_iter=300, tol=1e-4)
            return ours["peer"]["seconds"]

        took = interleave({"ours": ask_ours, "peer": peer}, 3, warm_up=False)
        yield Row(f"to tolerance 1e-4, {kind} {rows // 1000} k x {features}, k = {k}, {ours['iterations']:.0f} and {ours['peer']['iterations']} iterations",
                  seconds(took["ours"]), f"scikit-learn {seconds(took['peer'])}", took["peer"] / took["ours"], 8 if kind == "mixture" else 4, at_most=False)


def growth(bench):
    """An iteration of fit_segments, a row: that of a hundred thousand rows beside those of more."""
    sizes = [100_000, 1_000_000] + ([10_000_000] if bench.large else [])
    for size in sizes:
        # The benchmarks' rows, again and again or a part of them: the same distribution whatever the size.
        bench.sql(f"CREATE TABLE IF NOT EXISTS grown_{size} AS SELECT row_number() OVER () AS id, {', '.join(sql.COLUMNS)} "
                  f"FROM mixture, generate_series(1, {math.ceil(size / bench.rows)}) LIMIT {size}")
        bench.sql(f"VACUUM (ANALYZE, FREEZE) grown_{size}")
    bench.sql("SET persona.max_fit_memory = '4GB'")
    for k in (8, 64):
        def an_iteration(size):
            def fitting(iterations):
                model = bench.fresh("growth")
                took = bench.phase("fitting", sql.fit_segments(model, f"grown_{size}", k, iterations=iterations))
                return took, bench.sql(sql.iterations(model)).scalar()

            def measure():
                (few, one), (many, more) = fitting(1), fitting(1 + ITERATIONS)
                return (many - few) / (more - one)
            return measure

        took = interleave({size: an_iteration(size) for size in sizes}, bench.repeats if bench.large else SHORT * bench.repeats)
        nanoseconds = {size: took[size] / size * 1e9 for size in sizes}
        for size in sizes[1:]:
            yield Row(f"an iteration of fit_segments, mixture {size // 1000} k x 8, k = {k}, a row", f"{nanoseconds[size]:.2f} ns",
                      f"100 k rows {nanoseconds[sizes[0]]:.2f} ns", nanoseconds[size] / nanoseconds[sizes[0]], 1.3)
    bench.sql("RESET persona.max_fit_memory")


# Rows of which the fit draws its seeds, how many times, and the iterations that refine each time's: src/algo/segment/start.rs.
SAMPLE, SEEDINGS, REFINING = 65_536, 4, 10


def seeding(bench):
    """What comes before the iterations, beside log2 k of them: a fit of one iteration, less one from centroids that are given."""
    rows, features, k = 1_000_000, 8, 64
    program = Lloyd()
    points, centroids, sample = (DATA / f"{name}.f32" for name in ("points", "centroids", "sample"))
    DATA.mkdir(parents=True, exist_ok=True)
    for kind in ("mixture", "uniform"):
        bench.peer.ask("make_points", kind=kind, rows=rows, features=features, k=k, points=str(points), centroids=str(centroids))
        sample.write_bytes(points.read_bytes()[: 4 * features * SAMPLE])
        took = interleave({
            "seeded": lambda: program.ask("seeded", points, k, features, 1)[0],
            "one": lambda: program.ask(points, centroids, features, 1)[0],
            "many": lambda: program.ask(points, centroids, features, 1 + ITERATIONS)[0],
            "refining": lambda: program.ask(sample, centroids, features, REFINING)[0],
        }, SHORT * bench.repeats)
        start, iteration = took["seeded"] - took["one"], (took["many"] - took["one"]) / ITERATIONS
        for what, spent in ((f"{SEEDINGS} times k-means++", start - SEEDINGS * took["refining"]), ("and each refined on the sample", start)):
            yield Row(f"seeding, {kind} {rows // 1000} k x {features}, k = {k}, over log2 k iterations: {what}", seconds(spent),
                      f"an iteration {seconds(iteration)}", spent / (iteration * math.log2(k)), 2)


BARS = [compute, converge, growth, seeding]
