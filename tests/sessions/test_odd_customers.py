"""Odd values through the functions that describe, encode, clean and follow customers: a value, or an error of the caller's class."""

import itertools
from random import Random

from lib.corpus import ARRAYS, CLASSES, COLUMNS, COUNTS, INTEGERS, NAMES, NUMBERS, OPTIONS, SOURCES, TEXTS, TIMES, VALUES, check_calls
from lib.pgwire import ServerError
from lib.processes import peak_memory


def test_odd_sources_and_columns_are_described(cluster):
    calls = [f"persona.describe({source})" for source in SOURCES]
    calls += [f"persona.describe('customers', bins => {count}, top => {count})" for count in COUNTS]
    with cluster.connect() as session:
        session.query("CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0)")
        session.query("CREATE TABLE customers (id bigint, spend float8)")
        odd = [f"SELECT i AS id, ({value})::{type_name} AS z FROM generate_series(1, 100) AS i" for type_name, value in COLUMNS.values()]
        for query in odd:
            # A column of any type can be described.
            assert session.rows(f"SELECT n + nulls FROM persona.describe($q${query}$q$)") == [(100,), (100,)], query
        session.query("DROP TABLE customers; DROP TYPE mood; DROP DOMAIN positive")
    check_calls(cluster, calls)


def test_odd_events_are_followed(cluster):
    calls = []
    for text, at, amount in itertools.product(TEXTS, TIMES, NUMBERS):
        calls.append(f"persona.behaviour({text}, {at}::timestamptz, {amount}::float8)")
    for text, at, type_name in itertools.product(TEXTS + ["'UTC'", "'Asia/Tokyo'"], TIMES + ["'5874897-01-01'"], ("timestamptz", "timestamp", "date")):
        calls += [f"persona.behaviour('view', {at}::{type_name}, 1, {text})", f"persona.behaviour_vector(persona.behaviour('view', now(), 1, 'Asia/Tokyo'), {at}::{type_name}, ARRAY[{text}])",
                  f"persona.features(persona.behaviour('view', current_date, 1), {at}::{type_name})"]
    for text, at in itertools.product(TEXTS, TIMES):
        calls += [f"persona.features(persona.behaviour({text}, {at}::timestamptz, 1), now())", f"persona.features(persona.behaviour('view', now(), 1), {at}::timestamptz, ARRAY[{text}])",
                  f"persona.behaviour_vector(persona.behaviour('view', {at}::timestamptz, 1), {at}::timestamptz, ARRAY['view', {text}])"]
    for names in NAMES:
        calls += [f"persona.behaviour_feature_names({names})", f"persona.features('{{\"events\":{{}}}}', now(), {names})", f"persona.behaviour_vector(NULL, now(), {names})"]
    for number in NUMBERS:
        calls += [f"persona.behaviour_vector(persona.behaviour('view', now(), {number}), now(), '{{view}}', {number})",
                  f"persona.rollup(b)::text FROM (SELECT persona.behaviour('view', now(), {number}) AS b FROM generate_series(1, 3) AS i GROUP BY i) AS x"]
    for value in VALUES + ["'{\"events\":{\"view\":[[0,1,1e308]]}}'", "'{\"events\":{\"view\":[[0,18446744073709551615,0]]}}'", "'{\"zone\":\"No/Where\",\"events\":{\"view\":[[0,1,0]]}}'"]:
        calls += [f"({value})::persona.behaviour::text", f"persona.behaviour_combine({value}, {value})::text", f"persona.behaviour_add({value}, 'view', 'epoch', 1e308)::text",
                  f"persona.behaviour_final({value})", f"persona.features({value}, now())"]
    check_calls(cluster, calls)


