"""Odd values through every function: each call gives a value or an error of the caller's class, and never an internal one.

The calls are made from lists: numbers, integers, texts, arrays, records and tables that are odd, for each place in each function.
"""

import itertools

from lib import models
from lib.corpus import (ARRAYS, BOOLEANS, COLUMNS, COUNTS, INTEGERS, NAMES, NUMBERS, OPTIONS, RECORDS, SOURCES, TEXTS, TIMES, VALUES,
                        check_calls)
from lib.pgwire import ServerError
from lib.values import MEMBERS


def test_names_and_sources_never_give_an_internal_error(cluster):
    calls = []
    for text in TEXTS:
        calls += [f"persona.segments({text})", f"persona.segment_flow({text})", f"persona.segment_changes({text})", f"persona.publish('seg', 'p', history_table => {text})",
                  f"persona.segment_profile({text})", f"persona.segment_quality({text})",
                  f"persona.choose_k('customers', criterion => {text})", f"persona.choose_k('customers', scaling => {text})", f"persona.recommend({text}, 1)", f"persona.recommend({text}, 'x'::text)",
                  f"persona.recommend_for({text}, '{{1}}'::bigint[])", f"persona.recommend_all({text})", f"persona.similar_items({text}, 1)",
                  f"persona.profile({text})", f"persona.activate({text}, 1)", f"persona.holdout_scores({text})", f"persona.activate({text}, 99)", f"persona.export_onnx({text})",
                  f"persona.rename_model({text}, 'seg')", f"persona.rename_model('none such', {text})", f"persona.grant_model({text}, 'none')",
                  f"persona.grant_model('seg', {text})", f"persona.revoke_model('seg', {text})", f"persona.refit({text})", f"persona.publish({text}, 'p')",
                  f"persona.publish('seg', {text})", f"persona.publish('seg', 'p', key => {text})", f"persona.name_segment({text}, 1, 'x')",
                  f"persona.name_segment('seg', 1, {text})", f"persona.score({text}, ROW(1))", f"persona.predict({text}, ROW(1))",
                  f"persona.segment({text}, ROW(1))", f"persona.distance({text}, ROW(1))",
                  f"persona.fit_segments({text}, 'customers', 'id', 2, features => '{{spend}}', activate => false)",
                  f"persona.fit_segments('new', 'customers', {text}, 2, features => '{{spend}}')",
                  f"persona.fit_segments('new', 'customers', 'id', 2, features => '{{spend}}', scaling => {text})",
                  f"persona.fit_segments('new', 'customers', 'id', 2, features => '{{spend}}', save_to => {text})",
                  f"persona.fit_scorer('new', 'customers', {text})", f"persona.fit_scorer('new', 'customers', 'bought', algorithm => {text})",
                  f"persona.fit_scorer('new', 'customers', 'bought', positive => {text})", f"persona.fit_scorer('new', 'customers', 'bought', key => {text})",
                  f"persona.fit_scorer('new', 'customers', 'bought', holdout_column => {text})",
                  f"persona.fit_recommender('new', 'events', user_column => {text})", f"persona.fit_recommender('new', 'events', item_column => {text})",
                  f"persona.fit_recommender('new', 'events', weight_column => {text})", f"persona.fit_recommender('new', 'events', time_column => {text})",
                  f"persona.fit_recommender('new', 'events', algorithm => {text})", f"persona.save_recommendations('rec', save_to => {text})",
                  f"persona.import_onnx('new', {text}::bytea)", f"persona.evaluate('sco', 'customers', {text})", f"persona.drop_model({text})"]
    for source in SOURCES:
        calls += [f"persona.choose_k({source}, k_max => 3)", f"persona.fit_segments('new', {source}, 'id')", f"persona.fit_segments('new', {source}, 'id', 1)", f"persona.fit_segments('new', {source}, 'id', 1, save_to => 'saved')",
                  f"persona.fit_scorer('new', {source}, 'bought')", f"persona.fit_scorer('new', {source}, 'x')",
                  f"persona.fit_recommender('new', {source}, 'id', 'x')", f"persona.fit_recommender('new', {source}, 'id', 'city')",
                  f"persona.evaluate('sco', {source}, 'good')", f"persona.evaluate_recommender('rec', {source})",
                  f"persona.publish('seg', 'published', {source}, 'id')", f"persona.publish('sco', 'published', {source}, 'id')"]
    check_calls(cluster, calls)


