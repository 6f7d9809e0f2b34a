"""Published tables follow their model: by activation, a new fit, a refit; and what they say of time is in its order."""

from lib import models
from lib.pgwire import ServerError

FIT = "SELECT FROM persona.fit_segments('seg', '{source}', 'id', {k}, features => '{{spend,visits}}'{more})"
# Rows of a published table that its model does not say (any more).
WRONG = {
    "labels": "SELECT count(*) FROM labels l FULL JOIN customers c USING (id) WHERE l.segment IS DISTINCT FROM persona.segment('seg', c)",
    "scores": "SELECT count(*) FROM scores s FULL JOIN customers c USING (id) WHERE s.score IS DISTINCT FROM persona.score('sco', c)",
    "offers": "SELECT count(*) FROM offers o FULL JOIN persona.recommend_all('rec', 4) r ON r.user_key = o.user_id::text AND r.rank = o.rank WHERE r.item IS DISTINCT FROM o.item::text",
}
TABLE_OF = {"seg": "labels", "sco": "scores", "rec": "offers"}


def publish_all(session):
    models.make_models(session, 300, 40)
    session.query("SELECT persona.publish('seg', 'labels', history_table => 'moves'), persona.publish('sco', 'scores', 'SELECT * FROM customers', 'id'),"
                  "persona.publish('rec', 'offers', n => 4)")


def wrong(session, model):
    return session.scalar(WRONG[TABLE_OF[model]])


def stale(session, model):
    return session.rows(f"SELECT target, is_stale FROM persona.publications WHERE model = '{model}'")


def test_a_publication_follows_its_model(cluster):
    with cluster.connect() as session:
        publish_all(session)
        assert [wrong(session, model) for model in models.MODELS] == [0, 0, 0]
        for model in models.MODELS:
            models.activate(session, model, 2)
            assert wrong(session, model) == 0, f"{model}, another version"
            models.fit(session, model, 1)
            assert wrong(session, model) == 0, f"{model}, a new fit"
            session.query("UPDATE customers SET spend = spend + 300 WHERE id % 7 = 0")
            assert session.scalar(f"SELECT persona.refit('{model}', force => true)") == 4
            assert wrong(session, model) == 0, f"{model}, a refit"
            assert stale(session, model) == [(f"public.{TABLE_OF[model]}", False)]
            version, n_rows, matches = session.rows(f"SELECT version, n_rows, written_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() FROM persona.publications WHERE model = '{model}'")[0]
            assert version == 4 and n_rows == session.scalar(f"SELECT count(*) FROM {TABLE_OF[model]}") and matches
        # What is not published again says so, until it is.
        for model, statement in (("seg", "persona.activate('seg', 2, publish => false)"), ("rec", "persona.refit('rec', publish => false, force => true)"),
                                 ("sco", models.FIT["sco"].format(wanted="false").replace("SELECT FROM ", "").replace("'good')", "'good', publish => false)"))):
            session.query(f"SELECT FROM {statement}")
            assert stale(session, model) == [(f"public.{TABLE_OF[model]}", True)], model
        assert wrong(session, "seg") and wrong(session, "sco")
        session.query("SELECT persona.publish('seg', 'labels', history_table => 'moves'), persona.publish('sco', 'scores', 'SELECT * FROM customers', 'id')")
        assert wrong(session, "seg") == wrong(session, "sco") == 0 and stale(session, "seg") == [("public.labels", False)]
        # A fit that writes one table itself writes the others, too; one that is not activated writes none.
        session.query("SELECT persona.publish('seg', 'again')")
        session.query(FIT.format(source="SELECT * FROM customers WHERE id % 3 > 0", k=2, more=", save_to => 'labels'"))
        assert session.scalar("SELECT count(*) FROM again") == session.scalar("SELECT count(*) FROM labels") == 200
        before = session.rows("SELECT * FROM again ORDER BY id")
        session.query(FIT.format(source="customers", k=4, more=", activate => false"))
        assert session.rows("SELECT * FROM again ORDER BY id") == before and not any(is_stale for _, is_stale in stale(session, "seg"))


