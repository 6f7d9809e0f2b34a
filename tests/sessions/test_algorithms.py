"""The list of algorithms says what the fits take: each default, each end of a range, and nothing beyond it."""

import json
import re

from lib import models
from lib.pgwire import ServerError

# Of each kind a fit by an algorithm, whose parameters are given as a literal without a type. The algorithms of segments are aggregates.
FIT = {
    "segments": "SELECT persona.{algorithm}(ARRAY[spend, visits], 2, '{parameters}') FROM customers",
    "scorer": "SELECT FROM persona.fit_scorer('new', 'SELECT spend, visits, city, id % 4 = 0 AS y FROM customers', 'y', algorithm => '{algorithm}', parameters => '{parameters}')",
    "recommender": "SELECT FROM persona.fit_recommender('new', 'events', algorithm => '{algorithm}', parameters => '{parameters}')",
}


def listed(session):
    return session.query("SELECT * FROM persona.algorithms").dicts()


def fit(session, row, parameters):
    """The error of the fit, if there is one; the model is gone again."""
    session.query("BEGIN")
    try:
        session.query(FIT[row["kind"]].format(algorithm=row["algorithm"], parameters=parameters))
        return None
    except ServerError as error:
        return error
    finally:
        session.query("ROLLBACK")


def as_json(row):
    return json.dumps(row["default_value"]) if row["type"] == "text" else row["default_value"]


def values_of(row):
    """JSON of values that are within the range of a parameter, and of some that are not."""
    if row["type"] == "boolean":
        return ["true", "false"], ["1", '"true"', "null"]
    if row["type"] == "text":
        words = row["range"].split(", ")
        return [json.dumps(word) for word in words], ['"none such"', json.dumps(words[0].upper()), "1", "null"]
    opening, least, most, closing = re.fullmatch(r"([\[(])(.*),(.*)([\])])", row["range"]).groups()
    taken, refused = [], ["1e400", "-1e400", "null", '"1"', "[]", "{}", "true", "9" * 40 + "e300"]
    for end, is_closed, outwards in ((least, opening == "[", -1), (most, closing == "]", 1)):
        if not end:
            continue
        (taken if is_closed else refused).append(end)
        value = float(end)
        beyond = int(end) + outwards if row["type"] == "bigint" else value + outwards * (abs(value) * 1e-6 or 1e-300)
        refused.append(repr(beyond))
    if row["type"] == "bigint":
        refused.append(f"{row['default_value']}.5")
    return taken, refused


def test_each_value_within_a_range_is_taken_and_none_beyond_it(cluster):
    with cluster.connect() as session:
        models.make_data(session, 200, 30)
        n_taken = n_refused = 0
        for row in listed(session):
            if row["parameter"] is None:
                assert row["meaning"] and row["source"] and row["type"] is row["default_value"] is row["range"] is None, row
                assert fit(session, row, "{}") is None, row
                continue
            name = row["parameter"]
            taken, refused = values_of(row)
            if name == "n_init":
                # So many starts are within the range, and take days.
                taken = ["3"]
            for value in (as_json(row), *taken):
                error = fit(session, row, f'{{"{name}": {value}}}')
                assert error is None or f'"{name}"' not in error.message, f"{row['algorithm']} {name} {value}: {error}"
                assert error is None or error.sqlstate.startswith("22"), f"{row['algorithm']} {name} {value}: {error}"
                n_taken += 1
            for value in refused:
                error = fit(session, row, f'{{"{name}": {value}}}')
                assert error is not None and error.sqlstate == "22023" and f'invalid value for "{name}"' in error.message, f"{row['algorithm']} {name} {value}: {error}"
                n_refused += 1
        assert n_taken >= 5 and n_refused >= 20, (n_taken, n_refused)


def test_the_list_is_all_that_is_known(cluster):
    with cluster.connect() as session:
        models.make_data(session, 200, 30)
        rows = listed(session)
        for kind in {row["kind"] for row in rows}:
            names = list(dict.fromkeys(row["algorithm"] for row in rows if row["kind"] == kind))
            if kind != "segments":
                error = fit(session, {"kind": kind, "algorithm": "none such"}, "{}")
                assert (error.sqlstate, error.message) == ("22023", 'invalid value for "algorithm": none such'), error
                assert error.hint == f"Valid: {', '.join(names)}.", error.hint
            for name in names:
                parameters = [row["parameter"] for row in rows if (row["kind"], row["algorithm"]) == (kind, name) and row["parameter"]]
                error = fit(session, {"kind": kind, "algorithm": name}, '{"none such": 1}')
                if kind == "segments":
                    assert (error.sqlstate, error.message) == ("22023", 'unknown option "none such"'), error
                    assert error.hint.startswith(f"Valid options: {', '.join(parameters)}"), error.hint
                    continue
                assert (error.sqlstate, error.message) == ("22023", 'unknown parameter "none such"'), error
                said = f'Parameters of "{name}": {", ".join(parameters)}.' if parameters else f'Algorithm "{name}" has no parameters.'
                assert error.hint == said, error.hint


def test_a_refit_fits_with_what_the_fit_was_given(cluster):
    with cluster.connect() as session:
        models.make_data(session, 200, 30)
        rows = listed(session)
        for kind, algorithm in dict.fromkeys((row["kind"], row["algorithm"]) for row in rows if row["kind"] != "segments"):
            own = [row for row in rows if (row["kind"], row["algorithm"]) == (kind, algorithm) and row["parameter"]]
            # The first end of each range that is not the default.
            given = {row["parameter"]: json.loads(value) for row in own for value in reversed(values_of(row)[0]) if value != as_json(row)}
            session.query(FIT[kind].format(algorithm=algorithm, parameters=json.dumps(given)))
            session.query("SELECT persona.refit('new', force => true)")
            stored = [json.loads(text) for (text,) in session.rows("SELECT (parameters -> 'parameters')::text FROM persona.model_versions WHERE model = 'new' ORDER BY version")]
            expected = {row["parameter"]: given.get(row["parameter"], json.loads(as_json(row))) for row in own}
            assert stored == [expected, expected], f"{algorithm}: {stored} instead of {expected}"
            (known,) = session.query("SELECT algorithm FROM persona.models WHERE model = 'new'").dicts()
            assert known["algorithm"] == algorithm, known
            session.query("SELECT persona.drop_model('new')")


def test_anybody_may_read_the_list(cluster):
    with cluster.connect() as admin:
        admin.query("CREATE ROLE someone LOGIN")
    with cluster.connect(user="someone") as session:
        assert session.scalar("SELECT count(*) FROM persona.algorithms") > 0
