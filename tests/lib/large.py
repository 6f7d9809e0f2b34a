"""Tables that fits take a while over, and the statements that do."""

# Fits and a read that take a while, from tables that `make_large` makes.
LONG_WORK = {
    "fit_segments": "SELECT FROM persona.fit_segments('seg', 'points', 'id', 40, n_init => 8, scaling => 'none', features => '{a,b,c,d,label}')",
    "kmeans": "SELECT persona.kmeans(ARRAY[a, b, c, d], 40, '{\"n_init\": 8}') FROM points",
    "fit_scorer": "SELECT FROM persona.fit_scorer('sco', 'points', 'label', key => 'id')",
    "fit_recommender": "SELECT FROM persona.fit_recommender('rec', 'events')",
    "recommend_all": "SELECT count(*) FROM persona.recommend_all('served', 50)",
    "gaussian_mixture": "SELECT persona.gaussian_mixture(ARRAY[a, b, c, d], 8, '{\"tolerance\": 0, \"max_iterations\": 30}') FROM points",
    "dbscan": "SELECT count(s) FROM (SELECT persona.dbscan(ARRAY[a, b, c, d], 4, 9) OVER () AS s FROM points) q",
}
MODEL = {"fit_segments": "seg", "fit_scorer": "sco", "fit_recommender": "rec"}


def make_large(session, n=60_000, n_users=1500):
    session.query(f"""
        CREATE TABLE points AS
        SELECT i AS id, sin(i) * 100 AS a, cos(i * 1.7) * 10 AS b, (i * 7919 % 10007) / 100.0::float8 AS c,
               (i * 104729 % 1009)::float8 AS d, (i * 31 % 100 < 20 + 40 * sin(i)) AS label,
               (ARRAY['red', 'green', 'blue', 'grey'])[1 + i % 4] AS colour
        FROM generate_series(1::bigint, {n}) AS i;
        CREATE TABLE events AS
        SELECT DISTINCT u AS user_id, (u * 7 + j * j * 131 + u * j) % 3000 AS item_id
        FROM generate_series(1::bigint, {n_users}) AS u, generate_series(1, 30) AS j;
        ANALYZE;""")
    session.query("SELECT FROM persona.fit_recommender('served', 'events', holdout => 0)")


def is_working(admin, pid):
    return admin.scalar(f"SELECT count(*) FROM persona.activity WHERE pid = {pid} AND phase <> 'reading'") == 1