def test_where_a_table_cannot_follow_nothing_is_changed(cluster):
    with cluster.connect() as session:
        publish_all(session)
        breaks = {"ALTER TABLE labels DROP COLUMN label": "labels", "ALTER TABLE scores ALTER id TYPE text": "scores", "DROP VIEW IF EXISTS v; ALTER TABLE offers RENAME item TO thing": "offers"}
        for model, (statement, table) in zip(models.MODELS, breaks.items()):
            before = session.rows("SELECT model, active_version FROM persona.models ORDER BY 1")
            session.query("BEGIN;" + statement)
            for call in (f"persona.activate('{model}', 2)", f"persona.refit('{model}', force => true)", models.FIT[model].format(k=2, wanted="true", shift=0).replace("SELECT FROM ", "")):
                session.query("SAVEPOINT s")
                error = session.error(f"SELECT FROM {call}")
                assert error.sqlstate not in ("XX000", "25P02") and f"table public.{table} cannot be kept up to date" in error.message, f"{call}: {error}"
                assert "publish => false" in error.hint
                session.query("ROLLBACK TO s")
                assert session.rows("SELECT model, active_version FROM persona.models ORDER BY 1") == before
            session.query(f"SELECT persona.activate('{model}', 2, publish => false); ROLLBACK")


def test_another_that_activates_writes_as_the_owner(cluster):
    with cluster.connect() as admin:
        admin.query("CREATE ROLE owner_of_it LOGIN; CREATE ROLE member_of_it LOGIN; GRANT owner_of_it TO member_of_it; GRANT CREATE ON SCHEMA public TO owner_of_it")
        models.make_data(admin, 300, 40)
        admin.query("GRANT SELECT ON customers, events TO owner_of_it, member_of_it")
        with cluster.connect(user="owner_of_it") as owner, cluster.connect(user="member_of_it") as member:
            models.fit(owner, "seg", 1)
            models.fit(owner, "seg", 2)
            owner.query("CREATE TABLE told (role text); CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO told VALUES (current_user); RETURN NULL; END $$;"
                        "SELECT persona.publish('seg', 'labels'); CREATE TRIGGER t AFTER UPDATE ON labels FOR EACH STATEMENT EXECUTE FUNCTION tell()")
            for session in (member, admin):
                session.query("SELECT persona.activate('seg', 1), persona.activate('seg', 2)")
                assert session.scalar("SELECT current_user::text") != "owner_of_it"
            assert owner.rows("SELECT DISTINCT role FROM told") == [("owner_of_it",)]
            assert wrong(admin, "seg") == 0


def test_a_history_is_in_the_order_of_its_writings(cluster):
    """A transaction that began before another's writing ends what the other began after it."""
    with cluster.connect() as session, cluster.connect() as other:
        models.make_data(session, 400, 20)
        session.query("CREATE VIEW moving AS SELECT id, spend + (SELECT coalesce(max(step), 0) FROM steps) * 100 * (id % 4 = 0)::int AS spend, visits FROM customers"
                      .replace("CREATE VIEW", "CREATE TABLE steps (step integer); CREATE VIEW"))
        session.query(FIT.format(source="moving", k=3, more="") + "; SELECT persona.publish('seg', 'labels', history_table => 'moves')")
        for step in range(1, 5):
            session.query("BEGIN; SELECT now()")
            other.query(f"INSERT INTO steps VALUES ({step}); SELECT pg_sleep(0.02)")
            if step % 2:
                other.query("SELECT persona.refit('seg', force => true)")
                other.query(f"INSERT INTO steps VALUES ({step + 10})")
            assert session.scalar("SELECT persona.refit('seg', force => true)") is not None
            session.query("COMMIT")
        assert session.scalar("SELECT count(*) FROM moves WHERE left_at IS NOT NULL") > 0, "nobody moved"
        assert session.rows("SELECT * FROM moves WHERE left_at < entered_at") == []
        # A key is in one segment at a time.
        assert session.rows("SELECT a.id FROM moves a JOIN moves b ON a.id = b.id AND a.ctid <> b.ctid AND a.entered_at < coalesce(b.left_at, 'infinity') AND b.entered_at < coalesce(a.left_at, 'infinity')") == []
        assert session.rows("SELECT l.id FROM labels l JOIN moves m ON m.id = l.id AND m.left_at IS NULL WHERE m.segment IS DISTINCT FROM l.segment OR m.entered_at < l.since - interval '1 hour'") == []
        changes = session.rows("SELECT changed_at FROM persona.segment_changes('seg')")
        assert changes == sorted(changes)
        # All that is written together has one time, in a table that is there and in a new one.
        session.query("BEGIN; SELECT pg_sleep(0.05); SELECT persona.publish('seg', 'later')")
        assert session.rows("SELECT count(DISTINCT since), bool_and(since > now() + interval '40 ms') FROM later") == [(1, True)]
        session.query("INSERT INTO later (id, segment, label) VALUES (-1, 1, 'by hand')")
        assert session.scalar("SELECT since = now() FROM later WHERE id = -1") is True
        session.query("COMMIT")


