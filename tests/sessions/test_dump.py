"""A dump keeps the models: registry, scores, names, rights and publications are equal after a restore, and all goes on working."""

from lib import models

MODELS = ("seg", "sco", "rec")
ANSWERS = [
    "SELECT id, persona.segment('seg', c) FROM customers c ORDER BY id",
    "SELECT id, persona.distance('seg', c) FROM customers c ORDER BY id",
    "SELECT * FROM persona.segments('seg')",
    "SELECT id, persona.score('sco', c) FROM customers c ORDER BY id",
    "SELECT md5(persona.export_onnx('sco'))",
    "SELECT * FROM persona.recommend_all('rec', 5)",
    "SELECT * FROM persona.recommend('rec', 7)",
    "SELECT model, kind, answer, details::text FROM persona.profile('7')",
    "SELECT id, persona.segment(k, ARRAY[spend, visits]) FROM customers, kept_values ORDER BY id",
    "SELECT k::text, m::text, s::text, f::text, r::text FROM kept_values",
]
REGISTRY = [
    "SELECT name, kind, owner::text, readers::text, active_version, keep_versions, created_at FROM persona.model ORDER BY 1",
    "SELECT model, version, is_active, n_rows, features, parameters, metrics, source, sha256, created_by::text, created_at FROM persona.model_versions ORDER BY 1, 2",
    "SELECT m.name, c.version, c.position, md5(c.bytes) FROM persona.model m JOIN persona.model_chunk c ON c.model_id = m.id ORDER BY 1, 2, 3",
    "SELECT m.name, s.segment, s.name FROM persona.model m JOIN persona.segment_name s ON s.model_id = m.id ORDER BY 1, 2",
    "SELECT m.name, p.target, p.source, p.key_column, p.key_type, p.n, p.search_path, p.published_version FROM persona.model m JOIN persona.publication p ON p.model_id = m.id ORDER BY 1, 2",
]


def fill(cluster):
    with cluster.connect() as owner:
        models.make_models(owner, 400, 50)
        owner.query("""
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
