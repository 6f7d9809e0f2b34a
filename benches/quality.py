"""Models' quality against published or independently computed figures: `make quality`."""

import argparse
import json
import sys
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / name) for name in ("benches", "scripts", "tests", "demo")]

import build
import frame
import house
import run
import segment_quality
import setup
from frame import Row
from house import say
from lib.cluster import Cluster

# Of each data set, what a scaler may differ by; of more than 1,280 distinct values quantiles come from a sketch. A column that is
# continuous tells of those: quantiles of repeated values depend on rounding.
EXACT = {"standard": 1e-12, "minmax": 1e-12, "maxabs": 1e-12}
SKETCHED = {"robust": 0.02, "uniform": 0.005}
SCALED = {
    "iris": (EXACT | {"robust": 1e-12, "uniform": 1e-12, "normal": 1e-9, "yeo_johnson": 1e-6}, None),
    "digits": (EXACT, None),
    "adult": (EXACT | SKETCHED, 1),
    "shoppers": (EXACT | SKETCHED, 5),
}
SCALERS = {
    "standard": "standard_scaler(s)", "minmax": "minmax_scaler(s, low => -1, high => 1)", "maxabs": "maxabs_scaler(s)", "robust": "robust_scaler(q)",
    "uniform": "quantile_scaler(q)", "normal": "quantile_scaler(q, 'normal')", "yeo_johnson": "yeo_johnson_scaler(q)",
}


def scale(bench):
    """Scalers against scikit-learn's, by tests/quality/scale.py: the largest difference of any cell."""
    peer, data, answers = run.peer_script("scale")
    for name, (bars, continuous) in SCALED.items():
        columns = json.loads(peer("data", name, data))
        if not columns:
            say(f"{name} is not at hand")
            continue
        bench.sql(f"CREATE TABLE scaled_{name} (id bigint, {', '.join(f'{column} float8' for column in columns)})")
        bench.connection.copy_in(f"COPY scaled_{name} FROM STDIN (FORMAT csv, HEADER)", data.read_bytes())
        found = {}
        for scaler in bars:
            places = [continuous] if scaler in SKETCHED and continuous is not None else list(range(len(columns)))
            features = f"ARRAY[{', '.join(columns[place] for place in places)}]"
            fitted = f"(SELECT persona.feature_stats({features}) AS s, persona.feature_quantiles({features}) AS q FROM scaled_{name}) AS f"
            scaled = f"persona.scale((SELECT persona.{SCALERS[scaler]} FROM {fitted}), {features})"
            rows = json.loads(bench.sql(f"SELECT json_agg({scaled} ORDER BY id)::text FROM scaled_{name}").scalar())
            found[scaler] = {"columns": places, "rows": rows}
        answers.write_text(json.dumps(found))
        for scaler, difference in json.loads(peer("compare", data, answers)):
            yield Row(f"{scaler} scaler, {name}: largest difference to scikit-learn", f"{difference:.2g}", "", difference, bars[scaler])


def tables(bench):
    """describe and quantiles beside pandas, by tests/quality/tables.py: the largest relative difference of any column."""
    peer, data, answers = run.peer_script("tables")
    names, quantiles, _, _ = json.loads(peer("names"))
    for name in [*names, "odd"]:
        columns = json.loads(peer("data", name, data))
        bench.sql(f"CREATE TABLE told_{name} (id bigint, {', '.join(f'{column} float8' for column in columns)})")
        bench.connection.copy_in(f"COPY told_{name} FROM STDIN (FORMAT csv, HEADER)", data.read_bytes())
        all_of_them = f"ARRAY[{', '.join(f'persona.quantile(q, {q})' for q in quantiles)}]"
        described = bench.sql(f"SELECT json_agg(d)::text FROM persona.describe('SELECT {', '.join(columns)} FROM told_{name}') AS d").scalar()
        asked = bench.sql(f"SELECT array_to_json({all_of_them})::text FROM (SELECT persona.feature_quantiles(ARRAY[{', '.join(columns)}]) AS q FROM told_{name}) AS f").scalar()
        by_column = [list(one) for one in zip(*json.loads(asked))]
        answers.write_text(json.dumps({"describe": json.loads(described), "quantiles": by_column}))
        found = json.loads(peer("compare", name, data, answers))
        what, worst = max(found, key=lambda one: one[1])
        yield Row(f"describe and quantiles of {name}: largest difference to pandas ({what})", f"{worst:.2g}", "", worst, 1e-9)


REFUNDS = ("count", "ignore", "net")