def test_a_refit_waits_when_it_is_told_to(cluster):
    with cluster.connect() as session, cluster.connect() as other:
        models.make_data(session, 200, 20)
        models.fit(session, "seg", 1)
        other.query("BEGIN; SELECT persona.refit('seg')")
        session.notices.clear()
        assert session.scalar("SELECT persona.refit('seg')") is None and "skipped" in session.notices[0]["M"]
        session.send("SELECT persona.refit('seg', wait => true)")
        assert not session.ready(0.3)
        other.query("COMMIT")
        assert session.fetch()[0].scalar() == 3
        session.query("SET statement_timeout = '200ms'")
        other.query("BEGIN; SELECT persona.refit('seg')")
        try:
            session.query("SELECT persona.refit('seg', wait => true)")
            raise AssertionError("it did not wait")
        except ServerError as error:
            assert error.sqlstate == "57014", error


def test_a_table_that_is_not_the_models_is_refused_before_anything_is_written(cluster):
    with cluster.connect() as session:
        models.make_models(session, 300, 40)
        made = {
            "rows that are not the model's": "CREATE TABLE t (id bigint PRIMARY KEY, segment integer, label text, score float8, since timestamptz DEFAULT now(), version integer); INSERT INTO t SELECT g, 1, 'by hand', 1 FROM generate_series(1, 900) g",
            'no column "label"': "CREATE TABLE t (id bigint PRIMARY KEY, segment integer, since timestamptz, version integer)",
            'no column "since"': "CREATE TABLE t (id bigint PRIMARY KEY, segment integer, label text, score float8)",
            'no column "version"': "CREATE TABLE t (id bigint PRIMARY KEY, segment integer, label text, score float8, since timestamptz)",
            'no column "id"': "CREATE TABLE t (key bigint PRIMARY KEY, segment integer, label text, score float8, since timestamptz, version integer)",
            "is of type text, and the model's key is of type bigint": "CREATE TABLE t (id text PRIMARY KEY, segment integer, label text, score float8, since timestamptz, version integer)",
            "is of type integer, and": "CREATE TABLE t (id integer PRIMARY KEY, segment integer, label text, score float8, since timestamptz, version integer)",
            'column "segment" of table public.t is of type text, and what is written is of type integer': "CREATE TABLE t (id bigint PRIMARY KEY, segment text, label text, score float8, since timestamptz, version integer)",
            'column "score" of table public.t is of type real, and what is written is of type double precision': "CREATE TABLE t (id bigint PRIMARY KEY, segment integer, label text, score real, since timestamptz, version integer)",
            'column "since" of table public.t is of type date': "CREATE TABLE t (id bigint PRIMARY KEY, segment integer, label text, score float8, since date, version integer)",
            'itself writes column "version"': "CREATE TABLE t (id bigint PRIMARY KEY, segment integer, label text, score float8, since timestamptz, version integer GENERATED ALWAYS AS (segment) STORED)",
            "is no table": "CREATE TABLE under (id bigint, segment integer, label text, score float8, since timestamptz, version integer); CREATE VIEW t AS SELECT * FROM under",
            "from another model": "SELECT FROM persona.fit_segments('other', 'customers', 'id', 2, features => '{spend}', save_to => 't'); ALTER TABLE t ADD score float8",
        }
        for reason, statement in made.items():
            session.query(statement)
            before = session.rows("SELECT t::text FROM t ORDER BY 1")
            for call in ("SELECT persona.publish('seg', 't')", FIT.format(source="customers", k=2, more=", save_to => 't'"),
                         "SELECT persona.publish('sco', 't', 'SELECT * FROM customers', 'id')"):
                if any(name in reason for name in ("label", "segment")) and "sco" in call or "score" in reason and "seg" in call:
                    continue
                error = session.error(call)
                assert error.sqlstate in ("55000", "42703", "42804", "42809", "428C9") and reason in error.message and error.hint, f"{call}: {error}"
                assert session.rows("SELECT t::text FROM t ORDER BY 1") == before, call
            assert session.scalar("SELECT max(version) FROM persona.model_versions WHERE model = 'seg'") == 2
            session.query("DROP VIEW t" if "is no table" == reason else "DROP TABLE t")
            if reason == "from another model":
                session.query("SELECT persona.drop_model('other')")
        # A recommender's, of which others may make copies, again and again.
        session.query("CREATE TABLE t (user_id bigint, rank integer, item bigint, score float8, because_of bigint, is_popular boolean, since timestamptz DEFAULT now(), version integer); INSERT INTO t VALUES (1)")
        for call in ("SELECT FROM persona.save_recommendations('rec', 't', 3)", "SELECT FROM persona.publish('rec', 't')"):
            assert "rows that are not" in session.error(call).message, call
        session.query("TRUNCATE t; ALTER TABLE t ADD PRIMARY KEY (user_id, rank); SELECT FROM persona.save_recommendations('rec', 't', 3); SELECT FROM persona.save_recommendations('rec', 't', 2)")
        for _ in range(2):
            session.query("SELECT FROM persona.save_recommendations('rec', 'pg_temp.copy', 3)")
            session.query(FIT.format(source="customers", k=2, more=", save_to => 'pg_temp.labels'"))
        # An empty table of the right columns is filled, and its own rows may be written again.
        session.query("CREATE TABLE mine (note text DEFAULT 'kept', id bigint PRIMARY KEY, segment integer, label varchar(200), since timestamptz, version integer)")
        session.query("SELECT persona.publish('seg', 'mine'); SELECT persona.publish('seg', 'mine'); SELECT persona.activate('seg', 1)")
        assert session.rows("SELECT count(*), count(note) FROM mine") == [(300, 300)]
        session.query("SELECT persona.unpublish('seg', 'mine')")
        assert "rows that are not" in session.error("SELECT persona.publish('seg', 'mine')").message


