"""A dump keeps the models: registry, scores, names, rights and publications are equal after a restore, and all goes on working."""

from lib import models
from lib.cluster import Cluster

MODELS = ("seg", "sco", "rec")
ANSWERS = [
    "SELECT id, persona.segment('seg', c) FROM customers c ORDER BY id",
    "SELECT id, persona.distance('seg', c) FROM customers c ORDER BY id",
    "SELECT * FROM persona.segments('seg')",
    "SELECT id, persona.score('sco', c) FROM customers c ORDER BY id",
    "SELECT md5(persona.export_onnx('sco'))",
    "SELECT label, score, count(*) FROM persona.holdout_scores('sco') GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT * FROM persona.recommend_all('rec', 5)",
    "SELECT * FROM persona.recommend('rec', 7)",
    "SELECT * FROM persona.recommend_all('alike', 5)",
    "SELECT model, kind, answer, details::text FROM persona.profile('7')",
    "SELECT id, persona.segment(k, ARRAY[spend, visits]) FROM customers, kept_values ORDER BY id",
    "SELECT k::text, m::text, s::text, f::text, r::text FROM kept_values",
]
REGISTRY = [
    "SELECT name, kind, owner::text, readers::text, active_version, keep_versions, created_at FROM persona.model ORDER BY 1",
    "SELECT model, version, is_active, n_rows, features, parameters, metrics, source, sha256, created_by::text, created_at FROM persona.model_versions ORDER BY 1, 2",
    "SELECT m.name, c.version, c.position, md5(c.bytes) FROM persona.model m JOIN persona.model_chunk c ON c.model_id = m.id ORDER BY 1, 2, 3",
    "SELECT m.name, e.version, e.kind, md5(e.bytes) FROM persona.model m JOIN persona.model_evidence e ON e.model_id = m.id ORDER BY 1, 2, 3",
    "SELECT m.name, s.segment, s.name FROM persona.model m JOIN persona.segment_name s ON s.model_id = m.id ORDER BY 1, 2",
    "SELECT m.name, p.target, p.source, p.key_column, p.key_type, p.n, p.search_path, p.published_version FROM persona.model m JOIN persona.publication p ON p.model_id = m.id ORDER BY 1, 2",
]


def fill(cluster):
    with cluster.connect() as owner:
        models.make_models(owner, 400, 50)
        owner.query("""
            SELECT FROM persona.fit_recommender('alike', 'events', algorithm => 'user_knn', parameters => '{"neighbors": 7}');
            SELECT persona.activate('seg', 2);
            SELECT persona.name_segment('seg', 1, 'the "many"');
            DO $$ BEGIN CREATE ROLE dump_reader; EXCEPTION WHEN duplicate_object THEN END $$;
            SELECT persona.grant_model('seg', 'dump_reader'), persona.grant_model('rec', 'public');
            SELECT persona.publish('seg', 'labels');
            SELECT persona.publish('sco', 'scores', 'SELECT * FROM customers', 'id');
            SELECT persona.publish('rec', 'offers', n => 4);
            CREATE TABLE kept_values AS
            SELECT persona.kmeans(ARRAY[spend, visits], 3) AS k, persona.gaussian_mixture(ARRAY[spend, visits], 2) AS m, persona.standard_scaler(ARRAY[spend, visits]) AS s,
                   persona.feature_stats(ARRAY[spend, visits]) AS f, persona.rfm('2024-01-01'::timestamptz, spend) AS r
            FROM customers;""")


def everything(session):
    return {query: session.rows(query) for query in ANSWERS + REGISTRY}


def check_restored(cluster, before, database):
    with cluster.connect(database) as restored:
        after = everything(restored)
        for query, rows in before.items():
            assert rows, f"nothing to compare: {query}"
            assert after[query] == rows, f"{query}: was {str(rows)[:300]} and is {str(after[query])[:300]}"
        # What was published goes on: a refit writes into the tables again.
        restored.query("UPDATE customers SET spend = spend + 500, visits = 300 WHERE id % 10 = 1; DELETE FROM customers WHERE id = 400")
        for model in MODELS:
            assert restored.scalar(f"SELECT persona.refit('{model}', force => true)") == 3
        assert restored.scalar("SELECT count(*) FROM labels") == 399 and restored.scalar("SELECT count(*) FROM scores") == 399
        assert restored.scalar("SELECT bool_and(l.segment = persona.segment('seg', c)) FROM labels l JOIN customers c USING (id)")
        # The sequence of models went along, so a new model takes a number of its own.
        models_before = restored.scalar("SELECT max(id) FROM persona.model")
        restored.query("SELECT FROM persona.fit_segments('new', 'customers', 'id', 2, features => '{spend}')")
        assert restored.scalar("SELECT id FROM persona.model WHERE name = 'new'") > models_before


