"""Small data and models that the tests with several sessions share. Of each model there are two versions that answer differently.

`VERSION_SEEN[model]` is a query of one integer: which of the two a session's scoring functions use.
"""

# Three groups of customers of 50, 30 and 20 %: with k = 3 the smallest is segment 3, with k = 2 no segment is.
CUSTOMERS = """
    CREATE TABLE {table} (id bigint PRIMARY KEY, spend double precision, visits double precision, city text, bought boolean);
    INSERT INTO {table}
    SELECT i,
           CASE WHEN i % 10 < 5 THEN 0 WHEN i % 10 < 8 THEN 100 ELSE 210 END + (i * 7919 % 1000) / 200.0,
           CASE WHEN i % 10 < 5 THEN 0 WHEN i % 10 < 8 THEN 90 ELSE 20 END + (i * 104729 % 1000) / 300.0,
           (ARRAY['Delft', 'Graz', 'Lyon'])[1 + i % 3],
           (i * 7919 % 1000) + (i % 7) * 60 > 600
    FROM generate_series(1::bigint, {n}) AS i;
"""
EVENTS = """
    CREATE TABLE {table} (user_id bigint, item_id bigint);
    INSERT INTO {table}
    SELECT DISTINCT u, (u * 7 + j * j * 13 + u * j) % 40 + 1 FROM generate_series(1, {n_users}) AS u, generate_series(1, 9) AS j;
"""
FIT = {
    "seg": "SELECT FROM persona.fit_segments('seg', 'customers', 'id', {k}, features => '{{spend,visits}}')",
    "sco": "SELECT FROM persona.fit_scorer('sco', 'SELECT spend, visits, city, (bought = {wanted}) AS good FROM customers', 'good')",
    "rec": "SELECT FROM persona.fit_recommender('rec', 'SELECT user_id, item_id + {shift} AS item_id FROM events', holdout => 0)",
}
MODELS = tuple(FIT)
# Customer 9 is of the smallest group; customer 31 is likelier to buy than not.
VERSION_SEEN = {
    "seg": "SELECT CASE persona.segment('seg', c) WHEN 3 THEN 2 ELSE 1 END FROM customers c WHERE id = 9",
    "sco": "SELECT CASE WHEN persona.score('sco', c) < persona_half() THEN 2 ELSE 1 END FROM customers c WHERE id = 31",
    "rec": "SELECT CASE WHEN item > 1000 THEN 2 ELSE 1 END FROM persona.recommend('rec', 1, 1)",
}


def make_data(connection, n=1000, n_users=100):
    connection.query(CUSTOMERS.format(table="customers", n=n) + EVENTS.format(table="events", n_users=n_users))


def fit(connection, model, version):
    """A fit whose result is the model as `version` 1 or 2 would be."""
    first = version == 1
    connection.query(FIT[model].format(k=2 if first else 3, wanted="true" if first else "false", shift=0 if first else 1000))


def make_models(connection, n=1000, n_users=100):
    """The data, and all three models with both versions, version 1 active."""
    make_data(connection, n, n_users)
    for model in FIT:
        fit(connection, model, 1)
        fit(connection, model, 2)
        activate(connection, model, 1)
    scores = []
    for version in (1, 2):
        activate(connection, "sco", version)
        scores.append(connection.scalar("SELECT persona.score('sco', c) FROM customers c WHERE id = 31"))
    activate(connection, "sco", 1)
    low, high = sorted(scores)
    assert high - low > 1e-3, f"the two scorers answer alike: {scores}"
    sign = "" if scores[1] < scores[0] else "-"
    assert sign == "", f"version 2 must answer less for customer 31: {scores}"
    connection.query(f"CREATE FUNCTION persona_half() RETURNS float8 IMMUTABLE LANGUAGE sql AS 'SELECT {(low + high) / 2}::float8'")


def activate(connection, model, version):
    connection.query(f"SELECT persona.activate('{model}', {version})")


def version_seen(connection, model):
    return connection.scalar(VERSION_SEEN[model])


def expect(session, model, version, when):
    seen = version_seen(session, model)
    assert seen == version, f"{model} {when}: version {seen} answers, not {version}"
