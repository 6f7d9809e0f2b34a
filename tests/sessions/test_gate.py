"""The registry's gate: who may do what with a model, and that nobody but the extension's functions writes the registry.

The matrix is made from pg_proc: a function of the extension that is not listed here fails the test.
"""

from lib import models
from lib.pgwire import ServerError

TABLES = ("model", "model_version", "model_chunk", "model_evidence", "segment_name", "publication", "refit_run")
# Who asks, as a role of the server; of the model `holly` is the owner.
ROLES = {"superuser": "postgres", "owner": "holly", "member": "mem", "user": "usa", "reader": "rea", "stranger": "stu", "pg_read_all_data": "pam"}
# What a call needs: the least that a grant must give, the rights of the owner, or to be the owner.
ALLOWED = {
    "nothing": set(ROLES),
    "use": {"superuser", "owner", "member", "user", "reader"},
    "read": {"superuser", "owner", "member", "reader"},
    "own": {"superuser", "owner", "member"},
    "be": {"owner"},
}
BLIND = {"stranger", "pg_read_all_data"}


def row_forms(function, model):
    return [f"SELECT persona.{function}('{model}', {row}) FROM customers c LIMIT 1" for row in ("c", "to_jsonb(c)", "to_jsonb(c)::text")]


# Functions of a model: what each needs, and calls of it. A fit onto a name that the role may not see says that it is taken.
CALLS = {
    "segment": ("use", row_forms("segment", "seg")),
    "distance": ("use", row_forms("distance", "seg")),
    "second_segment": ("use", row_forms("second_segment", "seg")),
    "anomaly": ("use", row_forms("anomaly", "seg")),
    "anomaly_reasons": ("use", row_forms("anomaly_reasons", "seg")),
    "segments": ("use", ["SELECT * FROM persona.segments('seg')"]),
    "segment_profile": ("use", ["SELECT * FROM persona.segment_profile('seg')"]),
    "segment_quality": ("use", ["SELECT * FROM persona.segment_quality('seg')"]),
    "report": ("use", ["SELECT persona.report('seg')"]),
    "segment_changes": ("read", ["SELECT * FROM persona.segment_changes('seg')"]),
    "segment_flow": ("own", ["SELECT * FROM persona.segment_flow('seg', 1, 1)"]),
    "name_segment": ("own", ["SELECT persona.name_segment('seg', 1, 'x')"]),
    "score": ("use", row_forms("score", "sco")),
    "score_batch": ("use", [f"SELECT persona.score_batch('sco', {row}) OVER () FROM customers c LIMIT 1"
                            for row in ("c", "to_jsonb(c)", "to_json(c)", "to_jsonb(c)::text")]),
    "predict": ("use", row_forms("predict", "sco")),
    "evaluate": ("use", ["SELECT * FROM persona.evaluate('sco', 'SELECT *, bought AS good FROM customers', 'good')"]),
    "export_onnx": ("read", ["SELECT persona.export_onnx('sco')"]),
    "compare": ("read", ["SELECT * FROM persona.compare('sco', 1, 1, 'SELECT *, bought AS good FROM customers', 'good')"]),
    "holdout_scores": ("read", ["SELECT * FROM persona.holdout_scores('sco')"]),
    "recommend": ("use", ["SELECT * FROM persona.recommend('rec', 1)", "SELECT * FROM persona.recommend('rec', '1'::text)"]),
    "recommend_for": ("use", ["SELECT * FROM persona.recommend_for('rec', '{1}'::bigint[])", "SELECT * FROM persona.recommend_for('rec', '{1}'::text[])",
                              "SELECT * FROM persona.recommend_for('rec', '{1}')"]),
    "similar_items": ("use", ["SELECT * FROM persona.similar_items('rec', 1)", "SELECT * FROM persona.similar_items('rec', '1'::text)"]),
    "evaluate_recommender": ("use", ["SELECT * FROM persona.evaluate_recommender('rec', 'events')"]),
    "recommend_all": ("read", ["SELECT * FROM persona.recommend_all('rec', 2)"]),
    "save_recommendations": ("read", ["SELECT * FROM persona.save_recommendations('rec', 'pg_temp.copy', 2)"]),
    "activate": ("own", ["SELECT persona.activate('seg', 1)", "SELECT persona.activate('sco', 1)"]),
    "drop_version": ("own", ["SELECT persona.drop_version('seg', 2)"]),
    # They name no model: test_versions asks them.
    "grant_models": (None, []),
    "revoke_models": (None, []),
    "drop_model": ("own", ["SELECT persona.drop_model('rec')"]),
    "rename_model": ("own", ["SELECT persona.rename_model('rec', 'other')"]),
    "grant_model": ("own", ["SELECT persona.grant_model('rec', 'stu', 'read')"]),
    "revoke_model": ("own", ["SELECT persona.revoke_model('rec', 'usa')"]),
    "set_owner": ("own", ["SELECT persona.set_owner('rec', 'holly')"]),
    "unpublish": ("own", ["SELECT persona.unpublish('seg', 'labels')"]),
    "refit": ("own", ["SELECT persona.refit('seg')", "SELECT persona.refit('sco')", "SELECT persona.refit('rec')"]),
    "publish": ("be", ["SELECT * FROM persona.publish('sco', 'scores', key => 'id', source => 'SELECT * FROM customers')"]),
    "fit_segments": ("be", [models.FIT["seg"].format(k=2)]),
    "fit_scorer": ("be", [models.FIT["sco"].format(wanted="true")]),
    "fit_recommender": ("be", [models.FIT["rec"].format(shift=0)]),
    "import_onnx": ("be", ["SELECT FROM persona.import_onnx('sco', (SELECT graph FROM graphs), features => '{a,b,c,d,e,f,g,h}')"]),
    # Says nothing to whom it is not for; refit_job calls it.
    "log_refit_failure": ("nothing", ["SELECT persona.log_refit_failure('seg', now(), 'XX000', 'none')"]),
    # Outside a transaction block alone; it does what refit does.
    "refit_job": (None, []),
    "profile": ("nothing", ["SELECT * FROM persona.profile('1')", "SELECT * FROM persona.profile(1)"]),
    "model_privilege": ("nothing", ["SELECT persona.model_privilege(1)"]),
    "may": ("nothing", ["SELECT persona.may(1, 'own')"]),
}
# Functions that know no model: they read what the caller gives them, or a source as the caller. Curves take a scorer's name for its holdout, which
# test_curves asks for.
OF_NO_MODEL = """
    accuracy activity_rows algorithm_rows array_columns average_precision behaviour behaviour_feature_names behaviour_vector brier calibration calibration_error categories category_counts category_names
    centroids choose_k components confusion confusion_hits copies customer_age cyclic dbscan describe encode_target f1 feature_quantiles feature_stats
    feature_stats_rows features fold frequency gaussian_mixture hash_features hidden hour_cycle impute in_transaction_block interactions
    iqr_outliers keep kmeans kurtosis lift_table log1p_scaler log_density log_loss mae mape maxabs_scaler mcc mean mean_amount median membership minmax
    minmax_scaler monetary month_cycle most_frequent one_hot ordinal pinball poisson_deviance polynomial pr_curve precision profit_curve providers purchase_span quantile quantile_bins
    quantile_scaler r2 recall recency repeat_amount repeat_days rfm rfm_segment rmse robust robust_scaler roc_auc roc_curve rollup scale onnx_status skewness
    standard_scaler stddev_pop stddev_samp target_encoder threshold_for unscale weekday_cycle winsorize yeo_johnson_scaler zscore zscore_outliers
"""