def test_a_dump_as_sql_keeps_everything(cluster):
    fill(cluster)
    with cluster.connect() as session:
        before = everything(session)
    dump = cluster.tool("pg_dump", "-d", cluster.database, "--restrict-key=x" if supports_restrict_key(cluster) else "--no-sync").stdout
    with cluster.connect("postgres") as session:
        session.query("CREATE DATABASE restored_sql TEMPLATE template0")
    cluster.psql(dump, "restored_sql")
    check_restored(cluster, before, "restored_sql")


def test_a_dump_in_parallel_keeps_everything(cluster):
    fill(cluster)
    with cluster.connect() as session:
        before = everything(session)
    folder = cluster.directory / "dump"
    cluster.tool("pg_dump", "-d", cluster.database, "-Fd", "-j", "2", "--no-sync", "-f", folder)
    with cluster.connect("postgres") as session:
        session.query("CREATE DATABASE restored_folder TEMPLATE template0")
    cluster.tool("pg_restore", "-d", "restored_folder", "-j", "2", "--exit-on-error", folder)
    check_restored(cluster, before, "restored_folder")


def test_a_data_only_dump_restores_into_a_fresh_extension(cluster):
    fill(cluster)
    with cluster.connect() as session:
        before = {query: session.rows(query) for query in REGISTRY}
    file = cluster.directory / "data.dump"
    cluster.tool("pg_dump", "-d", cluster.database, "-Fc", "--data-only", "--no-sync", "-t", "persona.*", "-f", file)
    cluster.create_database("restored_data")
    cluster.tool("pg_restore", "-d", "restored_data", "--single-transaction", file)
    with cluster.connect("restored_data") as session:
        for query, rows in before.items():
            assert session.rows(query) == rows, query


def supports_restrict_key(cluster):
    return "--restrict-key" in cluster.tool("pg_dump", "--help").stdout


# Where the roles are others -----------------------------------------------------------------------------------------------

OWNED = ["SELECT id, persona.segment('seg', c) FROM customers c ORDER BY id", "SELECT id, persona.score('sco', c) FROM customers c ORDER BY id",
         "SELECT * FROM persona.recommend_all('rec', 5)", "SELECT model, version, sha256 FROM persona.model_versions ORDER BY 1, 2",
         "SELECT * FROM labels ORDER BY id", "SELECT * FROM kept_segments ORDER BY id"]


def fill_as_an_owner(cluster):
    """Models of a role that is no superuser, with grants, a publication, and a materialized view over one."""
    with cluster.connect() as admin:
        make_roles(admin, "holly", "rea", "stu")
        models.make_data(admin, 300, 40)
        admin.query("ALTER TABLE customers OWNER TO holly; ALTER TABLE events OWNER TO holly; GRANT CREATE ON SCHEMA public TO holly; SET ROLE holly")
        for model in models.MODELS:
            models.fit(admin, model, 1)
        admin.query("SELECT persona.grant_model('seg', 'rea'), persona.grant_model('sco', 'rea', 'read'), persona.grant_model('rec', 'public');"
                    "SELECT persona.publish('seg', 'labels', history_table => 'moves');"
                    "CREATE MATERIALIZED VIEW kept_segments AS SELECT id, persona.segment('seg', c) AS segment FROM customers c; RESET ROLE")
        return {query: admin.rows(query) for query in OWNED}


