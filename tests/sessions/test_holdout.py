"""Holdout figures are of the model that is used, anybody who may read it can check them, and what it has learnt from is told apart."""

import math

ROWS = """
    CREATE TABLE {table} AS
    SELECT i AS id, 'name ' || i AS name, sin(i) * 3 AS x, (ARRAY['a', 'b', NULL])[1 + i % 3] AS c, sin(i) + cos(i * 7.3) * 2 > 0.2 AS y, i % 4 = 0 AS late
    FROM generate_series({first}, {last}) AS i"""
METRICS = ("roc_auc", "average_precision", "log_loss", "brier", "accuracy", "base_rate")


def fit(connection, model, more="", source="SELECT x, c, y FROM seen"):
    (found,) = connection.query(f"SELECT * FROM persona.fit_scorer('{model}', $$ {source} $$, 'y'{more})").dicts()
    return found


def figures(pairs):
    """What scikit-learn's metrics give, by their definitions."""
    n, positives = len(pairs), [score for label, score in pairs if label]
    negatives = [score for label, score in pairs if not label]
    wins = sum((one > other) + (one == other) / 2 for one in positives for other in negatives)
    precision, hits, seen = 0.0, 0, 0
    for score in sorted({score for _, score in pairs}, reverse=True):
        found = [label for label, other in pairs if other == score]
        hits, seen = hits + sum(found), seen + len(found)
        precision += sum(found) * hits / seen
    return {"roc_auc": wins / (len(positives) * len(negatives)), "average_precision": precision / len(positives),
            "log_loss": -sum(math.log(score if label else 1 - score) for label, score in pairs) / n,
            "brier": sum((score - label) ** 2 for label, score in pairs) / n,
            "accuracy": sum((score > 0.5) == label for label, score in pairs) / n, "base_rate": len(positives) / n}


def near(found, expected, what=""):
    for name in METRICS:
        assert abs(float(found[name]) - expected[name]) < 1e-9, f"{what} {name}: {found[name]}, not {expected[name]}"


def test_the_figures_are_those_of_the_scores_that_are_kept(cluster):
    with cluster.connect() as connection:
        connection.query(ROWS.format(table="seen", first=1, last=2000))
        for number, more in enumerate(["", ", holdout_column => 'late', features => '{x,c}'", ", positive => 'false'", ", refit_on_all => true", ", holdout => 0.5, seed => 9"]):
            source = "SELECT * FROM seen" if "late" in more else "SELECT x, c, y FROM seen"
            result = fit(connection, "m", more, source)
            pairs = connection.rows("SELECT label, score FROM persona.holdout_scores('m')")
            assert len(pairs) == result["n_holdout"] and result["n_rows"] == 2000 == result["n_train"] + result["n_holdout"], result
            assert result["refit_on_all"] == ("refit" in more)
            near(result, figures(pairs), more)
            metrics = connection.query("SELECT " + ", ".join(f"(metrics ->> '{name}')::float8 AS {name}" for name in METRICS) + ", metrics -> 'refit_on_all' AS r FROM persona.models").dicts()[0]
            near(metrics, figures(pairs), more)
            # Of each version its own.
            assert connection.rows(f"SELECT label, score FROM persona.holdout_scores('m', {number + 1})") == pairs
            # The same rows are held out where another model is fitted of all rows.
            assert number == 0 or "refit" in more or connection.rows("SELECT label, score FROM persona.holdout_scores('m', 1)") != pairs
        error = connection.error("SELECT * FROM persona.holdout_scores('m', 99)")
        assert error.sqlstate == "42704", error
        fit(connection, "m", ", holdout => 0")
        assert connection.error("SELECT * FROM persona.holdout_scores('m')").sqlstate == "55000"
        connection.query("SELECT FROM persona.import_onnx('i', persona.export_onnx('m'))")
        assert connection.error("SELECT * FROM persona.holdout_scores('i')").sqlstate == "55000"


def test_the_model_that_is_used_is_the_one_that_was_measured(cluster):
    with cluster.connect() as connection:
        connection.query(ROWS.format(table="seen", first=1, last=2000))
        # A level of its own for each row: nothing is to be learnt, whatever a model says of rows that it has seen.
        for features in ("{name}", "{name,x}"):
            for more, is_honest in (("", True), (", refit_on_all => true", False)):
                result = fit(connection, "m", f", features => '{features}', holdout_column => 'late', parameters => '{{\"max_categories\": 1000, \"l2\": 0.01}}'{more}", "SELECT name, x, y, late FROM seen WHERE id <= 900")
                later = connection.scalar("SELECT roc_auc FROM persona.evaluate('m', 'SELECT * FROM seen WHERE id <= 900 AND late', 'y')")
                assert (abs(later - result["roc_auc"]) < 1e-12) == is_honest, f"{features} {more}: held out {result['roc_auc']}, evaluated {later}"
        # A refit keeps what the fit was asked for.
        before = connection.rows("SELECT persona.score('m', s) FROM seen s ORDER BY id")
        assert connection.scalar("SELECT persona.refit('m')") == 5
        assert connection.rows("SELECT persona.score('m', s) FROM seen s ORDER BY id") == before
        assert connection.scalar("SELECT parameters ->> 'refit_on_all' FROM persona.model_versions WHERE model = 'm' AND is_active") == "true"
        assert connection.scalar("SELECT count(*) FROM persona.holdout_scores('m', 5)") == 225