def test_numbers_and_options_never_give_an_internal_error(cluster):
    calls = []
    for count in COUNTS:
        calls += [f"persona.recommend('rec', 1, {count})", f"persona.recommend_for('rec', '{{1}}'::bigint[], {count})", f"persona.similar_items('rec', 1, {count})",
                  f"persona.recommend_all('rec', {count})", f"persona.save_recommendations('rec', 'everyone', {count})", f"persona.activate('seg', {count})", f"persona.holdout_scores('sco', {count})",
                  f"persona.segment_flow('seg', {count}, 1)", f"persona.segment_flow('seg', 1, {count})",
                  f"persona.name_segment('seg', {count}, 'x')", f"persona.publish('rec', 'offers', n => {count})",
                  f"persona.fit_segments('new', 'customers', 'id', {count}, features => '{{spend}}')",
                  f"persona.choose_k('customers', k_min => {count}, k_max => 4)", f"persona.choose_k('customers', k_max => {count})",
                  f"persona.choose_k('customers', k_max => 3, sample_rows => {count})",
                  f"persona.fit_segments('new', 'customers', 'id', 2, features => '{{spend}}', max_iterations => {count})",
                  f"persona.fit_recommender('new', 'events', parameters => jsonb_build_object('neighbors', {count}))", f"persona.fit_scorer('new', 'customers', 'bought', parameters => jsonb_build_object('max_categories', {count}))",
                  f"persona.evaluate_recommender('rec', 'events', n => {count})", f"persona.kmeans(ARRAY[spend], {count}) FROM customers"]
        calls += [f"persona.dbscan(ARRAY[spend, visits], 2, {count}) OVER () FROM customers", f"persona.gaussian_mixture(ARRAY[spend], {count}) FROM customers"]
        if count not in ("2147483647", "65536"):
            calls.append(f"persona.fit_segments('new', 'customers', 'id', 2, features => '{{spend}}', n_init => {count})")
    for number in NUMBERS:
        calls += [f"persona.dbscan(ARRAY[spend, visits], {number}, 3) OVER () FROM customers", f"persona.refit('seg', max_loss => {number})", f"persona.fit_recommender('new', 'events', parameters => jsonb_build_object('shrinkage', {number}::numeric))", f"persona.fit_recommender('new', 'events', holdout => {number})",
                  f"persona.fit_scorer('new', 'customers', 'bought', holdout => {number})", f"persona.fit_scorer('new', 'customers', 'bought', parameters => jsonb_build_object('l2', {number}::numeric))"]
    for integer in INTEGERS:
        calls += [f"persona.recommend('rec', {integer}::bigint)", f"persona.similar_items('rec', {integer}::bigint)",
                  f"persona.recommend_for('rec', ARRAY[{integer}]::bigint[])", f"persona.fit_recommender('new', 'events', seed => {integer}::bigint)",
                  f"persona.fit_segments('new', 'customers', 'id', 2, features => '{{spend}}', seed => {integer}::bigint)",
                  f"persona.fit_scorer('new', 'customers', 'bought', seed => {integer}::bigint)", f"persona.import_onnx('new', {integer}::bigint::oid)"]
    for names in NAMES:
        calls += [f"persona.fit_segments('new', 'customers', 'id', 2, features => {names})", f"persona.choose_k('customers', k_max => 3, features => {names})", f"persona.fit_scorer('new', 'customers', 'bought', features => {names})",
                  f"persona.import_onnx('new', 'x'::bytea, features => {names})"]
    for flag in BOOLEANS:
        calls += [f"persona.recommend('rec', 1, 3, {flag})", f"persona.recommend_for('rec', '{{1}}'::bigint[], 3, {flag})", f"persona.recommend_all('rec', 3, {flag})",
                  f"persona.refit('seg', {flag})", f"persona.fit_segments('new', 'customers', 'id', 2, features => '{{spend}}', activate => {flag})",
                  f"persona.fit_scorer('new', 'customers', 'bought', activate => {flag})", f"persona.fit_recommender('new', 'events', activate => {flag})",
                  f"persona.fit_scorer('new', 'customers', 'bought', refit_on_all => {flag})"]
    for items in ("NULL::bigint[]", "'{}'::bigint[]", "'{NULL}'::bigint[]", "'{{1,2},{3,4}}'::bigint[]", "array_fill(1::bigint, ARRAY[20000])",
                  "NULL::text[]", "'{}'::text[]", "'{NULL,x}'::text[]", "ARRAY[repeat('x', 100000)]"):
        calls.append(f"persona.recommend_for('rec', {items})")
    check_calls(cluster, calls)


