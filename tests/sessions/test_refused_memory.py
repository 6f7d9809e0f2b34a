"""Memory that the system refuses in the midst of a call, as a limit on the process or vm.overcommit_memory = 2 does: the call fails
with "out of memory" or is done, and neither the session nor the cluster ends.

Every fit, aggregate and window function runs in sessions that may take a few megabytes more than they have, on rows of numbers,
texts and wide arrays, so that each of its allocations is at one time the one that is refused.
"""

import os
import resource
import time

from lib.cluster import ordinary_user
from lib.pgwire import ConnectionLost, ServerError
from lib.processes import status_of
from lib.tally import Skip, long, told

MIB = 1 << 20
# The plan's own memory stays small, and no worker has the memory that the session is refused.
OPTIONS = "-c max_parallel_workers_per_gather=0 -c work_mem=16MB -c client_min_messages=error -c statement_timeout=60s"

ROWS = """
    CREATE TABLE narrow AS
        SELECT i AS id, sin(i) AS a, cos(i) AS b, (i % 977)::double precision AS c, 'group ' || i % 1000 AS g,
               md5(i::text) AS u, i % 3 = 0 AS y, timestamptz '2020-01-01' + i % 1000 * interval '1 day' AS at
        FROM generate_series(1::bigint, {n}) AS i;
    CREATE TABLE wide AS
        SELECT i AS id, ARRAY(SELECT sin(i * j) FROM generate_series(1, 1000) AS j) AS v, i % 3 = 0 AS y
        FROM generate_series(1, {n} / 100) AS i;
"""
# What the others use, made before memory is short.
MODELS = """
    SELECT persona.fit_segments('segments', 'SELECT id, a, b, c FROM narrow', 'id', 4);
    SELECT persona.fit_segments('segments', 'SELECT id, a, b, c FROM narrow', 'id', 5);
    SELECT persona.fit_scorer('scorer', 'SELECT a, b, g, y FROM narrow', 'y');
    SELECT persona.fit_recommender('recommender', 'SELECT u AS user_id, g AS item_id FROM narrow');
    SELECT persona.fit_recommender('by_users', 'SELECT id / 20 AS user_id, id * 7919 % 4999 AS item_id FROM narrow', algorithm => 'user_knn', holdout => 0);
    CREATE TABLE summaries AS
        SELECT persona.feature_quantiles(v) AS q, persona.feature_stats(v) AS s FROM wide;
    CREATE TABLE counts AS
        SELECT id % 5 AS part, persona.categories(u) AS k, persona.target_encoder(u, a) AS t,
               persona.rfm(at, abs(a)) AS r, persona.behaviour('view', at, b) AS b FROM narrow GROUP BY id % 5;
"""
# Each of what collects rows, by the name of the function in schema persona: one statement at least.
AGGREGATES = {
    "kmeans": ["SELECT persona.kmeans(ARRAY[a, b, c], 3) FROM narrow", "SELECT persona.kmeans(t, 3) FROM (SELECT a, b, c FROM narrow) AS t",
               "SELECT length(persona.kmeans(v, 20)::text) FROM wide"],
    "gaussian_mixture": ["SELECT persona.gaussian_mixture(ARRAY[a, b, c], 2, '{\"max_iterations\": 5}') FROM narrow",
                         "SELECT persona.gaussian_mixture(v[1:30], 2, '{\"max_iterations\": 3}') FROM wide"],
    "roc_auc": ["SELECT persona.roc_auc(y, a) FROM narrow"],
    "average_precision": ["SELECT persona.average_precision(y, a) FROM narrow"],
    "log_loss": ["SELECT persona.log_loss(y, abs(a)) FROM narrow"],
    "brier": ["SELECT persona.brier(y, abs(a)) FROM narrow"],
    "calibration_error": ["SELECT persona.calibration_error(y, abs(a)) FROM narrow"],
    **{name: [f"SELECT persona.{name}(y, a, 0.5) FROM narrow"] for name in ("accuracy", "precision", "recall", "f1", "mcc")},
    **{name: [f"SELECT persona.{name}(abs(a) + 1, abs(b) + 1) FROM narrow"] for name in ("rmse", "mae", "mape", "r2", "poisson_deviance")},
    "pinball": ["SELECT persona.pinball(a, b, 0.5) FROM narrow"],
    "categories": ["SELECT length(persona.categories(u)::text) FROM narrow", "SELECT persona.one_hot(persona.categories(g, 50), 'group 1') FROM narrow"],
    "target_encoder": ["SELECT length(persona.target_encoder(u, a)::text) FROM narrow",
                       "SELECT persona.encode_target(persona.target_encoder(u, a, id::text), 'none') FROM narrow"],
    "rfm": ["SELECT count(r) FROM (SELECT persona.rfm(at, abs(a)) AS r FROM narrow GROUP BY id / 2) AS q", "SELECT persona.rfm(at, abs(a)) FROM narrow"],
    "behaviour": ["SELECT count(persona.behaviour_vector(b, '2023-01-01', ARRAY['view'])) FROM (SELECT persona.behaviour('view', at, a) AS b FROM narrow GROUP BY id / 2) AS q",
                  "SELECT length(persona.behaviour('kind ' || id % 30, at, a)::text) FROM narrow"],
    "rollup": ["SELECT length(persona.rollup(k)::text) FROM counts", "SELECT length(persona.rollup(t)::text) FROM counts",
               "SELECT length(persona.rollup(r)::text) FROM counts", "SELECT length(persona.rollup(b)::text) FROM counts",
               "SELECT length(persona.rollup(q)::text) FROM summaries, generate_series(1, 3)", "SELECT persona.rollup(s) FROM summaries, generate_series(1, 3)"],
    "feature_stats": ["SELECT persona.feature_stats(v) FROM wide", "SELECT persona.feature_stats(t) FROM (SELECT a, b, c FROM narrow) AS t"],
    "feature_quantiles": ["SELECT length(persona.feature_quantiles(v)::text) FROM wide", "SELECT persona.feature_quantiles(t) FROM (SELECT a, b, c FROM narrow) AS t"],
    "standard_scaler": ["SELECT persona.standard_scaler(v) FROM wide"],
    "minmax_scaler": ["SELECT persona.minmax_scaler(v) FROM wide"],
    "maxabs_scaler": ["SELECT persona.maxabs_scaler(v) FROM wide"],
    "robust_scaler": ["SELECT persona.robust_scaler(v) FROM wide", "SELECT persona.robust_scaler(q) FROM summaries"],
    "log1p_scaler": ["SELECT persona.log1p_scaler(v) FROM (SELECT ARRAY(SELECT abs(x) FROM unnest(v) AS x) AS v FROM wide) AS q"],
    "yeo_johnson_scaler": ["SELECT persona.yeo_johnson_scaler(v[1:100]) FROM wide"],
}
WINDOWS = {
    "copies": ["SELECT count(x) FROM (SELECT persona.copies(g) OVER () AS x FROM narrow) AS q", "SELECT count(x) FROM (SELECT persona.copies(u) OVER () AS x FROM narrow) AS q"],
    "rfm_segment": ["SELECT count(x) FROM (SELECT persona.rfm_segment(r, '2023-01-01') OVER () AS x FROM (SELECT persona.rfm(at, abs(a)) AS r FROM narrow GROUP BY id / 2) AS q) AS q"],
    "score_batch": ["SELECT sum(x) FROM (SELECT persona.score_batch('scorer', t) OVER () AS x FROM narrow AS t) AS q"],
    "dbscan": ["SELECT count(x) FROM (SELECT persona.dbscan(ARRAY[a, c], 0.0001, 5) OVER () AS x FROM narrow) AS q",
               "SELECT count(x) FROM (SELECT persona.dbscan(t, 0.0001, 5) OVER () AS x FROM (SELECT a, c FROM narrow) AS t) AS q"],
    "zscore": ["SELECT sum(x) FROM (SELECT persona.zscore(a) OVER () AS x FROM narrow) AS q",
               "SELECT sum(x) FROM (SELECT persona.zscore(a) OVER (ORDER BY id ROWS BETWEEN 99999 PRECEDING AND CURRENT ROW) AS x FROM narrow LIMIT 50000) AS q"],
    "minmax": ["SELECT sum(x) FROM (SELECT persona.minmax(a) OVER () AS x FROM narrow) AS q"],
    "robust": ["SELECT sum(x) FROM (SELECT persona.robust(a) OVER () AS x FROM narrow) AS q"],
    "winsorize": ["SELECT sum(x) FROM (SELECT persona.winsorize(a, 0.1, 0.9) OVER () AS x FROM narrow) AS q"],
}
CALLS = {
    "fit_segments": ["SELECT persona.fit_segments('new_segments', 'SELECT id, a, b, c FROM narrow', 'id', 3)",
                     "SELECT persona.fit_segments('new_segments', 'SELECT u, u AS word, a, b FROM narrow', 'u', 3, features => ARRAY['a', 'b', 'word'])",
                     "SELECT persona.fit_segments('saved_segments', 'SELECT u, a, b FROM narrow', 'u', 3, save_to => 'saved')",
                     "SELECT persona.fit_segments('new_segments', 'SELECT id, a, b, c FROM narrow', 'id', 3, storage => 'disk')",
                     "SELECT persona.fit_segments('new_segments', 'SELECT id, a, b, c FROM narrow', 'id', 3, storage => 'memory')",
                     "SELECT persona.fit_segments('new_segments', 'SELECT id, v FROM wide', 'id', 3)"],
    "choose_k": ["SELECT persona.choose_k('SELECT a, b, c FROM narrow', 2, 4, sample_rows => 5000)"],
    "describe": ["SELECT persona.describe('SELECT * FROM narrow')", "SELECT persona.describe('SELECT q.* FROM narrow, LATERAL (SELECT u, u || 1, u || 2, u || 3, u || 4, u || 5, a, a * 2, a * 3, a * 4) AS q')"],
    "fit_scorer": ["SELECT persona.fit_scorer('new_scorer', 'SELECT a, b, u, g, y FROM narrow', 'y')", "SELECT persona.fit_scorer('new_scorer', 'SELECT y, v[1:100] AS v FROM wide', 'y')",
                   "SELECT persona.fit_scorer('new_scorer', 'SELECT a, b, g, u, y FROM narrow', 'y', key => 'u')",
                   "SELECT persona.fit_scorer('new_scorer', 'SELECT a, b, g, u, y FROM narrow', 'y', 'boosted_trees', '{\"n_trees\": 20}', key => 'u')"],
    "evaluate": ["SELECT persona.evaluate('scorer', 'SELECT a, b, g, y FROM narrow', 'y')"],
    "fit_recommender": ["SELECT persona.fit_recommender('new_recommender', 'SELECT id / 20 AS user_id, id * 7919 % 4999 AS item_id FROM narrow')",
                        "SELECT persona.fit_recommender('new_recommender', 'SELECT u AS user_id, g AS item_id FROM narrow')",
                        "SELECT persona.fit_recommender('new_recommender', 'SELECT id / 20 AS user_id, id * 7919 % 4999 AS item_id FROM narrow', algorithm => 'user_knn')"],
    "evaluate_recommender": ["SELECT persona.evaluate_recommender('recommender', 'SELECT u AS user_id, g AS item_id FROM narrow LIMIT 50000')"],
    "recommend_all": ["SELECT count(*) FROM persona.recommend_all('recommender', 10)"],
    "save_recommendations": ["SELECT persona.save_recommendations('recommender', 'pages', 10)"],
    "recommend": ["SELECT persona.recommend('recommender', 'nobody')", "SELECT count(p) FROM generate_series(1, 50) AS u, LATERAL persona.recommend('by_users', u, 500) AS p", "SELECT count(p) FROM generate_series(1, 50), LATERAL persona.recommend('recommender', 'nobody', 500) AS p"],
    "recommend_for": ["SELECT count(*) FROM persona.recommend_for('recommender', (SELECT array_agg(u) FROM narrow), 10)"],
    "segment_flow": ["SELECT persona.segment_flow('segments')"],
    "report": ["SELECT length(persona.report('segments'))"],
    "refit": ["SELECT persona.refit('segments', force => true)", "SELECT persona.refit('scorer', force => true)"],
    "publish": ["SELECT persona.publish('segments', 'published', key => 'id')"],
    "export_onnx": ["SELECT length(persona.export_onnx('scorer'))"],
    "import_onnx": ["SELECT persona.import_onnx('new_graph', decode(repeat('00', 30000000), 'hex'))", "SELECT persona.import_onnx('new_graph', persona.export_onnx('scorer'))"],
    "hash_features": ["SELECT persona.hash_features((SELECT array_agg(u) FROM narrow), 4096)"],
    "polynomial": ["SELECT length(persona.polynomial(array_fill(1.5::double precision, ARRAY[80]))::text)"],
    "impute": ["SELECT array_length(persona.impute((SELECT array_agg(a) FROM narrow), (SELECT array_agg(b) FROM narrow)), 1)"],
    "quantile": ["SELECT persona.quantile(q, 0.5) FROM summaries"],
    "quantile_scaler": ["SELECT persona.quantile_scaler(q) FROM summaries"],
    "category_names": ["SELECT sum(array_length(persona.category_names(k), 1)) FROM counts"],
    "score": ["SELECT sum(persona.score('scorer', t)) FROM narrow AS t"],
    "segment": ["SELECT sum(persona.segment('segments', t)) FROM narrow AS t"],
}
WORK = AGGREGATES | WINDOWS | CALLS
# By SQLSTATE or class: out of memory; the time of the test is over; the bytes that are no graph.
KINDS = {"53": "refused", "54000": "refused", "57014": "done", "22P03": "done"}
# Those by which aggregates are declared, and what takes no rows.
NOT_FITS = {"refit_job"}
COLLECTING = """
    SELECT DISTINCT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'persona' AND (p.prokind IN ('a', 'w') OR p.provolatile = 'v' AND p.procost >= 1000000) ORDER BY 1
"""