def customers(bench):
    """The figures of rfm beside pandas, in four time zones and with three meanings of a refund."""
    peer, data, answers = run.peer_script("tables")
    zones, as_of = json.loads(peer("names"))[2:]
    peer("data", "purchases", data)
    bench.sql("CREATE TABLE purchases (id bigint, customer bigint, at timestamp, amount float8)")
    bench.connection.copy_in("COPY purchases FROM STDIN (FORMAT csv, HEADER)", data.read_bytes())
    ours = {}
    for zone in zones:
        for refunds in REFUNDS:
            exact = ", ".join(f"persona.{figure}(r, '{as_of}'::timestamptz, refunds => '{refunds}') AS {figure}" for figure in
                              ("recency", "customer_age", "purchase_span", "frequency", "monetary", "mean_amount", "repeat_days", "repeat_amount"))
            text = bench.sql(f"""SELECT json_agg(f ORDER BY customer)::text FROM (
                SELECT customer, {exact}, persona.recency(r, '{as_of}'::timestamptz, 'day', '{refunds}') AS recency_days FROM (
                    SELECT customer, persona.rfm(at AT TIME ZONE 'UTC', amount, '{zone}') AS r FROM purchases GROUP BY customer) AS p) AS f""").scalar()
            ours[f"{zone}|{refunds}"] = json.loads(text)
    answers.write_text(json.dumps(ours))
    found = json.loads(peer("compare", "purchases", data, answers))
    for refunds in REFUNDS:
        what, worst = max((one for one in found if one[0].endswith(refunds)), key=lambda one: one[1])
        yield Row(f"rfm, refunds => '{refunds}': largest difference to pandas ({what})", f"{worst:.2g}", "", worst, 1e-9)


def encode(bench):
    """Encodings against scikit-learn's, by tests/quality/encode.py: the largest difference of any row."""
    peer, data, answers = run.peer_script("encode")
    peer("data", data)
    bench.sql("CREATE TABLE pixels (id bigint, category text, f10 float8, f11 float8, f12 float8, f13 float8, digit float8, is_even float8)")
    bench.connection.copy_in("COPY pixels FROM STDIN (FORMAT csv, HEADER)", data.read_bytes())
    # The rows, and one whose category is not among them.
    rows = "(SELECT id, category FROM pixels UNION ALL SELECT 9999, 'none such') AS p"
    fitted = "(SELECT persona.categories(category) AS c, persona.categories(category, 5) AS d FROM pixels) AS fitted"
    ours = {}

    def ask(name, expression, source):
        text = bench.sql(f"SELECT json_agg({expression} ORDER BY id)::text FROM {source}").scalar()
        ours[name] = json.loads(text)

    ask("names", "persona.category_names(c)", f"{fitted}, (VALUES (1)) AS v (id)")
    ask("capped_names", "persona.category_names(d)", f"{fitted}, (VALUES (1)) AS v (id)")
    ours["names"], ours["capped_names"] = ours["names"][0], ours["capped_names"][0]
    for name, expression in (("one_hot", "persona.one_hot(c, category)"), ("ordinal", "persona.ordinal(c, category)"), ("capped", "persona.one_hot(d, category)")):
        ask(name, expression, f"{rows}, {fitted}")
    for target in ("digit", "is_even"):
        for name, options in (("auto", "{}"), ("rows", '{"smoothing": 10}')):
            ask(f"{target}_{name}", "persona.encode_target(e, category)",
                f"{rows}, (SELECT persona.target_encoder(category, {target}, id::text, '{options}') AS e FROM pixels) AS fitted")
    ask("folds", "persona.fold(id, 5)", "pixels")
    ask("out_of_fold", "persona.encode_target(e, category, id::text)", "pixels, (SELECT persona.target_encoder(category, digit, id::text) AS e FROM pixels) AS fitted")
    for function in ("polynomial", "interactions"):
        ask(function, f"persona.{function}(ARRAY[f10, f11, f12, f13])", "pixels")
    answers.write_text(json.dumps(ours))
    for what, difference in json.loads(peer("compare", data, answers)):
        yield Row(f"{what}: largest difference to scikit-learn", f"{difference:.2g}", "", difference, 1e-9)


def holdout(bench):
    """Figures of fit_scorer against scikit-learn's of holdout_scores, by tests/quality/holdout.py: the largest difference."""
    peer, data, answers = run.peer_script("holdout")
    for name in ("breast_cancer", "digits", "wine"):
        columns = json.loads(peer("data", name, data))
        bench.sql(f"CREATE TABLE held_{name} ({', '.join(f'{column} float8' for column in columns)}, y boolean)")
        bench.connection.copy_in(f"COPY held_{name} FROM STDIN (FORMAT csv, HEADER)", data.read_bytes())
        figures = bench.sql(f"SELECT row_to_json(f)::text FROM persona.fit_scorer('held_{name}', 'held_{name}', 'y', holdout => 0.4) AS f").scalar()
        kept = bench.sql(f"SELECT json_build_object('label', json_agg(label), 'score', json_agg(score))::text FROM persona.holdout_scores('held_{name}')").scalar()
        answers.write_text(json.dumps(json.loads(figures) | json.loads(kept)))
        for figure, difference in json.loads(peer("compare", data, answers)):
            yield Row(f"{figure} of held-out rows, {name}: difference to scikit-learn", f"{difference:.2g}", "", difference, 1e-9)