def test_every_function_asks_whether_the_role_may(cluster):
    with cluster.connect() as admin:
        make_roles(admin)
        with admin_as(admin, "holly"):
            admin.query("SELECT FROM persona.fit_segments('seg', 'customers', 'id', 2, activate => false)")
        listed = set(CALLS) | set(OF_NO_MODEL.split())
        found = {name for (name,) in admin.rows("""
            SELECT DISTINCT p.proname FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
            JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'pg_persona'
            WHERE NOT EXISTS (SELECT FROM pg_type t WHERE p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend))
              AND NOT EXISTS (SELECT FROM pg_aggregate a WHERE p.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn))""")}
        assert not found - listed, f"say in this file what these functions need: {sorted(found - listed)}"
        assert not listed - found, f"there is no such function: {sorted(listed - found)}"
        for kind, user in ROLES.items():
            with cluster.connect(user=user) as session:
                for name, (needed, calls) in CALLS.items():
                    for call in calls:
                        check_call(session, kind, name, needed, call)


def check_call(session, kind, name, needed, call):
    session.query("BEGIN")
    try:
        session.query(call)
        state = None
    except ServerError as error:
        state = error.sqlstate
    finally:
        session.query("ROLLBACK")
    if kind in ALLOWED[needed]:
        expected = None
    elif kind in BLIND:
        expected = "42710" if name.startswith(("fit_", "import_")) else "42704"
    else:
        expected = "42501"
    assert state == expected, f"{call} as {kind}: {state}, not {expected}"