def test_every_fit_aggregate_and_window_function_runs_short_of_memory(cluster):
    with cluster.connect() as session:
        found = {name for (name,) in session.rows(COLLECTING)}
    missing = found - set(WORK) - NOT_FITS
    assert not missing, f"not in WORK: {', '.join(sorted(missing))}"


def test_refused_memory_is_an_error_of_the_statement(cluster):
    check_all(cluster, n=40_000, extras=(1, 4, 12, 30))


@long
def test_refused_memory_is_an_error_of_the_statement_at_many_limits(cluster):
    check_all(cluster, n=300_000, extras=(1, 4, 9, 16, 30, 48, 80, 150, 280, 400))


@long
def test_refused_memory_is_an_error_of_the_statement_on_many_rows(cluster):
    check_all(cluster, n=1_500_000, extras=(16, 48, 150, 400, 900), names={*AGGREGATES, *WINDOWS, "fit_segments", "fit_scorer", "fit_recommender", "describe"})


def check_all(cluster, n, extras, names=WORK):
    with cluster.connect(timeout=600) as session:
        session.query(ROWS.format(n=n))
        session.query("VACUUM ANALYZE narrow, wide")
        session.query(MODELS)
        started = session.scalar("SELECT pg_postmaster_start_time()")
    wrong, refused, done = [], 0, 0
    slowest = (0, None)
    for name in names:
        for statement in WORK[name]:
            for extra in extras:
                began = time.monotonic()
                end = run_short_of_memory(cluster, statement, extra * MIB)
                slowest = max(slowest, (time.monotonic() - began, statement))
                refused += end == "refused"
                done += end == "done"
                if end not in ("refused", "done"):
                    wrong.append(f"{name} with {extra} MiB: {end}: {statement}")
    with cluster.connect() as session:
        if session.scalar("SELECT pg_postmaster_start_time()") != started:
            wrong.append("the server has started anew")
    told(f"{n} rows: {done} done, {refused} refused, {len(wrong)} wrong, at most {slowest[0]:.1f} s: {slowest[1]}")
    assert not wrong, "\n".join(wrong)
    assert refused > len(names), f"only {refused} were refused"