def naive_bayes(bench):
    """Scores by naive Bayes against scikit-learn's, by tests/quality/naive_bayes.py: the largest difference of any row."""
    peer, data, answers = run.peer_script("naive_bayes")
    for name in ("breast_cancer", "digits", "wine"):
        columns = json.loads(peer("data", name, data))
        bench.sql(f"CREATE TABLE bayes_{name} (id bigint, c text, {', '.join(f'{column} float8' for column in columns)}, y boolean)")
        bench.connection.copy_in(f"COPY bayes_{name} FROM STDIN (FORMAT csv, HEADER)", data.read_bytes())
        bench.sql(f"SELECT FROM persona.fit_scorer('bayes_{name}', 'bayes_{name}', 'y', algorithm => 'naive_bayes', key => 'id', holdout => 0)")
        answers.write_text(bench.sql(f"SELECT json_agg(persona.score('bayes_{name}', t) ORDER BY id)::text FROM bayes_{name} AS t").scalar())
        difference = json.loads(peer("compare", data, answers))
        yield Row(f"naive_bayes, {name}: largest difference of a score to scikit-learn", f"{difference:.2g}", "", difference, 1e-6)


# Of each learner with its defaults, the least or the most that a figure may be, by scikit-learn on rows that were held out.
SCORERS = {
    ("adult", "logistic"): {"AUC": 0.905}, ("adult", "boosted_trees"): {"AUC": 0.9285, "log-loss": 0.2745},
    ("shoppers", "logistic"): {"AUC": 0.894}, ("shoppers", "boosted_trees"): {"AUC": 0.932, "average precision": 0.75},
}


def scorers(bench):
    """Scorers by their defaults, by tests/quality/scorers.py, on rows that they have not seen."""
    for (name, learner), bars in SCORERS.items():
        found = scored(bench, name, learner)
        for figure, bar in bars.items() if found else ():
            yield Row(f"{learner}, {name}: {figure} of rows held out", f"{found[figure]:.4f}", "", found[figure], bar, at_most=figure == "log-loss")
    for learner in ("logistic", "naive_bayes"):
        with_it, without = (scored(bench, "adult_gaps", learner, f'{{"missing_indicator": {flag}}}') for flag in ("true", "false"))
        if with_it:
            gain = with_it["AUC"] - without["AUC"]
            yield Row(f"{learner}, adult with gaps: AUC that missing_indicator gains", f"{with_it['AUC']:.4f}", f"{without['AUC']:.4f}", gain, 0.001, at_most=False)


def scored(bench, name, learner, parameters="{}"):
    """The figures of the folds' held-out rows by scikit-learn, None where the data are not at hand."""
    peer, data, answers = run.peer_script("scorers")
    columns = json.loads(peer("data", name, data))
    if not columns:
        say(f"{name} is not at hand")
        return None
    table = f"scored_{name}"
    declared = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    bench.sql(f"DROP TABLE IF EXISTS {table}")
    bench.sql(f"CREATE TABLE {table} ({declared}, y boolean, fold integer)")
    bench.connection.copy_in(f"COPY {table} FROM STDIN (FORMAT csv, HEADER)", data.read_bytes())
    features, folds = ", ".join(f'"{column}"' for column in columns), []
    for fold in json.loads(bench.sql(f"SELECT json_agg(DISTINCT fold) FILTER (WHERE fold > 0)::text FROM {table}").scalar()):
        rows = f"SELECT t.*, fold = {fold} AS held_out FROM {table} AS t"
        bench.sql(f"SELECT FROM persona.fit_scorer('{table}', '{rows}', 'y', '{learner}', '{parameters}', features => '{{{features}}}', holdout_column => 'held_out')")
        kept = bench.sql(f"SELECT json_build_object('label', json_agg(label), 'score', json_agg(score))::text FROM persona.holdout_scores('{table}')").scalar()
        folds.append(json.loads(kept))
    answers.write_text(json.dumps(folds))
    return json.loads(peer("compare", data, answers))


TASKS = [*segment_quality.TASKS, scale, encode, tables, customers, holdout, naive_bayes, scorers, run.movielens]


def body():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=[task.__name__ for task in TASKS])
    parser.add_argument("--no-build", action="store_true")
    arguments = parser.parse_args()
    setup.setup(("18",))
    if not arguments.no_build:
        build.build([house.pg_config("18")])
        build.install(house.pg_config("18"))
    cluster = Cluster("18", run.SETTINGS).start()
    cluster.create_database("bench")
    peer = run.Peer(cluster.psql_command("bench"))
    rows, failed = [], []
    try:
        bench = run.Bench(cluster, peer, 0, 1)
        for task in TASKS:
            if arguments.only and task.__name__ not in arguments.only:
                continue
            say(f"measuring {task.__name__}")
            try:
                rows += task(bench)
            except Exception:
                failed.append(task.__name__)
                traceback.print_exc()
    finally:
        peer.close()
        cluster.remove()
    print("\n" + frame.table(rows) + "\n")
    if failed:
        print(f"not measured: {', '.join(failed)}")
    return 0 if rows and not failed and all(row.met for row in rows) else 1


if __name__ == "__main__":
    house.main(body)
