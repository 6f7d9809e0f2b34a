"""Rows as drivers send them: JSON objects, arrays written as text, parameters and NULLs of no type, which are texts in a row."""

from contextlib import contextmanager
from json import dumps
from time import monotonic

from lib import models

NO_ROWS = [
    ("{\"spend\": 1", "22P02", "JSON"), ("[1, 2]", "22P02", "no object"), ("7", "22P02", "no object"), ("", "22P02", "JSON"), ("{1,2}", "22P02", "JSON"),
    ("{\"spend\": {\"a\": 1}, \"visits\": 1, \"city\": \"Graz\"}", "42804", '"spend" has type jsonb'),
    ("{\"spend\": [\"x\"], \"visits\": 1, \"city\": \"Graz\"}", "42804", '"spend" has type jsonb'),
    ("{\"spend\": \"a\\u0000\", \"visits\": 1, \"city\": \"Graz\"}", "22P05", "u0000"), ("{\"spend\\u0000\": 1, \"visits\": 1, \"city\": \"Graz\"}", "22P05", "u0000"),
    ("{\"spend\": [1], \"visits\": 1, \"city\": \"Graz\"}", "42804", '"spend"'),
    ("{\"spend\": \"many\", \"visits\": 1, \"city\": \"Graz\"}", "22P02", '"spend" has the text "many"'),
    ("{\"spend\": \"\", \"visits\": 1, \"city\": \"Graz\"}", "22P02", '"spend"'),
    ("{\"spend\": \"NaN\", \"visits\": 1, \"city\": \"Graz\"}", "22023", '"spend"'),
    ("{\"spend\": 1e999, \"visits\": 1, \"city\": \"Graz\"}", "22023", '"spend"'),
    ("{\"visits\": 1, \"city\": \"Graz\"}", "42703", '"spend"'),
    ("{}", "42703", '"spend"'),
]
QUESTIONS = {"seg": ("segment", "distance", "second_segment", "anomaly", "anomaly_reasons"), "sco": ("score", "predict")}


@contextmanager
def fitted(cluster):
    with cluster.connect() as session:
        models.make_models(session)
        session.query("CREATE TABLE wide AS SELECT i AS id, ARRAY[i % 10, i % 3 * 5]::float8[] AS v, i % 10 > 4 AS good FROM generate_series(1, 300) AS i")
        session.query("SELECT FROM persona.fit_scorer('arrays', 'SELECT v, good FROM wide', 'good')")
        session.query("SELECT FROM persona.fit_segments('array_segments', 'SELECT id, v FROM wide', 'id', 3)")
        yield session


def test_a_json_object_answers_as_its_row(cluster):
    as_text = "(SELECT t FROM (SELECT c.spend::text AS spend, c.visits::text AS visits, c.city::varchar AS city) t)"
    with fitted(cluster) as session:
        for model, function in [(model, function) for model, functions in QUESTIONS.items() for function in functions]:
            differs = session.scalar(f"""
                SELECT count(*) FROM customers c, LATERAL (SELECT persona.{function}('{model}', c) AS expected) e
                WHERE expected IS NULL OR expected IS DISTINCT FROM persona.{function}('{model}', to_jsonb(c))
                   OR expected IS DISTINCT FROM persona.{function}('{model}', to_jsonb(c)::text)
                   OR expected IS DISTINCT FROM persona.{function}('{model}', {as_text})""")
            assert differs == 0, (model, function, differs)


def test_what_a_model_does_not_use_is_not_looked_at(cluster):
    with fitted(cluster) as session:
        row = "SELECT c.*, ARRAY['a'] AS tags, jsonb_build_object('deep', c) AS more FROM customers c WHERE id < 20"
        for function, model in (("score", "sco"), ("segment", "seg")):
            for form in ("to_jsonb(t)", "row_to_json(t)", "to_jsonb(t)::text"):
                assert session.scalar(f"SELECT count(*) FROM ({row}) t WHERE persona.{function}('{model}', {form}) IS DISTINCT FROM persona.{function}('{model}', t)") == 0