def test_a_key_that_is_there_twice_is_refused(cluster):
    """In the first writing and in each one after it, where the rows are equal as well, and the table keeps what it had."""
    with cluster.connect() as session:
        publish_all(session)
        before = {table: session.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLE_OF.values()}
        columns = "SELECT {}, spend * {}, visits, city FROM customers"
        for extra in (columns.format("id", 1) + " WHERE id = 7", columns.format("id", 9) + " WHERE id = 7", columns.format(999, 1) + " WHERE id < 3"):
            source = f"SELECT id, spend, visits, city FROM customers UNION ALL {extra}"
            for model in ("seg", "sco"):
                for table in (TABLE_OF[model], f"new_{model}"):
                    error = session.error(f"SELECT persona.publish('{model}', '{table}', $${source}$$, 'id')")
                    assert error.sqlstate == "23505", f"{extra}, {table}: {error}"
                    if table == TABLE_OF[model] and "999" not in extra:
                        assert error.message == "key (id)=(7) is there more than once" and error.hint, error
            error = session.error(f"SELECT FROM persona.fit_segments('seg', $${source}$$, 'id', 2, save_to => 'labels')")
            assert error.sqlstate == "23505", f"{extra}: {error}"
        assert before == {table: session.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLE_OF.values()}
        unchanged = "SELECT inserted, updated, deleted, (SELECT count(*) FROM {0}) FROM persona.publish('{1}', '{0}', 'SELECT * FROM customers', 'id')"
        for model in ("seg", "sco"):
            assert session.rows(unchanged.format(TABLE_OF[model], model)) == [(0, 0, 0, len(before[TABLE_OF[model]]))]
        error = session.error("SELECT persona.publish('seg', 'fresh', 'SELECT * FROM customers UNION ALL SELECT * FROM customers', 'id')")
        assert error.sqlstate == "23505" and "one row for each key" in error.hint and "is duplicated" in error.detail, error
        # A table without a key of its own keeps no row twice either.
        session.query("CREATE TABLE keyless (id bigint, score float8, since timestamptz, version integer); SELECT persona.publish('sco', 'keyless', 'SELECT * FROM customers', 'id'); INSERT INTO keyless SELECT * FROM keyless WHERE id < 3")
        error = session.error("SELECT persona.publish('sco', 'keyless')")
        assert error.sqlstate == "23505" and "more than once in table public.keyless" in error.message, error
        # A key that is NULL is none.
        for model, table in (("seg", "labels"), ("sco", "scores")):
            error = session.error(f"SELECT persona.publish('{model}', '{table}', 'SELECT nullif(id, 7) AS id, visits, spend, city FROM customers', 'id')")
            assert error.sqlstate == "23502" and "row of nobody" in error.hint, error