def make_roles(admin):
    models.make_data(admin, 300, 40)
    graph = (models.__file__.rsplit("/lib", 1)[0] + "/fixtures/onnx/logistic.onnx")
    with open(graph, "rb") as file:
        admin.query(f"CREATE TABLE graphs AS SELECT '\\x{file.read().hex()}'::bytea AS graph")
    for role in ("holly", "mem", "usa", "rea", "stu", "pam"):
        if not admin.scalar(f"SELECT count(*) FROM pg_roles WHERE rolname = '{role}'"):
            admin.query(f"CREATE ROLE {role} LOGIN")
    admin.query("GRANT holly TO mem; GRANT pg_read_all_data TO pam; GRANT SELECT ON customers, events, graphs TO holly, usa, rea, stu;"
                "GRANT ALL ON SCHEMA public TO PUBLIC; CREATE EXTENSION IF NOT EXISTS plpgsql")
    with admin_as(admin, "holly"):
        for model in models.MODELS:
            models.fit(admin, model, 1)
            admin.query(f"SELECT persona.grant_model('{model}', 'usa'), persona.grant_model('{model}', 'rea', 'read')")
        admin.query("SELECT FROM persona.publish('seg', 'labels', history_table => 'moves'); GRANT SELECT ON labels, moves TO PUBLIC")


class admin_as:
    """The superuser's session under another role."""

    def __init__(self, admin, role):
        self.admin, self.role = admin, role

    def __enter__(self):
        self.admin.query(f"SET ROLE {self.role}")

    def __exit__(self, *_):
        self.admin.query("RESET ROLE")


def test_who_looks_sees_what_he_may(cluster):
    with cluster.connect() as admin:
        make_roles(admin)
        # What each sees of a model: whether there is a row, and whether it has the source.
        seen = {"superuser": True, "owner": True, "member": True, "user": False, "reader": True}
        for kind, user in ROLES.items():
            with cluster.connect(user=user) as session:
                shown = session.rows("SELECT model, source IS NOT NULL, metrics IS NOT NULL FROM persona.models ORDER BY 1")
                versions = session.rows("SELECT model, source IS NOT NULL AND parameters IS NOT NULL, true FROM persona.model_versions ORDER BY 1")
                expected = [(model, seen[kind], True) for model in ("rec", "sco", "seg")] if kind in seen else []
                assert shown == expected and versions == expected, f"{kind}: {shown}, {versions}"
                for table in TABLES:
                    rows = session.scalar(f"SELECT count(*) FROM persona.{table} WHERE true")
                    may_look = kind in ("superuser", "owner", "member") and table not in ("refit_run", "segment_name")
                    assert (rows > 0) == may_look, f"{kind} sees {rows} rows of {table}"
                    if kind != "superuser":
                        for statement in (f"DELETE FROM persona.{table}", f"TRUNCATE persona.{table}", f"INSERT INTO persona.{table} DEFAULT VALUES",
                                          f"COPY persona.{table} FROM STDIN", f"SELECT FROM persona.{table} FOR UPDATE"):
                            assert session.error(statement).sqlstate == "42501", f"{kind}: {statement}"
                if kind != "superuser":
                    assert session.error("SELECT nextval('persona.model_id_seq')").sqlstate == "42501"
                    assert session.error("SELECT setval('persona.model_id_seq', 1000)").sqlstate == "42501"


def test_a_view_hands_out_nothing_before_it_has_asked(cluster):
    with cluster.connect() as admin:
        make_roles(admin)
        with cluster.connect(user="stu") as stranger:
            stranger.query("CREATE FUNCTION leak(text) RETURNS boolean COST 0.0001 LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'leaked %', $1; RETURN true; END $$")
            for view, column in (("models", "model"), ("model_versions", "model"), ("refit_log", "model"), ("models", "source")):
                assert stranger.rows(f"SELECT * FROM persona.{view} WHERE leak({column})") == []
            assert not stranger.notices, stranger.notices


def test_a_grant_counts_at_once_and_is_gone_at_once(cluster):
    with cluster.connect() as admin:
        make_roles(admin)
        ask = "SELECT persona.segment('seg', c) FROM customers c LIMIT 1"
        with cluster.connect(user="stu") as session:
            for give, take in (("SELECT persona.grant_model('seg', 'stu')", "SELECT persona.revoke_model('seg', 'stu')"),
                               ("SELECT persona.grant_model('seg', 'public')", "SELECT persona.revoke_model('seg', 'public')"),
                               ("GRANT usa TO stu", "REVOKE usa FROM stu"), ("GRANT holly TO stu", "REVOKE holly FROM stu"),
                               ("ALTER ROLE stu SUPERUSER", "ALTER ROLE stu NOSUPERUSER")):
                for round in range(3):
                    assert session.error(ask).sqlstate == "42704", f"before {give}"
                    admin.query(give)
                    assert session.rows(ask), give
                    admin.query(take)
                    assert session.error(ask).sqlstate == "42704", f"after {take}"
            # A membership is none of a transaction's snapshot's: what is revoked is gone in an old one, too.
            admin.query("GRANT usa TO stu")
            session.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
            assert session.rows(ask)
            admin.query("REVOKE usa FROM stu")
            assert session.error(ask).sqlstate == "42704"
            session.query("ROLLBACK")
            # Nor does another role of the session have what the one before had.
            admin.query("GRANT stu TO rea")
        with cluster.connect(user="rea") as session:
            session.query("BEGIN")
            assert session.rows(ask)
            session.query("SET ROLE stu")
            assert session.error(ask).sqlstate == "42704"
            session.query("ROLLBACK")
        admin.query("REVOKE stu FROM rea")