def test_calls_of_no_type_resolve(cluster):
    with fitted(cluster) as session:
        json = '{"spend": 3, "visits": "4.5", "city": "Graz"}'
        for model, functions in QUESTIONS.items():
            for function in functions:
                literal = session.scalar(f"SELECT persona.{function}('{model}', '{json}')")
                session.query(f"PREPARE asked AS SELECT persona.{function}($1, $2)")
                assert literal is not None and session.scalar(f"EXECUTE asked ('{model}', '{json}')") == literal
                assert session.scalar(f"EXECUTE asked ('{model}', NULL)") is None and session.scalar(f"SELECT persona.{function}('{model}', NULL)") is None
                session.query("DEALLOCATE asked")
        row = "(SELECT t FROM (SELECT NULL AS spend, $1 AS visits, 'Graz' AS city) t)"
        session.query(f"PREPARE scored AS SELECT persona.score('sco', {row})")
        known = session.scalar("SELECT persona.score('sco', (SELECT t FROM (SELECT NULL::float8 AS spend, 5.5 AS visits, 'Graz' AS city) t))")
        assert session.scalar("EXECUTE scored ('5.5')") == known
        assert session.scalar("EXECUTE scored (NULL)") is not None
        session.query("DEALLOCATE scored")
        assert session.scalar("SELECT count(*) FROM persona.recommend_for('rec', '{1,4}')") == 10
        session.query("PREPARE basket AS SELECT count(*) FROM persona.recommend_for($1, $2, $3)")
        assert session.scalar("EXECUTE basket ('rec', '{1,4}', 7)") == 7
        session.query("DEALLOCATE basket")


def test_an_array_is_one_key(cluster):
    with fitted(cluster) as session:
        for model, function in (("arrays", "score"), ("array_segments", "segment"), ("array_segments", "distance")):
            differs = session.scalar(f"""SELECT count(*) FROM wide w
                WHERE persona.{function}('{model}', w) IS DISTINCT FROM persona.{function}('{model}', jsonb_build_object('v', w.v))""")
            assert differs == 0, function
        assert session.scalar("SELECT persona.segment('array_segments', '{\"v\": [1, null]}')") is None
        assert session.scalar("SELECT persona.score('arrays', '{\"v\": [1, null]}')") is not None
        # Without a value, without a type, and written.
        for row in ("to_jsonb(t)", "t"):
            assert session.scalar(f"SELECT persona.segment('array_segments', {row}) FROM (SELECT NULL AS v) AS t") is None
            known = session.scalar("SELECT persona.segment('array_segments', t) FROM (SELECT ARRAY[1, 2]::float8[] AS v) AS t")
            assert session.scalar(f"SELECT persona.segment('array_segments', {row}) FROM (SELECT '{{1,2}}' AS v) AS t") == known
        error = session.error("SELECT persona.segment('array_segments', '{\"v\": \"1,2\"}')")
        assert error.sqlstate == "22P02" and "array of numbers" in error.message and error.hint, error


def test_fitted_values_take_arrays_that_are_written(cluster):
    with fitted(cluster) as session:
        session.query("""CREATE TEMP TABLE kept AS
            SELECT persona.kmeans(v, 3) AS kmeans, persona.gaussian_mixture(v, 2) AS mixture, persona.standard_scaler(v) AS scaler FROM wide""")
        asked = [("kmeans", one) for one in ("segment", "distance", "second_segment", "anomaly")]
        asked += [("mixture", one) for one in ("membership", "segment", "log_density")] + [("scaler", one) for one in ("scale", "unscale")]
        for value, function in asked:
            same = session.scalar(f"SELECT persona.{function}({value}, '{{1,4}}') = persona.{function}({value}, '{{1,4}}'::float8[]) FROM kept")
            assert same is True, (function, same)
            session.query(f"PREPARE asked AS SELECT persona.{function}({value}, $1) = persona.{function}({value}, ARRAY[1,4]::float8[]) FROM kept")
            assert session.scalar("EXECUTE asked ('{1,4}')") is True
            session.query("DEALLOCATE asked")
        error = session.error("SELECT persona.segment(kmeans, 'one') FROM kept")
        assert error.sqlstate == "22P02" and '"one"' in error.message, error