def test_odd_purchases_are_scored(cluster):
    calls = []
    for at, as_of, text in itertools.product(TIMES, TIMES, TEXTS[:4] + ["'day'"]):
        rfm = f"persona.rfm({at}::timestamptz, 1)"
        calls += [f"persona.recency({rfm}, {as_of}::timestamptz, {text})", f"persona.customer_age({rfm}, {as_of}::timestamptz, {text})", f"persona.purchase_span({rfm}, {text})"]
    for at, type_name, zone, order in itertools.product(TIMES + ["'5874897-01-01'"], ("timestamptz", "timestamp", "date"), TEXTS + ["'UTC'", "'Asia/Tokyo'", "'<+03>-3'", "repeat('x', 63)"],
                                                        ("1", "'a'::text", "NULL::uuid", "point '(1,2)'", "'{}'::jsonb", "'{}'::json")):
        made = f"persona.rfm({at}::{type_name}, 1, {zone}, {order})"
        calls += [made, f"persona.rollup(r, {zone}) FROM (SELECT persona.rfm({at}::{type_name}, 1) AS r) AS x"]
        if order == "1":
            calls += [f"persona.{function}({made}, {as_of})" for function in ("recency", "frequency", "repeat_days", "monetary", "mean_amount", "repeat_amount", "customer_age", "purchase_span")
                      for as_of in ("now()", "current_date", f"{at}::{type_name}")]
            calls.append(f"persona.rfm_segment({made}, {at}::{type_name}) OVER ()")
    for text in TEXTS + ["'net'", "'ignore'"]:
        calls += [f"persona.frequency(persona.rfm(now(), -1), refunds => {text})", f"persona.recency(persona.rfm(now(), -1), current_date, 'day', {text})",
                  f"persona.rfm_segment(persona.rfm(now(), -1), current_date, 5, {text}) OVER ()", f"persona.purchase_span(persona.rfm(now(), -1), 'exact', {text})"]
    for count, as_of in itertools.product(COUNTS, TIMES):
        calls.append(f"persona.rfm_segment(persona.rfm(now(), 1), {as_of}::timestamptz, {count}) OVER ()")
    for number, other in itertools.product(NUMBERS, NUMBERS):
        rows = f"FROM (VALUES ({number}::float8), ({other}::float8)) AS v (x)"
        calls += [f"persona.repeat_days(persona.rfm(now(), x)), persona.repeat_amount(persona.rfm(now(), x)) {rows}", f"persona.rfm(now(), x)::text {rows}"]
    for value in VALUES + ["'{\"purchases\":[[0,1e308],[1,1e308],[2,-1e308]]}'", "'{\"zone\":\"No/Where\",\"purchases\":[[0,1]]}'", "'{\"zone\":null,\"purchases\":[[-211813488000000000,null]]}'"]:
        calls += [f"({value})::persona.rfm::text", f"persona.rfm_combine({value}, {value})::text", f"persona.rfm_add({value}, now(), 1)::text", f"persona.rfm_final({value})",
                  f"persona.monetary({value})", f"persona.repeat_amount({value})"]
    check_calls(cluster, calls)


def test_odd_values_are_encoded(cluster):
    calls = []
    texts = "FROM (VALUES ('a'), ('b'), ('a')) AS v (x)"
    for text in TEXTS:
        calls += [f"persona.categories({text}::text)", f"persona.one_hot(persona.categories(x), {text}) {texts}", f"persona.ordinal(persona.categories(x), {text}) {texts}",
                  f"persona.one_hot(persona.categories({text}::text, 1), {text})", f"persona.target_encoder({text}::text, 1, {text}::text)::text",
                  f"persona.encode_target(persona.target_encoder(x, 1, 'key'), {text}, {text}) {texts}", f"persona.encode_target(persona.target_encoder({text}, 1), {text})"]
    for text, count in itertools.product(TEXTS, COUNTS):
        calls += [f"persona.categories({text}::text, {count})", f"persona.hash_features(ARRAY[{text}], {count})", f"persona.fold({text}, {count}, {count})"]
    for names, count in itertools.product(NAMES + ["'{{a,b},{c,d}}'"], COUNTS):
        calls.append(f"persona.hash_features({names}, {count})")
    for number, other in itertools.product(NUMBERS, NUMBERS):
        rows = f"FROM (VALUES ('a', {number}::float8), ('a', {other}::float8), ('b', 1)) AS v (x, y)"
        calls += [f"persona.cyclic({number}, {other})", f"persona.target_encoder(x, y)::text {rows}", f"persona.encode_target(persona.target_encoder(x, y), 'a') {rows}",
                  f"persona.encode_target(persona.target_encoder(x, y, 'key', '{{\"smoothing\": 1}}'), 'a', 'key') {rows}", f"persona.interactions(ARRAY[{number}, {other}]::float8[])"]
    for array in ARRAYS:
        calls += [f"persona.interactions({array}::float8[])", f"persona.polynomial({array}::float8[])"]
    for options in OPTIONS + ["'{\"smoothing\": \"auto\"}'", "'{\"smoothing\": 1e400}'", "'{\"folds\": 2.5}'", "'{\"folds\": 21}'"]:
        calls.append(f"persona.target_encoder('a', 1, 'key', {options}::jsonb)::text")
    for at in TIMES:
        for function in ("hour_cycle", "weekday_cycle", "month_cycle"):
            calls += [f"persona.{function}({at}::timestamptz)", f"persona.{function}({at}::timestamp)"]
    levels = ["'{\"levels\":[[\"a\",18446744073709551615]],\"max_levels\":null}'", "'{\"levels\":[],\"max_levels\":4294967295}'"]
    for value in VALUES + levels:
        calls += [f"({value})::persona.category_levels::text", f"persona.categories_combine({value}, {value})::text", f"persona.categories_add({value}, 'x')::text", f"persona.categories_add({value}, 'x', 3)::text",
                  f"persona.categories_final({value})", f"persona.one_hot({value}, 'a')", f"persona.category_counts({value})"]
    encoders = ["'{\"smoothing\":0,\"folds\":2,\"seed\":1,\"categories\":{\"a\":[[1,1e308,0],[1,-1e308,0]]}}'", "'{\"smoothing\":\"auto\",\"folds\":0,\"seed\":1,\"categories\":{}}'"]
    for value in VALUES + encoders:
        calls += [f"({value})::persona.target_encoder::text", f"persona.target_encoder_combine({value}, {value})::text", f"persona.target_encoder_add({value}, 'x', 1)::text",
                  f"persona.target_encoder_final({value})", f"persona.encode_target({value}, 'a')", f"persona.encode_target({value}, 'a', 'key')"]
    check_calls(cluster, calls)