def test_values_and_aggregates_never_give_an_internal_error(cluster):
    calls = []
    for array, other in itertools.product(ARRAYS, ARRAYS[:10]):
        rows = f"FROM (VALUES ({array}::float8[]), ({other}::float8[])) AS v (a)"
        calls += [f"persona.dbscan(a, 1, 1) OVER () {rows}", f"persona.gaussian_mixture(a, 1) {rows}", f"persona.gaussian_mixture(a, 2, '{{\"covariance\": \"diagonal\"}}') {rows}",
                  *(f"persona.{function}((SELECT persona.gaussian_mixture(x, 2) FROM (VALUES ('{{1,2}}'::float8[]), ('{{3,4}}')) AS v (x)), {array}::float8[])" for function in ("membership", "segment", "log_density")), f"persona.feature_stats(a) {rows}", f"persona.standard_scaler(a) {rows}", f"persona.minmax_scaler(a) {rows}", f"persona.kmeans(a, 1) {rows}",
                  f"persona.kmeans(a, 2, '{{\"scaling\": \"standard\"}}') {rows}",
                  f"persona.scale((SELECT persona.standard_scaler({other}::float8[])), {array}::float8[])",
                  f"persona.unscale((SELECT persona.minmax_scaler({other}::float8[])), {array}::float8[])",
                  f"persona.segment((SELECT persona.kmeans(x, 1) FROM (VALUES ('{{1,2}}'::float8[]), ('{{3,4}}')) AS v (x)), {array}::float8[])",
                  f"persona.distance((SELECT persona.kmeans(x, 1) FROM (VALUES ('{{1,2}}'::float8[]), ('{{3,4}}')) AS v (x)), {array}::float8[])"]
    for record in RECORDS:
        calls += [f"persona.dbscan({record}, 1, 1) OVER ()", f"persona.gaussian_mixture({record}, 1)",
                  *(f"persona.{function}((SELECT persona.gaussian_mixture(s, 2) FROM (SELECT spend, visits FROM customers) s), {record})" for function in ("membership", "segment", "log_density")), f"persona.feature_stats({record})", f"persona.standard_scaler({record})", f"persona.kmeans({record}, 1)", f"persona.segment('seg', {record})",
                  f"persona.distance('seg', {record})", f"persona.score('sco', {record})", f"persona.predict('sco', {record})",
                  f"persona.score_batch('sco', {record}) OVER ()", f"persona.scale((SELECT persona.standard_scaler(s) FROM (SELECT spend, visits FROM customers) s), {record})",
                  f"persona.segment((SELECT persona.kmeans(s, 2) FROM (SELECT spend, visits FROM customers) s), {record})"]
    for options in OPTIONS:
        calls += [f"persona.{aggregate}(ARRAY[spend, visits], 2, {options}::jsonb) FROM customers" for aggregate in ("kmeans", "gaussian_mixture")]
        calls += [f"persona.fit_scorer('new', 'customers', 'bought', parameters => {options}::jsonb)", f"persona.fit_recommender('new', 'events', parameters => {options}::jsonb)"]
    for number, other in itertools.product(NUMBERS, NUMBERS):
        pair = f"FROM (VALUES (true, {number}::float8), (false, {other}::float8)) AS v (y, s)"
        calls += [f"persona.roc_auc(y, s), persona.average_precision(y, s), persona.log_loss(y, s), persona.brier(y, s) {pair}", f"persona.calibration_error(y, s) {pair}",
                  f"persona.accuracy(y, s, {other}), persona.precision(y, s, {other}), persona.mcc(y, s, {other}) {pair}", f"persona.pinball(s, 1, {other}) {pair}"]
        calls += [f"persona.{metric}(s, {other}) {pair}" for metric in ("rmse", "mae", "mape", "r2", "poisson_deviance")]
        calls += [f"persona.{curve}('SELECT y AS label, s AS score {pair.replace(chr(39), chr(39) * 2)}')" for curve in ("roc_curve", "pr_curve", "lift_table", "calibration", "confusion", "threshold_for")]
        calls += [f"persona.profit_curve('SELECT true AS label, 0.5 AS score', {number}, {other})"]
        for function in ("recency(r, now())", "frequency(r)", "monetary(r)", "mean_amount(r)"):
            calls.append(f"persona.{function} FROM (SELECT persona.rfm(now(), s) AS r {pair}) x")
    calls += [f"persona.segment_changes('seg', {at}::timestamptz)" for at in TIMES]
    for at, as_of in itertools.product(TIMES, TIMES):
        calls += [f"persona.recency(persona.rfm({at}::timestamptz, 1), {as_of}::timestamptz)",
                  f"persona.rfm_segment(persona.rfm({at}::timestamptz, 1), {as_of}::timestamptz) OVER ()"]
    for value in VALUES:
        for kind in ("kmeans", "mixture", "scaler", "feature_stats", "rfm"):
            calls.append(f"({value})::persona.{kind}::text")
            calls.append(f"({value})::text::persona.{kind}")
    calls += ["persona.kmeans_add(NULL, '{1}'::float8[], 1)", "persona.kmeans_final(NULL)", "persona.gaussian_mixture_add(NULL, '{1}'::float8[], 1)", "persona.gaussian_mixture_final(NULL)", "persona.feature_stats_add(NULL, '{1}'::float8[])",
              "persona.feature_stats_combine(NULL, NULL)", "persona.rfm_combine(NULL, NULL)", "persona.scored_add(NULL, true, 1)", "persona.scored_roc_auc(NULL)"]
    check_calls(cluster, calls)