def test_what_cannot_be_published_says_why(cluster):
    with cluster.connect() as session:
        publish_all(session)
        error = session.error("SELECT persona.publish('sco', 'other', 'SELECT * FROM customers', 'nobody')")
        assert (error.sqlstate, error.message) == ("42703", 'the source has no column "nobody"') and error.hint, error
        error = session.error("SELECT persona.publish('sco', 'other', 'SELECT mistyped FROM customers', 'id')")
        assert error.sqlstate == "42703" and "mistyped" in error.message, error
        session.query("CREATE TABLE diary (id bigint, note text)")
        for history in ("diary", "labels", "customers"):
            error = session.error(f"SELECT persona.publish('seg', 'labels', history_table => '{history}')")
            assert error.sqlstate in ("42809", "42501") and "is no history" in error.message, f"{history}: {error}"
        assert session.rows("SELECT history FROM persona.publication WHERE target = 'public.labels'") == [("public.moves",)]


def test_a_model_that_is_dropped_while_it_is_published_leaves_nothing(cluster):
    with cluster.connect() as session:
        publish_all(session)
        session.query("""CREATE TABLE t (id bigint PRIMARY KEY, score float8, since timestamptz, version integer);
            CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM persona.drop_model('sco'); RETURN NULL; END $$;
            CREATE TRIGGER t AFTER INSERT ON t EXECUTE FUNCTION drop_it()""")
        error = session.error("SELECT persona.publish('sco', 't', 'SELECT * FROM customers', 'id')")
        assert error.sqlstate == "55000" and "was dropped" in error.message, error
        assert session.scalar("SELECT count(*) FROM persona.models WHERE model = 'sco'") == 1


