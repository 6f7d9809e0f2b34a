"""Odd values through the functions that describe, encode, clean and follow customers: a value, or an error of the caller's class."""

import itertools

from lib.corpus import COLUMNS, COUNTS, NAMES, NUMBERS, SOURCES, TEXTS, TIMES, VALUES, check_calls


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
    for text, at in itertools.product(TEXTS, TIMES):
        calls += [f"persona.features(persona.behaviour({text}, {at}::timestamptz, 1), now())", f"persona.features(persona.behaviour('view', now(), 1), {at}::timestamptz, ARRAY[{text}])",
                  f"persona.behaviour_vector(persona.behaviour('view', {at}::timestamptz, 1), {at}::timestamptz, ARRAY['view', {text}])"]
    for names in NAMES:
        calls += [f"persona.behaviour_feature_names({names})", f"persona.features('{{\"events\":{{}}}}', now(), {names})", f"persona.behaviour_vector(NULL, now(), {names})"]
    for number in NUMBERS:
        calls += [f"persona.behaviour_vector(persona.behaviour('view', now(), {number}), now(), '{{view}}', {number})",
                  f"persona.rollup(b)::text FROM (SELECT persona.behaviour('view', now(), {number}) AS b FROM generate_series(1, 3) AS i GROUP BY i) AS x"]
    for value in VALUES + ["'{\"events\":{\"view\":[[0,1,1e308]]}}'", "'{\"events\":{\"view\":[[0,18446744073709551615,0]]}}'"]:
        calls += [f"({value})::persona.behaviour::text", f"persona.behaviour_combine({value}, {value})::text", f"persona.behaviour_add({value}, 'view', 'epoch', 1e308)::text",
                  f"persona.behaviour_final({value})", f"persona.features({value}, now())"]
    check_calls(cluster, calls)


def test_odd_purchases_are_scored(cluster):
    calls = []
    for at, as_of, text in itertools.product(TIMES, TIMES, TEXTS[:4] + ["'day'"]):
        rfm = f"persona.rfm({at}::timestamptz, 1)"
        calls += [f"persona.recency({rfm}, {as_of}::timestamptz, {text})", f"persona.customer_age({rfm}, {as_of}::timestamptz, {text})", f"persona.purchase_span({rfm}, {text})"]
    for count, as_of in itertools.product(COUNTS, TIMES):
        calls.append(f"persona.rfm_segment(persona.rfm(now(), 1), {as_of}::timestamptz, {count}) OVER ()")
    for number, other in itertools.product(NUMBERS, NUMBERS):
        rows = f"FROM (VALUES ({number}::float8), ({other}::float8)) AS v (x)"
        calls += [f"persona.repeat_days(persona.rfm(now(), x)), persona.repeat_amount(persona.rfm(now(), x)) {rows}", f"persona.rfm(now(), x)::text {rows}"]
    for value in VALUES + ["'{\"n\":2,\"first\":0,\"last\":86400,\"days\":[[0,1e308],[1,1e308]]}'"]:
        calls += [f"({value})::persona.rfm::text", f"persona.rfm_combine({value}, {value})::text", f"persona.rfm_add({value}, now(), 1)::text", f"persona.rfm_final({value})",
                  f"persona.monetary({value})", f"persona.repeat_amount({value})"]
    check_calls(cluster, calls)