def test_odd_columns_never_give_an_internal_error(cluster):
    with cluster.connect() as session:
        models.make_models(session, 100, 40)
        session.query("CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0)")
        calls = []
        for number, (name, (type_name, value)) in enumerate(COLUMNS.items()):
            session.query(f"CREATE TABLE odd{number} AS SELECT i AS id, (i * 37 % 100)::float8 AS x, i % 2 = 0 AS y, ({value})::{type_name} AS z FROM generate_series(1, 100) AS i")
            odd = f"odd{number}"
            calls += [f"persona.choose_k('{odd}', k_max => 3)", f"persona.fit_segments('new', '{odd}', 'id', 2)", f"persona.fit_segments('new', '{odd}', 'id', 2, features => '{{z}}', scaling => 'none')",
                      f"persona.fit_segments('new', '{odd}', 'z', 2, features => '{{x}}')", f"persona.fit_segments('new', '{odd}', 'z', 2, features => '{{x}}', save_to => 'saved')",
                      f"persona.fit_scorer('new', '{odd}', 'y')", f"persona.fit_scorer('new', '{odd}', 'z')", f"persona.fit_scorer('new', '{odd}', 'y', key => 'z')",
                      f"persona.fit_scorer('new', '{odd}', 'y', holdout_column => 'z')",
                      f"persona.fit_recommender('new', '{odd}', 'z', 'id')", f"persona.fit_recommender('new', '{odd}', 'id', 'z')",
                      f"persona.fit_recommender('new', '{odd}', 'id', 'x', weight_column => 'z')", f"persona.fit_recommender('new', 'SELECT id, (id % 7)::bigint AS item, z FROM {odd}', 'id', 'item', time_column => 'z')",
                      f"persona.publish('seg', 'published', 'SELECT z AS id, x AS spend, x AS visits FROM {odd}', 'id')",
                      f"persona.evaluate('sco', 'SELECT x AS spend, x AS visits, z AS city, y AS good FROM {odd}', 'good')",
                      f"persona.segment('seg', s) FROM (SELECT z AS spend, x AS visits FROM {odd}) s", f"persona.score('sco', s) FROM (SELECT z AS spend, x AS visits, z AS city FROM {odd}) s",
                      f"persona.dbscan(s, 1, 3) OVER () FROM (SELECT x, z FROM {odd}) s", f"persona.gaussian_mixture(s, 2) FROM (SELECT x, z FROM {odd}) s",
                      f"persona.feature_stats(s) FROM (SELECT x, z FROM {odd}) s", f"persona.kmeans(s, 2) FROM (SELECT x, z FROM {odd}) s",
                      f"persona.minmax_scaler(s) FROM (SELECT x, z FROM {odd}) s",
                      f"persona.scale((SELECT persona.standard_scaler(s) FROM (SELECT spend FROM customers) s), s) FROM (SELECT z AS spend FROM {odd}) s"]
    check_calls(cluster, calls, make=False)