def test_fitted_values_take_objects(cluster):
    with fitted(cluster) as session:
        session.query("""CREATE TEMP TABLE kept AS
            SELECT persona.kmeans(v, 3) AS kmeans, persona.gaussian_mixture(v, 2) AS mixture, persona.standard_scaler(v) AS scaler FROM (SELECT visits, spend FROM customers) AS v""")
        session.query("CREATE TEMP TABLE of_arrays AS SELECT persona.kmeans(v, 3) AS kmeans, persona.standard_scaler(v) AS scaler FROM wide")
        asked = [("kmeans", one) for one in ("segment", "distance", "second_segment", "anomaly")]
        asked += [("mixture", one) for one in ("membership", "segment", "log_density")] + [("scaler", one) for one in ("scale", "unscale")]
        for value, function in asked:
            for form in ("to_jsonb(c)", "to_json(c)", "to_jsonb(c)::text", "jsonb_build_array(c.visits, c.spend)", "jsonb_build_array(c.visits, c.spend)::text", "format('{%s,\"%s\"}', c.visits, c.spend)"):
                differs = session.scalar(f"""SELECT count(*) FROM customers c, kept, LATERAL (SELECT persona.{function}({value}, c) AS expected) e
                    WHERE expected IS NULL OR expected IS DISTINCT FROM persona.{function}({value}, {form})""")
                assert differs == 0, (function, form, differs)
            json = '{"spend": 3, "visits": "4.5", "more": {}}'
            session.query(f"PREPARE asked AS SELECT persona.{function}({value}, $1) = persona.{function}({value}, ARRAY[4.5, 3]) FROM kept")
            assert session.scalar(f"EXECUTE asked ('{json}')") is True and session.scalar("EXECUTE asked ('[4.5, 3]')") is True
            session.query("DEALLOCATE asked")
            for form in ("NULL", "NULL::jsonb", "NULL::json", "NULL::text"):
                assert session.scalar(f"SELECT persona.{function}({value}, {form}) FROM kept") is None, (function, form)
            for features, sqlstate in (('{"spend": 3}', "42703"), ('{"spend": 3, "visits": "many"}', "22P02"), ('{"spend": 3, "visits": [1]}', "42804"), ("[1]", "2202E"), ("{1,2,3}", "2202E"),
                                       ("[1, 1e999]", "22023"), ("{1,NaN}", "22023"), ("7", "22P02"), ("", "22P02"), ('{"a": 1', "22P02"), ("{{1,2},{3,4}}", "22P02")):
                error = session.error(f"SELECT persona.{function}({value}, '{features}') FROM kept")
                assert error.sqlstate == sqlstate and error.hint, (function, features, error)
        # A NULL in a row is as in a record.
        assert session.scalar("SELECT persona.segment(kmeans, '{\"spend\": null, \"visits\": 1}') FROM kept") is None
        assert session.scalar("SELECT (persona.scale(scaler, '{\"spend\": null, \"visits\": 1}'))[2] FROM kept") is None
        for value, function in (("kmeans", "segment"), ("scaler", "scale")):
            error = session.error(f"SELECT persona.{function}({value}, '{{\"a\": 1}}') FROM of_arrays")
            assert error.sqlstate == "42804" and "arrays" in error.message and error.hint, error


def test_json_objects_are_scored_in_batches(cluster):
    with fitted(cluster) as session:
        for form in ("to_jsonb(c)", "to_json(c)", "to_jsonb(c)::text"):
            for model in ("'sco'", "CASE WHEN c.id > 0 THEN 'sco' END"):
                for window in ("", "ORDER BY id", "PARTITION BY city ORDER BY id DESC"):
                    differs = session.scalar(f"""SELECT count(*) FROM (
                        SELECT persona.score('sco', CASE WHEN id % 7 > 0 THEN c END) AS one, persona.score_batch({model}, CASE WHEN id % 7 > 0 THEN {form} END) OVER ({window}) AS batch FROM customers c) AS s
                        WHERE one IS DISTINCT FROM batch""")
                    assert differs == 0, (form, model, window, differs)
        session.query("PREPARE batch AS SELECT persona.score_batch($1, $2) OVER ()")
        json = '{"spend": 3, "visits": "4.5", "city": "Graz"}'
        assert session.scalar(f"EXECUTE batch ('sco', '{json}')") == session.scalar(f"SELECT persona.score('sco', '{json}')")
        assert session.scalar("EXECUTE batch ('sco', NULL)") is None
        # Objects of other keys and types than the one before.
        rows = [{"spend": 3, "visits": 4, "city": "Graz"}, {"city": "Graz", "spend": "3", "visits": 4}, {"more": 1, "spend": 3, "visits": 4, "city": None}, {"spend": True, "visits": None, "city": "Graz"}]
        rows = [dumps(row) for row in rows * 3]
        batch = session.rows(f"SELECT persona.score_batch('sco', r) OVER () FROM unnest(ARRAY[{', '.join(f'$r${row}$r$' for row in rows)}]) AS r")
        assert batch == [(session.scalar(f"SELECT persona.score('sco', $r${row}$r$)"),) for row in rows]
        for features, sqlstate, words in NO_ROWS:
            error = session.error(f"SELECT persona.score_batch('sco', r) OVER () FROM unnest(ARRAY['{json}', '{features}']) AS r")
            assert error.sqlstate == sqlstate and words in error.message and error.hint, (features, error)