def test_odd_keys_are_split_and_kept(cluster):
    calls = []
    for integer, count in itertools.product(INTEGERS, COUNTS):
        calls += [f"persona.fold({integer}::bigint, {count}, {integer}::bigint)", f"persona.fold({integer}::text, {count})"]
    for number, text in itertools.product(NUMBERS, TEXTS):
        calls += [f"persona.keep({text}::text, {number})", f"persona.copies({text}::text) OVER ()", f"persona.copies({number}::float8) OVER ()"]
    for type_name, value in COLUMNS.values():
        if type_name not in ("customers", "mood", "positive"):
            calls.append(f"persona.copies(z) OVER (ORDER BY i) FROM (SELECT i, ({value})::{type_name} AS z FROM generate_series(1, 10) AS i) AS x")
    check_calls(cluster, calls)


# How each value type is made of rows of (i, text, number).
MADE = {"rfm": "persona.rfm(timestamptz 'epoch' + i * interval '9 hours', x)", "behaviour": "persona.behaviour(t, timestamptz 'epoch' + i * interval '9 hours', x)",
        "category_levels": "persona.categories(t, 2)", "target_encoder": "persona.target_encoder(t, x, i::text)"}


def test_values_go_out_and_in_in_binary_form_and_broken_ones_are_refused(cluster):
    random = Random(1)
    with cluster.connect() as session:
        session.query("CREATE TABLE rows AS SELECT i, 'kind ' || i % 4 AS t, (i % 7)::float8 AS x FROM generate_series(1, 40) AS i")
        for name, made in MADE.items():
            session.query(f"CREATE TABLE there AS SELECT {made} AS v FROM rows; CREATE TABLE back (v persona.{name})")
            path = cluster.directory / f"{name}.bin"
            session.query(f"COPY there TO '{path}' (FORMAT binary); COPY back FROM '{path}' (FORMAT binary)")
            assert session.scalar("SELECT (SELECT v::text FROM there) = (SELECT v::text FROM back)") is True, name
            whole = path.read_bytes()
            for _ in range(300):
                broken = bytearray(whole)
                # Behind the file's header, the number of columns and the length of the value.
                for _ in range(random.randint(1, 4)):
                    broken[random.randrange(25, len(broken) - 2)] = random.randrange(256)
                path.write_bytes(broken)
                try:
                    session.query(f"BEGIN; COPY back FROM '{path}' (FORMAT binary); SELECT v::text, persona.{name}_combine(v, v)::text FROM back")
                except ServerError as error:
                    assert error.sqlstate.startswith(CLASSES), f"{name}: {error}"
                session.query("ROLLBACK")
            session.query("DROP TABLE there, back")


def test_values_of_very_many_groups_spill(cluster):
    """A quarter of a million customers stay within twice the hash table's memory and 100 MB."""
    for name, made in MADE.items():
        with cluster.connect(options="-c work_mem=16MB -c hash_mem_multiplier=1 -c enable_sort=off -c max_parallel_workers_per_gather=0") as session:
            session.query("CREATE TEMPORARY TABLE many AS SELECT i % 250000 AS g, i % 1000 AS i, 'kind ' || i % 3 AS t, i::float8 AS x FROM generate_series(1, 500000) AS i; ANALYZE many")
            work = f"SELECT count(v) FROM (SELECT {made} AS v FROM many GROUP BY g) AS groups"
            plan = "\n".join(line for (line,) in session.rows(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {work}"))
            assert "HashAggregate" in plan and "Disk Usage" in plan, plan
            assert session.scalar(work) == 250_000
            peak = peak_memory(session.pid)
            assert peak <= 2 * (16 << 20) + (100 << 20), f"{name}: {peak >> 20} MiB"