def test_fits_of_odd_columns_answer_with_finite_numbers(cluster):
    """Where a fit of an odd column is accepted, what it answers is a number."""
    with cluster.connect() as session:
        models.make_models(session, 100, 40)
        for name in ("constant", "zero", "denormal", "huge", "greatest", "tiny spread", "int8 extremes", "smallint", "boolean"):
            type_name, value = COLUMNS[name]
            session.query(f"DROP TABLE IF EXISTS odd; CREATE TABLE odd AS SELECT i AS id, (i * 37 % 100)::float8 AS x, (i * 31 % 7 > 3) AS y, ({value})::{type_name} AS z FROM generate_series(1, 100) AS i")
            for fit, answer in (
                ("SELECT FROM persona.fit_segments('odd', 'odd', 'id', 2, features => '{x,z}')", "SELECT min(persona.segment('odd', o)) >= 1 AND max(persona.distance('odd', o)) < 'Infinity' FROM odd o"),
                ("SELECT FROM persona.fit_scorer('odd', 'odd', 'y', features => '{x,z}')", "SELECT min(persona.score('odd', o)) >= 0 AND max(persona.score('odd', o)) <= 1 FROM odd o"),
            ):
                try:
                    session.query(fit)
                except ServerError as error:
                    assert error.sqlstate.startswith("22"), f"{name}: {error}"
                    continue
                assert session.scalar(answer) is True, f"{name}: {fit}"
                session.query("SELECT persona.drop_model('odd')")


# Options that no Rust number or recursion holds; those of the first list are refused under every name.
HOSTILE_JSON = ["1e400", "-1e400", "123456789012345678901234567890e300", '"' + "x" * 100_000 + '"', "[" * 200 + "]" * 200, "[" * 3000 + "]" * 3000,
                '{"a":' * 200 + "1" + "}" * 200, "null", "true"]
ODD_JSON = ["9223372036854775808", "123456789012345678901234567890", "-9223372036854775809", "1e-400", "1e-500", "0.1", "-1"]
# Of each function with a jsonb argument: a call with {}, and the names of options.
WITH_JSON = {
    "kmeans": ("persona.kmeans(ARRAY[spend, visits], 2, {}) FROM customers", ("seed", "max_iterations", "n_init", "seeding", "scaling", "metric", "weight_column", "a")),
    "kmeans(record": ("persona.kmeans(s, 2, {}) FROM (SELECT spend, visits FROM customers) s", ("seed", "weight_column")),
    "kmeans_add": ("persona.kmeans_add(NULL, ARRAY[1, 2]::float8[], 2, {})", ("seed",)),
    "gaussian_mixture": ("persona.gaussian_mixture(ARRAY[spend, visits], 2, {}) FROM customers", ("covariance", "regularization", "seed", "max_iterations", "tolerance", "a")),
    "gaussian_mixture(record": ("persona.gaussian_mixture(s, 2, {}) FROM (SELECT spend, visits FROM customers) s", ("regularization",)),
    "gaussian_mixture_add": ("persona.gaussian_mixture_add(NULL, ARRAY[1, 2]::float8[], 2, {})", ("seed",)),
    "target_encoder": ("persona.target_encoder(city, spend, id::text, {}) FROM customers", ("smoothing", "folds", "seed", "a")),
    "target_encoder_add": ("persona.target_encoder_add(NULL, 'a', 1, 'k', {})", ("smoothing", "folds", "seed")),
    "fit_segments": ("persona.fit_segments('new', 'customers', 'id', 2, features => '{{spend,visits}}', weights => {})", ("spend", "none such")),
    "fit_scorer": ("persona.fit_scorer('scored', 'customers', 'bought', parameters => {})", ("l2", "max_categories", "none such")),
    "fit_recommender": ("persona.fit_recommender('had', 'events', parameters => {})", ("neighbors", "shrinkage", "none such")),
    "choose_k": ("persona.choose_k('customers', 2, 3, features => '{{spend,visits}}', weights => {})", ("spend", "none such")),
}