def test_a_thousand_features_of_an_object_are_found_in_no_time(cluster):
    """Names were looked for one by one: 2.6 ms a row."""
    with cluster.connect() as session:
        names = ", ".join(f"(i * {n + 1}) % 97 AS feature_{n}" for n in range(1200))
        session.query(f"CREATE TABLE very_wide AS SELECT i AS id, {names} FROM generate_series(1, 200) AS i")
        session.query("SELECT FROM persona.fit_segments('very_wide', 'very_wide', 'id', 2)")
        assert session.scalar("SELECT count(*) FROM very_wide v WHERE persona.segment('very_wide', v) IS DISTINCT FROM persona.segment('very_wide', to_jsonb(v))") == 0
        session.query("CREATE TABLE as_json AS SELECT to_jsonb(v)::text AS j FROM very_wide v")
        took = min(spent(session, "SELECT count(persona.segment('very_wide', j)) FROM as_json") for _ in range(3)) / 200
        print(f"{1e3 * took:.2f} ms a row")
        assert took < 1.5e-3, took


def spent(session, query):
    start = monotonic()
    session.query(query)
    return monotonic() - start


def test_what_is_no_row_is_told(cluster):
    with fitted(cluster) as session:
        for features, sqlstate, words in NO_ROWS:
            no_row(session, features, sqlstate, words)


def no_row(fitted, features, sqlstate, words):
    for call in (f"persona.score('sco', '{features}')", f"persona.segment('seg', '{features}')"):
        error = fitted.error(f"SELECT {call}")
        assert error.sqlstate == sqlstate and words in error.message, (call, error)
        assert error.hint, error


def test_a_text_in_a_row_is_a_number_or_told(cluster):
    with fitted(cluster) as session:
        row = "(SELECT t FROM (SELECT '{}' AS spend, 2 AS visits, 'Graz' AS city) t)"
        assert session.scalar(f"SELECT persona.score('sco', {row.format(' 1.5e1 ')}) = persona.score('sco', {row.format('15')})") is True
        error = session.error(f"SELECT persona.score('sco', {row.format('much')})")
        assert (error.sqlstate, error.message) == ("22P02", 'column "spend" has the text "much", but a number is needed'), error
        # Fits take texts for what they are.
        error = session.error(f"SELECT persona.kmeans({row.format('15')}, 1)")
        assert error.sqlstate == "42804", error


def test_dates_and_times_are_what_their_columns_are(cluster):
    with cluster.connect() as session:
        session.query("""SET TimeZone = 'Asia/Kolkata';
            CREATE TABLE visit AS SELECT i AS id, date '2024-01-01' + i % 40 AS d, timestamptz '2024-01-01' + i * interval '7 hours' AS at, timestamp '2024-02-01' + i * interval '1.5 s' AS wall,
                time '01:00' + i * interval '3 minutes' AS t, (time '01:00' + i * interval '3 minutes')::timetz AS tz, i % 40 > 20 AS good FROM generate_series(1, 200) AS i""")
        session.query("SELECT FROM persona.fit_scorer('timed', 'SELECT d, at, wall, t, tz, good FROM visit', 'good')")
        for form in ("to_jsonb(v)", "(SELECT w FROM (SELECT v.d::text AS d, v.at::text AS at, v.wall::text AS wall, v.t::text AS t, v.tz::text AS tz) AS w)"):
            differs = session.scalar(f"SELECT count(*) FROM visit v WHERE persona.score('timed', {form}) IS DISTINCT FROM persona.score('timed', v)")
            assert differs == 0, (form, differs)


def test_whole_numbers_may_be_large(cluster):
    """Public arguments are bigint, as drivers send whole numbers; what is too large is told as any other."""
    with fitted(cluster) as session:
        error = session.error("SELECT persona.fit_segments('big', 'customers', 'id', 5000000000)")
        assert error.sqlstate == "22023" and "5000000000" in error.message, error
        error = session.error("SELECT persona.kmeans(v, 5000000000) FROM wide")
        assert error.sqlstate == "22023" and "5000000000" in error.message, error
        error = session.error("SELECT persona.activate('seg', 5000000001)")
        assert error.sqlstate == "42704" and "5000000001" in error.message, error
        session.query("SELECT FROM persona.fit_segments('kept', 'customers', 'id', 2, features => '{spend}', keep_versions => 9223372036854775807)")
        for call in ("fold(7, 9223372036854775807)", "hash_features('{a}', 9223372036854775807)", "recommend('rec', 1, 9223372036854775807)",
                     "fit_segments('big', 'customers', 'id', 2, max_iterations => 9223372036854775807)", "name_segment('seg', 9223372036854775807, 'x')",
                     "fit_segments('big', 'customers', 'id', 2, n_init => 4000000000)", "anomaly_reasons('seg', '{}', -9223372036854775808)",
                     "choose_k('customers', -9223372036854775808, 9223372036854775807)", "describe('customers', 9223372036854775807)"):
            error = session.error(f"SELECT persona.{call}")
            assert error.sqlstate in ("22023", "42703"), (call, error)