def told(connection, source, model="m"):
    """What evaluate warns of, as a share."""
    connection.notices.clear()
    connection.query(f"SELECT * FROM persona.evaluate('{model}', $${source}$$, 'y')")
    found = [notice["M"] for notice in connection.notices if "were in the fit" in notice["M"]]
    return int(found[0].split("about ")[1].split(" %")[0]) if found else None


def test_rows_of_the_fit_are_told(cluster):
    with cluster.connect() as connection:
        connection.query(ROWS.format(table="seen", first=1, last=2000) + ";" + ROWS.format(table="fresh", first=2001, last=4000))
        for more, share in ((", holdout_column => 'late', features => '{x,c}'", 75), (", holdout => 0", 100), (", refit_on_all => true", 100)):
            fit(connection, "m", more, "SELECT * FROM seen" if "late" in more else "SELECT x, c, y FROM seen")
            assert told(connection, "SELECT * FROM seen") == share, more
            assert told(connection, "SELECT * FROM fresh") is None
            assert told(connection, "SELECT x::float8, c::varchar AS c, y::int = 1 AS y, 7 AS other FROM seen WHERE NOT late LIMIT 50") == 100
            assert told(connection, "SELECT * FROM (SELECT * FROM seen WHERE NOT late LIMIT 100) UNION ALL SELECT * FROM fresh".replace("LIMIT 100)", "LIMIT 100) AS s")) == 5
        fit(connection, "m", ", holdout_column => 'late', features => '{x,c}'", "SELECT * FROM seen")
        assert told(connection, "SELECT * FROM seen WHERE late") is None
        # Rows of which every content comes again are no rows of the fit.
        fit(connection, "few", "", "SELECT c, round(x) AS x, y FROM seen")
        assert told(connection, "SELECT c, round(x) AS x, y FROM fresh", "few") is None
        # Whether a row was in the fit is for those alone who may read the model.
        connection.query("CREATE ROLE asking LOGIN; GRANT SELECT ON seen TO asking; SELECT persona.grant_model('m', 'asking')")
        with cluster.connect(user="asking") as asking:
            assert told(asking, "SELECT * FROM seen") is None
            assert asking.error("SELECT * FROM persona.holdout_scores('m')").sqlstate == "42501"
            connection.query("SELECT persona.grant_model('m', 'asking', 'read')")
            assert told(asking, "SELECT * FROM seen") == 75
            assert asking.scalar("SELECT count(*) FROM persona.holdout_scores('m')") == 500


def test_at_most_100000_scores_are_kept_and_go_with_their_version(cluster):
    with cluster.connect() as connection:
        connection.query("CREATE TABLE many AS SELECT sin(i) AS x, sin(i) + sin(i * 3.7) > 0 AS y FROM generate_series(1, 220000) AS i")
        (result,) = connection.query("SELECT * FROM persona.fit_scorer('m', 'many', 'y', holdout => 0.6)").dicts()
        found = connection.rows("SELECT count(*), persona.roc_auc(label, score), count(*) FILTER (WHERE label) / 100000.0 FROM persona.holdout_scores('m')")[0]
        assert result["n_holdout"] == 132000 and found[0] == 100000
        # A sample of those that were measured.
        assert abs(found[1] - result["roc_auc"]) < 0.01 and abs(float(found[2]) - result["base_rate"]) < 0.01, (found, result)
        assert connection.scalar("SELECT max(length(bytes)) < 1000000 FROM persona.model_evidence")
        connection.query("UPDATE persona.model SET keep_versions = 2; SELECT persona.refit('m'), persona.refit('m'), persona.refit('m')")
        assert connection.rows("SELECT DISTINCT version FROM persona.model_evidence ORDER BY 1") == connection.rows("SELECT version FROM persona.model_versions ORDER BY 1")
        connection.query("SELECT persona.drop_model('m')")
        assert connection.scalar("SELECT count(*) FROM persona.model_evidence") == 0


def test_evidence_that_was_meddled_with_is_an_error_at_most(cluster):
    with cluster.connect() as connection:
        connection.query(ROWS.format(table="seen", first=1, last=300))
        fit(connection, "m")
        for kind in (1, 2):
            (bytes_,) = connection.rows(f"SELECT encode(bytes, 'hex') FROM persona.model_evidence WHERE kind = {kind}")[0]
            whole = bytes.fromhex(bytes_)
            mutants = [b"", whole[:9], whole[:-1], b"\xff" * 40, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + whole[3:], whole[::-1], whole[:2] + b"\xff" + whole[3:], whole[:-8] + b"\xff" * 8]
            for mutant in mutants:
                connection.query(f"UPDATE persona.model_evidence SET bytes = '\\x{mutant.hex()}' WHERE kind = {kind}")
                for statement in ("SELECT * FROM persona.holdout_scores('m')", "SELECT * FROM persona.evaluate('m', 'seen', 'y')"):
                    try:
                        connection.query(statement)
                    except Exception as error:
                        assert error.sqlstate == "XX001", f"{statement}: {error}"
            connection.query(f"UPDATE persona.model_evidence SET bytes = '\\x{whole.hex()}' WHERE kind = {kind}")
        assert connection.scalar("SELECT count(*) FROM persona.holdout_scores('m')") == 60