def test_options_of_any_json_are_refused_by_their_name(cluster):
    with cluster.connect() as session:
        models.make_data(session, 100, 10)
        found = {name for (name,) in session.rows(f"""SELECT DISTINCT p.proname FROM pg_proc p WHERE p.oid IN ({MEMBERS}) AND 'jsonb'::regtype = ANY (p.proargtypes)
            AND p.proargnames[array_position(p.proargtypes::oid[], 'jsonb'::regtype) + 1] IS DISTINCT FROM 'features'""")}
        assert found == {name.split("(")[0] for name in WITH_JSON}, found
        for call, options in WITH_JSON.values():
            # A transition function over a state of type internal is none to be called, which is as well.
            codes = ("0A000", "42883") if "_add(NULL, ARRAY" in call else ("22023",)
            for whole in ("[]", "1e400", "[" * 300 + "]" * 300, "null", '"x"'):
                error = session.error("SELECT " + call.format(f"'{whole}'::jsonb"))
                assert error.sqlstate in codes, f"{call} {whole[:40]}: {error}"
            for option in options:
                for value in HOSTILE_JSON:
                    error = session.error("SELECT " + call.format(f"'{{\"{option}\": {value}}}'::jsonb"))
                    assert error.sqlstate in codes, f"{call} {option} {value[:40]}: {error}"
                    assert codes != ("22023",) or option in error.message or "weights" in error.message, f"{call} {option} {value[:40]}: {error}"
                    assert len(error.message) < 250, error.message[:300]
                for value in ODD_JSON:
                    try:
                        session.query("SELECT " + call.format(f"'{{\"{option}\": {value}}}'::jsonb"))
                    except ServerError as error:
                        assert error.sqlstate in (*codes, "42703"), f"{call} {option} {value}: {error}"


def test_an_array_of_too_many_names_is_refused_before_it_is_copied(cluster):
    with cluster.connect() as connection:
        models.make_models(connection, 200, 30)
        for names in ("array_fill('x'::text, '{1000000}')", "ARRAY[repeat('x', 200000000)]", "array_fill(repeat('x', 200), '{9000}')"):
            for call in ("persona.fit_segments('new', 'customers', 'id', 2, features => {})", "persona.choose_k('customers', features => {})",
                         "persona.fit_scorer('new', 'customers', 'bought', features => {})", "persona.import_onnx('new', ''::bytea, features => {})",
                         "persona.behaviour_vector(NULL, now(), {})", "persona.behaviour_feature_names({})"):
                error = connection.error(f"SELECT {call.format(names)}")
                assert error.sqlstate == "54000" and "names is too large" in error.message, f"{call.format(names)}: {error}"


def test_a_database_of_another_encoding_is_refused_and_one_of_none_works(cluster):
    with cluster.connect() as connection:
        for encoding in ("LATIN1", "EUC_JP", "WIN1252", "SQL_ASCII"):
            connection.query(f"CREATE DATABASE in_{encoding} ENCODING '{encoding}' TEMPLATE template0")
    for encoding in ("LATIN1", "EUC_JP", "WIN1252"):
        with cluster.connect(f"in_{encoding.lower()}") as connection:
            error = connection.error("CREATE EXTENSION pg_persona")
            assert error.sqlstate == "0A000" and encoding in error.message and "UTF8" in error.hint, error
            assert connection.scalar("SELECT count(*) FROM pg_namespace WHERE nspname = 'persona'") == 0
    with cluster.connect("in_sql_ascii") as connection:
        connection.query("CREATE EXTENSION pg_persona")
        models.make_data(connection, 200, 30)
        connection.query("ALTER TABLE customers RENAME spend TO \"größe\"")
        connection.query("SELECT FROM persona.fit_segments('käufer', 'customers', 'id', 2, features => '{größe}')")
        assert connection.scalar("SELECT model FROM persona.models") == "käufer"