def run_short_of_memory(cluster, statement, extra):
    """done, refused, or what else became of the statement and of the session."""
    with connected(cluster) as session:
        limit_memory(session.pid, 1024 * int(status_of(f"/proc/{session.pid}/status", "VmSize")) + extra)
        try:
            session.query(statement)
            end = "done"
        except ServerError as error:
            end = KINDS.get(error.sqlstate, KINDS.get(error.sqlstate[:2], f"{error.sqlstate} {error.message}"))
        except (ConnectionLost, OSError) as lost:
            return f"lost: {lost}"
        limit_memory(session.pid, resource.RLIM_INFINITY)
        try:
            session.query("SELECT persona.kmeans(ARRAY[x], 1) FROM generate_series(1, 3) AS x")
        except (ServerError, ConnectionLost, OSError) as after:
            return f"{end}, and after it {after}"
        return end


def limit_memory(pid, limit):
    """Sets how many addresses a process may have. That takes the user that it runs as, or a right that root may lack."""
    limits, user = (limit, resource.RLIM_INFINITY), ordinary_user()
    child = os.fork()
    if child == 0:
        try:
            if user:
                os.setgroups([])
                os.setgid(user["group"])
                os.setuid(user["user"])
            resource.prlimit(pid, resource.RLIMIT_AS, limits)
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(child, 0)[1] != 0:
        raise Skip("this user may not limit the memory of a server's process")


def connected(cluster):
    """A session, also of a server that comes back from a crash."""
    deadline = time.monotonic() + 30
    while True:
        try:
            session = cluster.connect(options=OPTIONS, timeout=90)
            session.query("SELECT persona.kmeans(ARRAY[x], 1) FROM generate_series(1, 3) AS x")
            return session
        except (OSError, ServerError, ConnectionLost):
            assert time.monotonic() < deadline, "the server did not come back"
            time.sleep(0.2)
