"""Versions of models: which are kept, which may go, and which one wrote a published row."""

from lib import models
from lib.pgwire import ServerError


def refused(session, statement, sqlstate, part):
    try:
        session.query(statement)
    except ServerError as error:
        assert error.sqlstate == sqlstate and part in str(error), error
    else:
        raise AssertionError(f"{statement} was not refused")


def versions(session, model="seg"):
    return [row[0] for row in session.rows(f"SELECT version FROM persona.model_versions WHERE model = '{model}' ORDER BY version")]


def test_a_version_is_dropped_for_good(cluster):
    with cluster.connect() as session:
        models.make_models(session, 400, 40)
        first = versions(session)
        for _ in range(3):
            session.query("SELECT persona.refit('seg')")
        newest = versions(session)[-1]
        refused(session, f"SELECT persona.drop_version('seg', {newest})", "55000", "is the active one")
        refused(session, "SELECT persona.drop_version('seg', 99)", "42704", "has no version 99")
        refused(session, "SELECT persona.drop_version('none', 1)", "42704", "none")
        session.query(f"SELECT persona.drop_version('seg', {newest - 1})")
        assert versions(session) == [*first, newest - 2, newest]
        model_id = session.scalar("SELECT id FROM persona.model WHERE name = 'seg'")
        assert session.scalar(f"SELECT count(*) FROM persona.model_chunk WHERE model_id = {model_id} AND version = {newest - 1}") == 0
        # The number of the newest, dropped, is not given again.
        session.query(f"SELECT persona.activate('seg', {newest - 2}); SELECT persona.drop_version('seg', {newest}); SELECT persona.refit('seg')")
        assert versions(session)[-1] == newest + 1
        session.query("CREATE ROLE stranger; GRANT stranger TO CURRENT_USER")
        session.query("SELECT persona.grant_model('seg', 'stranger', 'read'); SET ROLE stranger")
        refused(session, f"SELECT persona.drop_version('seg', {newest - 2})", "42501", "owner")
        session.query("RESET ROLE")


def test_a_published_row_says_which_version_changed_it(cluster):
    with cluster.connect() as session:
        models.make_models(session, 400, 40)
        session.query("SELECT FROM persona.publish('seg', 'labels'); SELECT FROM persona.publish('rec', 'lists', n => 3)")
        active = dict(session.rows("SELECT model, active_version FROM persona.models"))
        assert session.rows("SELECT DISTINCT version FROM labels") == [(active["seg"],)]
        assert session.rows("SELECT DISTINCT version FROM lists") == [(active["rec"],)]
        session.query("UPDATE customers SET spend = 1e6 - spend, visits = -visits WHERE id % 40 = 0")
        before = dict(session.rows("SELECT id, segment FROM labels"))
        newer = session.scalar("SELECT persona.refit('seg')")
        after = session.rows("SELECT id, segment, version FROM labels")
        moved = [row for row in after if before[row[0]] != row[1]]
        assert moved and all(row[2] == newer for row in moved), moved
        # Those that stay, with the words that they had, were changed by none.
        kept = session.scalar(f"SELECT count(*) FROM labels WHERE version = {active['seg']}")
        assert kept + session.scalar(f"SELECT count(*) FROM labels WHERE version = {newer}") == len(after)
        assert session.scalar(f"SELECT count(*) FROM labels WHERE (version = {newer}) <> (since > (SELECT min(since) FROM labels))") == 0 or kept == 0


def test_a_publication_is_written_again_without_saying_all_of_it_again(cluster):
    with cluster.connect() as session:
        models.make_models(session, 400, 40)
        session.query("CREATE SCHEMA apart; CREATE TABLE apart.few AS SELECT id AS customer, spend, visits, city FROM customers WHERE id <= 100")
        session.query("SET search_path = apart, public; SELECT FROM persona.publish('seg', 'public.part_of', source => 'SELECT * FROM few', key => 'customer'); SET search_path = public")
        before = session.rows("SELECT source, key_column, search_path FROM persona.publication WHERE target = 'public.part_of'")
        session.query("UPDATE apart.few SET spend = spend + 1")
        session.query("SELECT FROM persona.publish('seg', 'part_of')")
        assert session.rows("SELECT source, key_column, search_path FROM persona.publication WHERE target = 'public.part_of'") == before
        assert session.scalar("SELECT count(*) FROM part_of") == 100
        session.query("SELECT FROM persona.publish('rec', 'lists', n => 3); SELECT FROM persona.publish('rec', 'lists')")
        assert session.scalar("SELECT max(rank) FROM lists") == 3
        # The fit's own source means what it meant at the fit.
        session.query("CREATE TABLE apart.customers AS SELECT id + 1000 AS id, spend, visits, city FROM customers")
        session.query("SET search_path = apart, public; SELECT FROM persona.publish('seg', 'public.all_of_them')")
        assert session.scalar("SELECT max(id) FROM public.all_of_them") == 400
        for model in ("seg", "sco"):
            refused(session, f"SELECT FROM persona.publish('{model}', 'labels', n => 5)", "22023", "n says nothing")
        refused(session, "SELECT FROM persona.publish('rec', 'lists', n => 0)", "22023", "n")