def test_a_source_is_what_postgresql_takes_it_for(cluster):
    with cluster.connect() as connection:
        models.make_data(connection, 200, 30)
        for name in ("table1", "select_events", "with_orders", "values2024", "table_x", "selection", "TABLES", '"select me"', "select$1", "withé"):
            connection.query(f"CREATE TABLE {name} AS SELECT id, spend, visits FROM customers")
            assert connection.scalar(f"SELECT sum(size)::bigint FROM persona.fit_segments('m', '{name}', 'id', 2)") == 200, name
        for source in ("-- all of them\nSELECT id, spend, visits FROM customers", "/* all /* of */ them */ SELECT id, spend, visits FROM customers", "/**/table1", "-- a name\n table1",
                       "--\n--x\n(TABLE table1)", "/* a */ -- b\n WITH c AS (SELECT * FROM table1) SELECT * FROM c -- the end"):
            assert connection.scalar(f"SELECT sum(size)::bigint FROM persona.fit_segments('m', $source${source}$source$, 'id', 2)") == 200, source
        for source in ("/* no end", "-- only a comment", "/* */", "/* /* */ SELECT 1", "-- x\nDELETE FROM customers", "/* SELECT */ DROP TABLE customers"):
            error = connection.error(f"SELECT FROM persona.fit_segments('m', $source${source}$source$, 'id', 2)")
            assert error.sqlstate in ("42601", "42P01", "25006", "0A000"), f"{source}: {error}"


def test_a_key_is_judged_by_its_type_and_not_by_the_types_name(cluster):
    with cluster.connect() as connection:
        models.make_data(connection, 200, 30)
        connection.query("""CREATE TYPE realm AS ENUM ('a', 'b', 'c'); CREATE TYPE date_slot AS ENUM ('a', 'b', 'c'); CREATE DOMAIN timestamp_text AS text;
                            CREATE DOMAIN numeric_id AS bigint; CREATE DOMAIN realint AS integer; CREATE DOMAIN code AS numeric(10, 2); CREATE DOMAIN moment AS timestamptz""")
        for key in ("('{a,b,c}'::realm[])[id]", "('{a,b,c}'::date_slot[])[id]", "id::text::timestamp_text", "id::numeric_id", "id::realint", "id::code", "id::numeric(12, 1)",
                    "now()::moment + id * interval '1 s'", "current_date + id::integer", "localtimestamp + id * interval '1 s'"):
            assert connection.scalar(f"SELECT sum(size)::bigint FROM persona.fit_segments('m', $$SELECT {key} AS key, spend, visits FROM customers WHERE id < 4$$, 'key', 2)") == 3, key
        for key in ("id::real", "id::float8"):
            error = connection.error(f"SELECT FROM persona.fit_segments('m', $$SELECT {key} AS key, spend, visits FROM customers$$, 'key', 2)")
            assert error.sqlstate == "42804" and "bigint or text" in error.hint, f"{key}: {error}"


def test_a_table_has_one_name_however_it_is_written(cluster):
    with cluster.connect() as connection:
        models.make_models(connection, 200, 30)
        connection.query('CREATE SCHEMA "Odd one"')
        for first in ("mine", f"{cluster.database}.public.other", '"Odd one".t'):
            bare = first.removeprefix(f"{cluster.database}.")
            for name in (first, bare, bare, f"{cluster.database}.{bare if '.' in bare else 'public.' + bare}"):
                for quoted in ("on", "off"):
                    connection.query(f"SET quote_all_identifiers = {quoted}; SELECT persona.publish('seg', '{name}')")
        assert connection.rows("SELECT target FROM persona.publications ORDER BY 1") == [('"Odd one".t',), ("public.mine",), ("public.other",)]
        assert connection.scalar("SELECT count(*) FROM persona.profile('7')") == 3
        assert connection.error("SELECT persona.publish('seg', 'elsewhere.public.t')").sqlstate == "0A000"