def test_rows_are_published_alike_from_memory_and_by_a_query(cluster):
    """What fits into memory is labelled and compared there; the rest by a query. Keys of several types, rows without a segment, levels that
    the fit has not seen, and a table that was changed by hand."""
    keys = ["id", "'k' || id", "id::numeric + 0.50", "('x' || id)::char(8)"]
    source = "SELECT {key} AS k, nullif(spend, (SELECT min(spend) FROM customers)) AS spend, visits, CASE WHEN id % 9 = 0 THEN 'Atlantis' WHEN id % 11 > 0 THEN city END AS city FROM customers"
    with cluster.connect() as session:
        models.make_data(session, 20_000, 40)
        for key in keys:
            query = source.format(key=key)
            session.query(f"RESET persona.max_fit_memory; SELECT FROM persona.fit_segments('odd', $$SELECT {key} AS k, spend, visits, city FROM customers$$, 'k', 4)")
            found = []
            for memory in ("1GB", "1MB"):
                session.query(f"SET persona.max_fit_memory = '{memory}'; DROP TABLE IF EXISTS odd")
                for change in ("SELECT", "DELETE FROM odd WHERE segment = 2", "UPDATE odd SET label = 'by hand' WHERE segment = 1",
                               "UPDATE odd SET segment = NULL, label = NULL WHERE segment = 3", "UPDATE odd SET segment = 1 WHERE segment IS NULL"):
                    session.query(change)
                    found.append((memory, change, session.rows(f"SELECT * FROM persona.publish('odd', 'odd', $${query}$$, 'k')"),
                                  session.rows("SELECT k, segment, label FROM odd ORDER BY k")))
            for in_memory, by_query in zip(found[:len(found) // 2], found[len(found) // 2:]):
                assert in_memory[1:] == by_query[1:], f"{key}, {in_memory[1]}: {in_memory[2]}, {by_query[2]}"
            assert found[0][2] == [(20_000, 0, 0)] and found[1][2][0][0] > 0 and found[2][2][0][1] > 0 and None in {row[1] for row in found[0][3]}, key


def test_the_rows_of_a_publication_are_those_that_its_table_has(cluster):
    """Whatever a trigger does beside what is written."""
    with cluster.connect() as session:
        session.query("""
            CREATE TABLE had AS SELECT i AS id, i % 3 * 10.0 AS spend FROM generate_series(1, 100) AS i;
            SELECT FROM persona.fit_segments('had', 'had', 'id', 3, save_to => 'kept');
            CREATE FUNCTION spare() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM kept WHERE id = new.id AND id % 2 = 1; RETURN NULL; END';
            CREATE TRIGGER spare AFTER INSERT ON kept FOR EACH ROW EXECUTE FUNCTION spare()""")
        for change in ("INSERT INTO had SELECT i, 10 FROM generate_series(201, 230) AS i", "DELETE FROM had WHERE id = 2", "DROP TRIGGER spare ON kept", "SELECT 1"):
            session.query(change)
            session.query("SELECT persona.refit('had')")
            assert session.scalar("SELECT n_rows FROM persona.publications WHERE model = 'had'") == session.scalar("SELECT count(*) FROM kept"), change


def test_changes_are_told_from_the_stays_of_a_history(cluster):
    """Who leaves one segment at the moment at which he enters the next moves; who comes into his first, or back into one, does not."""
    stays = "('a', 1, 10, 20), ('a', 2, 20, 30), ('a', 3, 40, NULL), ('b', 1, 20, NULL), ('c', NULL, 15, 35), ('c', 2, 35, 35), ('c', 1, 35, NULL)"
    at = "timestamptz '2026-01-01 00:00Z' + {} * interval '1 second'"
    told = [("a", 1, 2, 20), ("a", 2, None, 30), ("c", None, 2, 35), ("c", 2, 1, 35)]
    with cluster.connect() as session:
        models.make_data(session, 300, 40)
        session.query("SELECT FROM persona.fit_segments('seg', $$SELECT 'k' || id AS id, spend, visits FROM customers$$, 'id', 2, features => '{spend,visits}');"
                      "SELECT persona.publish('seg', 'labels', history_table => 'moves'); TRUNCATE moves;"
                      f"INSERT INTO moves SELECT k, s, s::text, {at.format('e')}, {at.format('l')} FROM (VALUES {stays}) AS v (k, s, e, l)")
        for since in (0, 11, 20, 21, 36, 41):
            found = session.rows(f"SELECT key, from_segment, to_segment, extract(epoch FROM changed_at - timestamptz '2026-01-01 00:00Z')::int FROM persona.segment_changes('seg', {at.format(since)})")
            assert sorted(found, key=str) == sorted((one for one in told if one[3] >= since), key=str), since
            assert [one[3] for one in found] == sorted(one[3] for one in found), since
        # As a column, and in a plan with workers beside it.
        assert session.scalar("SELECT count(*) FROM (SELECT (persona.segment_changes('seg')).*) AS c") == len(told)
        session.query("SET force_parallel_mode = on" if cluster.server == "15" else "SET debug_parallel_query = on")
        assert session.scalar("SELECT count(*) FROM persona.segment_changes('seg')") == len(told)


def test_a_table_without_a_key_of_its_own_has_the_models_rows_alone(cluster):
    """Whatever somebody did to it: rows without a key are gone with the next writing, and a row that is there twice is told."""
    with cluster.connect() as session:
        publish_all(session)
        session.query("SELECT persona.publish('seg', 'by_number', 'SELECT id::numeric AS id, spend, visits FROM customers', 'id')")
        for model, table, key in (("seg", "labels", "id"), ("seg", "by_number", "id"), ("sco", "scores", "id"), ("rec", "offers", "user_id")):
            n = session.scalar(f"SELECT count(*) FROM {table}")
            session.query(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey; ALTER TABLE {table} ALTER {key} DROP NOT NULL; INSERT INTO {table} SELECT * FROM {table} LIMIT 1;"
                          f"UPDATE {table} SET {key} = NULL WHERE ctid = (SELECT max(ctid) FROM {table})")
            assert session.rows(f"SELECT * FROM persona.publish('{model}', '{table}')") == [(0, 0, 1)], table
            session.query(f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1")
            for call in (f"persona.publish('{model}', '{table}')", f"persona.refit('{model}')"):
                error = session.error(f"SELECT {call}")
                assert error.sqlstate == "23505" and f"more than once in table public.{table}" in error.message, f"{call}: {error}"
            session.query(f"DELETE FROM {table} WHERE ctid = (SELECT max(ctid) FROM {table})")
            assert session.scalar(f"SELECT count(*) FROM {table}") == n and session.rows(f"SELECT n_rows FROM persona.publications WHERE target = 'public.{table}'") == [(n,)]


def test_a_copy_takes_no_place_of_others(cluster):
    """recommend_all with what users have, which no refit writes again, into a publication or rows of others is refused; an older copy it replaces."""
    with cluster.connect() as session:
        publish_all(session)
        copy = "SELECT FROM persona.save_recommendations('rec', '{}', 3, exclude_seen => false)"
        before = session.rows("SELECT * FROM offers ORDER BY 1, 2")
        error = session.error(copy.format("offers"))
        assert error.sqlstate == "55000" and "is kept up to date from the model" in error.message and error.hint, error
        assert session.rows("SELECT * FROM offers ORDER BY 1, 2") == before
        session.query(copy.format("everything") + ";" + copy.format("everything"))
        session.query("INSERT INTO everything (user_id, rank, item) VALUES (-5, 1, 1)")
        error = session.error(copy.format("everything"))
        assert error.sqlstate == "55000" and "not the model's" in error.message, error
        assert session.scalar("SELECT count(*) FROM everything WHERE user_id = -5") == 1


def test_a_history_is_of_one_publication(cluster):
    with cluster.connect() as session:
        publish_all(session)
        session.query("SELECT FROM persona.fit_segments('other', 'customers', 'id', 2, features => '{spend}')")
        for call in ("persona.publish('other', 'theirs', history_table => 'moves')", "persona.publish('seg', 'twice', history_table => 'moves')"):
            error = session.error(f"SELECT {call}")
            assert error.sqlstate == "55000" and "history of another publication" in error.message and error.hint, f"{call}: {error}"
        session.query("SELECT persona.publish('seg', 'labels', history_table => 'moves')")
        session.query("CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA persona TO reader; SELECT persona.grant_model('seg', 'reader', 'read')")
        with cluster.connect(user="reader") as reader:
            error = reader.error("SELECT * FROM persona.segment_changes('seg')")
            assert error.sqlstate == "55000" and "public.moves" in error.message and "SELECT" in error.hint, error
        session.query("DROP OWNED BY reader; DROP ROLE reader")


def test_what_is_more_than_work_mem_leaves_no_file_open(cluster):
    with cluster.connect() as session:
        models.make_models(session, 5000, 400)
        session.query("SET work_mem = '64kB'; SELECT persona.publish('seg', 'labels', history_table => 'moves'); SELECT FROM persona.save_recommendations('rec', 'offers', 5)")
        session.notices.clear()
        session.query("UPDATE labels SET segment = 0; SELECT persona.publish('seg', 'labels'); UPDATE offers SET score = 0; SELECT FROM persona.save_recommendations('rec', 'offers', 5)")
        session.query("UPDATE labels SET label = 'by hand'; SELECT persona.refit('seg')")
        session.query("SELECT FROM persona.fit_segments('seg', 'customers', 'id', 2, features => '{spend,visits}', save_to => 'labels', seed => 3)")
        session.query("BEGIN; DECLARE c CURSOR FOR SELECT * FROM persona.segment_changes('seg'); FETCH 2 FROM c; COMMIT; SELECT count(*) FROM persona.segment_changes('seg')")
        assert not [notice for notice in session.notices if notice.get("V", notice.get("S")) == "WARNING"], session.notices