def make_roles(admin, *roles):
    for role in roles:
        admin.query(f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")


def restored_elsewhere(cluster, elsewhere, form, *options):
    elsewhere.database = f"restored_{form}_{len(options)}"
    with elsewhere.connect("postgres") as session:
        session.query(f"CREATE DATABASE {elsewhere.database} TEMPLATE template0")
    if form == "plain":
        elsewhere.psql(cluster.tool("pg_dump", "-d", cluster.database, "--no-sync", *options).stdout)
    else:
        file = cluster.directory / f"{form}.dump"
        cluster.tool("pg_dump", "-d", cluster.database, "--no-sync", "-Fc", "-f", file)
        elsewhere.tool("pg_restore", "-d", elsewhere.database, "--exit-on-error", *options, file)
    return elsewhere.connect()


def test_a_dump_restores_where_its_roles_are_not(cluster):
    before = fill_as_an_owner(cluster)
    elsewhere = Cluster(cluster.server).start()
    try:
        with elsewhere.connect("postgres") as admin:
            make_roles(admin, "stu", "other")
        for form in ("plain", "custom"):
            with restored_elsewhere(cluster, elsewhere, form, "--no-owner", "--no-acl") as admin:
                for query, rows in before.items():
                    assert admin.rows(query) == rows, f"{form}: {query}"
                assert admin.rows("SELECT DISTINCT owner::text FROM persona.models") == [("unknown (OID=4294967295)",)]
                for statement in ("persona.refit('seg')", "persona.activate('sco', 1)", "persona.publish('seg', 'labels')"):
                    error = admin.error(f"SELECT {statement}")
                    assert error.sqlstate == "55000" and "set_owner" in error.hint, f"{statement}: {error}"
                admin.query("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")
                # A grant to a role that is not there is to nobody, and one to all is to all.
                with elsewhere.connect(user="stu") as stranger:
                    assert stranger.rows("SELECT model, privilege FROM persona.models") == [("rec", "use")]
                    assert stranger.error("SELECT persona.refit('rec')").sqlstate == "42501"
                admin.query("SELECT persona.drop_model('rec'), persona.set_owner('seg', 'postgres', keep_sources => true), persona.set_owner('sco', 'other');")
                assert admin.rows("SELECT model, owner::text, source IS NULL FROM persona.models ORDER BY 1") == [("sco", "other", True), ("seg", "postgres", False)]
                admin.query("UPDATE customers SET spend = spend + 500 WHERE id % 10 = 1")
                assert admin.scalar("SELECT persona.refit('seg', force => true)") == 2
                assert admin.scalar("SELECT bool_and(l.segment = persona.segment('seg', c)) FROM labels l JOIN customers c USING (id)")
                # Whatever comes back keeps its place in a dump of the dump.
                assert admin.scalar("SELECT users::text FROM persona.model WHERE name = 'seg'") == "{?}"
    finally:
        elsewhere.remove()


def test_a_dump_restores_where_its_roles_have_other_numbers(cluster):
    before = fill_as_an_owner(cluster)
    elsewhere = Cluster(cluster.server).start()
    try:
        with elsewhere.connect("postgres") as admin:
            make_roles(admin, "stu", "rea", "somebody", "holly")
        for form in ("plain", "custom"):
            with restored_elsewhere(cluster, elsewhere, form) as admin:
                for query, rows in before.items():
                    assert admin.rows(query) == rows, f"{form}: {query}"
                with elsewhere.connect(user="rea") as reader, elsewhere.connect(user="holly") as owner:
                    assert reader.rows("SELECT model, privilege FROM persona.models ORDER BY 1") == [("rec", "use"), ("sco", "read"), ("seg", "use")]
                    assert owner.scalar("SELECT persona.refit('seg', force => true)") == 2
    finally:
        elsewhere.remove()


def test_a_dump_gives_no_rights_to_who_has_the_number_of_a_role_that_is_gone(cluster):
    with cluster.connect() as admin:
        make_roles(admin, "gone", '"odd ""name"', '"?"', '"-"', "stays")
        models.make_data(admin, 100, 20)
        number = admin.scalar("SELECT 'gone'::regrole::oid")
        admin.query("GRANT SELECT ON customers TO gone; SET ROLE gone")
        models.fit(admin, "seg", 1)
        admin.query("RESET ROLE")
        models.fit(admin, "sco", 1)
        roles = ("gone", 'odd "name', "?", "-", "stays", "public")
        admin.query(";".join(f"SELECT persona.grant_model('sco', '{role}', 'read')" for role in roles))
        assert admin.scalar("SELECT readers::oid[] FROM persona.model WHERE name = 'sco'").count(",") == len(roles) - 1
        admin.query("DROP OWNED BY gone; DROP ROLE gone")
        before = admin.rows("SELECT name, owner::text, readers::text FROM persona.model ORDER BY 1")
        assert before == [("sco", "postgres", r'{?,"\"odd \"\"name\"","\"?\"","\"-\"",stays,-}'), ("seg", "?", "{}")], before
        dump = cluster.tool("pg_dump", "-d", cluster.database, "--no-sync").stdout
        assert str(number) not in dump
        admin.query("CREATE DATABASE of_gone TEMPLATE template0")
        cluster.psql(dump, "of_gone")
        with cluster.connect("of_gone") as restored:
            after = restored.rows("SELECT name, owner::text, readers::text FROM persona.model ORDER BY 1")
            assert after == before, after
        admin.query("DROP DATABASE of_gone")
        admin.query("SELECT persona.drop_model('sco'); DROP ROLE \"odd \"\"name\", \"?\", \"-\", stays")


def test_a_standby_and_a_dump_from_it_know_the_owner(cluster):
    before = fill_as_an_owner(cluster)
    standby = cluster.standby()
    try:
        with standby.connect() as session:
            for query in OWNED[:-1]:
                assert session.rows(query) == before[query], query
        dump = standby.tool("pg_dump", "-d", cluster.database, "--no-sync").stdout
        with cluster.connect("postgres") as session:
            session.query("CREATE DATABASE from_standby TEMPLATE template0")
        cluster.psql(dump, "from_standby")
        with cluster.connect("from_standby") as restored:
            for query, rows in before.items():
                assert restored.rows(query) == rows, query
    finally:
        standby.remove()