def test_all_models_of_an_owner_are_granted_at_once(cluster):
    with cluster.connect() as session:
        session.query("CREATE ROLE keeper; CREATE ROLE guest; GRANT CREATE, USAGE ON SCHEMA public TO keeper; CREATE TABLE numbers AS SELECT i AS id, i % 7 AS a FROM generate_series(1, 50) AS i; GRANT SELECT ON numbers TO keeper")
        session.query("SELECT FROM persona.fit_segments('of_another', 'numbers', 'id', 2); SET ROLE keeper")
        session.query("SELECT FROM persona.fit_segments('kept_1', 'numbers', 'id', 2); SELECT FROM persona.fit_segments('kept_2', 'numbers', 'id', 3)")
        assert session.scalar("SELECT persona.grant_models('keeper', 'guest')") == 2
        session.query("RESET ROLE; SET ROLE guest")
        assert session.rows("SELECT model, privilege FROM persona.models ORDER BY 1") == [("kept_1", "use"), ("kept_2", "use")]
        refused(session, "SELECT persona.grant_models('keeper', 'guest', 'read')", "42501", "keeper")
        refused(session, "SELECT persona.revoke_models('keeper', 'guest')", "42501", "keeper")
        session.query("RESET ROLE")
        refused(session, "SELECT persona.grant_models('nobody_such', 'guest')", "42704", "nobody_such")
        refused(session, "SELECT persona.grant_models('keeper', 'guest', 'all')", "22023", "privilege")
        assert session.scalar("SELECT persona.revoke_models('keeper', 'guest')") == 2
        refused(session, "SELECT persona.grant_models('guest', 'nobody_such')", "42704", "nobody_such")
        refused(session, "SELECT persona.revoke_models('guest', 'keeper', 'own')", "22023", "privilege")
        session.query("SET ROLE guest")
        assert session.rows("SELECT model FROM persona.models") == []
        session.query("RESET ROLE")


def test_a_fit_says_how_many_versions_are_kept(cluster):
    graph = (models.__file__.rsplit("/lib", 1)[0] + "/fixtures/onnx/logistic.onnx")
    with cluster.connect() as session, open(graph, "rb") as file:
        models.make_models(session, 400, 40)
        imported = f"SELECT FROM persona.import_onnx('imp', '\\x{file.read().hex()}'::bytea, features => '{{a,b,c,d,e,f,g,h}}', keep_versions => {{n}})"
        kept = {model: models.FIT[model].format(k=2, wanted="true", shift=0)[:-1] + ", keep_versions => {n})" for model in models.MODELS} | {"imp": imported}
        for model, call in kept.items():
            for _ in range(4):
                session.query(call.replace("{n}", "2"))
            found = versions(session, model)
            assert len(found) == 2 and found[1] == found[0] + 1, (model, found)
            assert session.scalar(f"SELECT keep_versions FROM persona.models WHERE model = '{model}'") == 2
            # NULL, and a refit, leave it; more are kept from now on.
            session.query(call.replace("{n}", "NULL"))
            assert len(versions(session, model)) == 2
            session.query(call.replace("{n}", "4") + ";" + call.replace("{n}", "NULL") + ";" + call.replace("{n}", "NULL"))
            assert len(versions(session, model)) == 4, (model, versions(session, model))
            refused(session, call.replace("{n}", "0"), "22023", "keep_versions")
            if model != "imp":
                session.query(f"SELECT persona.refit('{model}')")
                assert len(versions(session, model)) == 4