def test_a_name_that_is_hidden_is_taken_whatever_is_done(cluster):
    with cluster.connect() as admin:
        make_roles(admin)
        with cluster.connect(user="stu") as stranger:
            stranger.query("SELECT FROM persona.fit_recommender('mine', 'events')")
            for statement in ("SELECT persona.rename_model('mine', 'seg')", models.FIT["seg"].format(k=2), models.FIT["rec"].format(shift=0)):
                error = stranger.error(statement)
                assert error.sqlstate == "42710" and "already exists" in error.message and "recommender" not in str(error.detail), f"{statement}: {error}"
            missing, hidden = (stranger.error(f"SELECT persona.segment('{name}', c) FROM customers c LIMIT 1") for name in ("nothing", "seg"))
            assert missing.message.replace("nothing", "seg") == hidden.message and missing.hint == hidden.hint
        with cluster.connect(user="usa") as session:
            error = session.error(models.FIT["seg"].format(k=2))
            assert error.sqlstate == "42501" and error.hint.startswith("Ask its owner"), error
        error = admin.error(models.FIT["seg"].format(k=2))
        assert error.sqlstate == "42501" and 'SET ROLE "holly"' in error.hint, error


def test_row_security_off_and_owners_change_nothing(cluster):
    with cluster.connect() as admin:
        make_roles(admin)
        with cluster.connect(user="usa") as session:
            session.query("SET row_security = off")
            assert session.rows("SELECT persona.segment('seg', c) FROM customers c LIMIT 1")
            assert session.rows("SELECT * FROM persona.profile('1')")
            assert len(session.rows("SELECT * FROM persona.models")) == 3
        # A table that is refreshed as in a restore: its owner's model, by somebody who is not the owner, without row-level security.
        with cluster.connect(user="holly") as owner:
            owner.query("CREATE MATERIALIZED VIEW labelled AS SELECT id, persona.segment('seg', c) AS segment FROM customers c")
        admin.query("SET row_security = off; REFRESH MATERIALIZED VIEW labelled")
        assert admin.scalar("SELECT count(*) FROM labelled WHERE segment IS NOT NULL") == 300


def test_parallel_workers_ask_as_the_caller(cluster):
    with cluster.connect() as admin:
        make_roles(admin)
        for kind in ("user", "stranger"):
            with cluster.connect(user=ROLES[kind]) as session:
                session.query("SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;"
                              "SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off")
                ask = "SELECT count(persona.segment('seg', c)) + count(persona.score('sco', c)) FROM customers c"
                assert any("Workers" in line for (line,) in session.rows(f"EXPLAIN {ask}")), "the plan is not parallel"
                if kind == "user":
                    assert session.scalar(ask) == 600
                else:
                    assert session.error(ask).sqlstate == "42704"


def test_the_owner_can_be_gone(cluster):
    with cluster.connect() as admin:
        make_roles(admin)
        admin.query("CREATE ROLE gone LOGIN; GRANT SELECT ON customers, events TO gone; GRANT gone TO mem")
        with cluster.connect(user="gone") as owner:
            owner.query("SELECT FROM persona.fit_segments('left', 'customers', 'id', 2, features => '{spend}')")
            owner.query("SELECT persona.grant_model('left', 'usa')")
        admin.query("DROP OWNED BY gone; DROP ROLE gone")
        with cluster.connect(user="usa") as session:
            assert session.rows("SELECT persona.segment('left', c) FROM customers c LIMIT 1"), "who was granted it may go on"
            assert session.error("SELECT persona.refit('left')").sqlstate == "42501"
        for statement in ("SELECT persona.refit('left')", "SELECT * FROM persona.segment_flow('left', 1, 1)", "SELECT persona.report('left')",
                          "SELECT * FROM persona.publish('left', 'left_labels')",
                          "SELECT FROM persona.fit_segments('left', 'customers', 'id', 2, features => '{spend}')"):
            error = admin.error(statement)
            assert error.sqlstate == "55000" and "does not exist" in error.message, f"{statement}: {error}"
        assert admin.scalar("SELECT persona.report('left', with_rows => false)")
        admin.query("SELECT persona.drop_model('left')")
