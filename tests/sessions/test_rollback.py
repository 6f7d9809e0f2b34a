"""Transactions that are taken back, prepared, or fail in the middle: of a fit, a refit, an import or a publication nothing is left, in no
table, lock, cache or file. And what other parts of PostgreSQL do with the registry's changes: logical decoding and replication slots."""

from lib import models, onnx
from lib.consistency import check_registry
from lib.models import MODELS, expect
from lib.pgwire import ServerError
from lib.tally import Skip, long, told

# Decoding reads what is written: so commits are.
SETTINGS = {"synchronous_commit": "on", "max_prepared_transactions": "10", "wal_level": "logical", "max_replication_slots": "10", "max_wal_senders": "10"}

REGISTRY_TABLES = ("model", "model_version", "model_chunk", "model_evidence", "segment_name", "publication", "refit_run")
TABLES = ("labels", "moves", "scores", "offers")
# What is done and taken back; each leaves version 2 of the model active, or no model.
CHANGES = {
    "a fit of segments": ("seg", "SELECT FROM persona.fit_segments('seg', 'customers', 'id', 3, features => '{spend,visits}', save_to => 'labels')", "new"),
    "a fit of a scorer": ("sco", models.FIT["sco"].format(wanted="false"), "new"),
    "a fit of a recommender": ("rec", models.FIT["rec"].format(shift=1000), "new"),
    "a refit of segments": ("seg", "SELECT persona.activate('seg', 2), persona.refit('seg', force => true)", "new"),
    "a refit of a scorer": ("sco", "SELECT persona.activate('sco', 2), persona.refit('sco', force => true)", "new"),
    "a refit of a recommender": ("rec", "SELECT persona.activate('rec', 2), persona.refit('rec', force => true)", "new"),
    "an activation": ("seg", "SELECT persona.activate('seg', 2)", "new"),
    "a drop": ("sco", "SELECT persona.drop_model('sco')", "gone"),
    "a rename": ("rec", "SELECT persona.rename_model('rec', 'away')", "gone"),
    "a drop and a fit": ("seg", "SELECT persona.drop_model('seg'); " + models.FIT["seg"].format(k=3), "new"),
    "an import": ("sco", "SELECT persona.drop_model('sco'); SELECT FROM persona.import_onnx('sco', (SELECT onnx FROM graphs))", None),
    "a publication": ("seg", "SELECT persona.activate('seg', 2); SELECT FROM persona.publish('seg', 'labels', history_table => 'moves')", "new"),
    "a first publication": ("seg", "SELECT persona.activate('seg', 2); SELECT FROM persona.publish('seg', 'fresh', history_table => 'fresh_moves')", "new"),
    "a name and a grant": ("seg", "SELECT persona.name_segment('seg', 1, 'x'), persona.grant_model('seg', 'public'), persona.activate('seg', 2)", "new"),
}
# Where a fit ends early; a source fails at one of its rows.
FAILING = {
    "a fit of segments": "SELECT FROM persona.fit_segments('seg', 'SELECT id, spend / (id <> {at})::int AS spend, visits FROM customers', 'id', 3, save_to => 'labels')",
    "a fit of a scorer": "SELECT FROM persona.fit_scorer('sco', 'SELECT id, spend / (id <> {at})::int AS spend, visits, bought FROM customers', 'bought', key => 'id')",
    "a fit of a recommender": "SELECT FROM persona.fit_recommender('rec', 'SELECT user_id / (user_id <> 1 + {at} % 40)::int AS user_id, item_id FROM events')",
    "a refit": "SELECT persona.refit('failing')",
    "a publication": "SELECT FROM persona.publish('seg', 'labels', 'SELECT id, spend / (id <> {at})::int AS spend, visits FROM customers', history_table => 'moves')",
    "a table that is in the way": "SELECT FROM persona.fit_segments('seg', 'customers', 'id', 3, features => '{{spend,visits}}', save_to => 'in_the_way')",
    "a table whose trigger fails": "SELECT FROM persona.publish('seg', 'guarded')",
    "an import of what is no model": "SELECT FROM persona.import_onnx('sco', '\\x{at:08x}'::bytea)",
}


def prepare(session):
    models.make_models(session, 400, 50)
    session.query(f"""
        CREATE TABLE graphs AS SELECT '\\x{onnx.weighty(2).hex()}'::bytea AS onnx;
        SELECT FROM persona.publish('seg', 'labels', history_table => 'moves');
        SELECT FROM persona.publish('sco', 'scores', 'SELECT * FROM customers', 'id');
        SELECT FROM persona.publish('rec', 'offers', n => 3);
        CREATE TABLE in_the_way (something integer PRIMARY KEY);
        CREATE TABLE guarded (id bigint PRIMARY KEY, segment integer, label text, since timestamptz, version integer);
        CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 300 THEN RAISE 'not this one' USING ERRCODE = 'P0001'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER guard BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION guard();
        CREATE VIEW breaking AS SELECT id, spend / (id <> current_setting('tests.at')::integer)::int AS spend, visits FROM customers;
        UPDATE persona.model SET keep_versions = 1000;
        SET tests.at = 0""")
    session.query("SELECT FROM persona.fit_segments('failing', 'breaking', 'id', 2, features => '{spend,visits}')")


def everything(session):
    """All rows that a transaction could have changed, and the relations that are there."""
    found = {table: session.rows(f"SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)), count(*) FROM persona.{table} AS t") for table in REGISTRY_TABLES}
    found |= {table: session.rows(f"SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)), count(*) FROM {table} AS t") for table in TABLES}
    found["relations"] = session.rows("SELECT relnamespace::regnamespace::text, relname FROM pg_class WHERE relnamespace::regnamespace::text !~ '^pg_toast' ORDER BY 1, 2")
    return found


def check_no_trace(session, other, before, model, when):
    after = everything(session)
    assert after == before, f"{when}: {[what for what in before if before[what] != after[what]]} changed"
    for one in MODELS:
        # The sessions' memories, too.
        expect(session, one, 1, when)
        expect(other, one, 1, f"{when}, elsewhere")
    assert session.scalar("SELECT count(*) FROM persona.activity") == 0, f"{when}: still shown"
    assert session.scalar("SELECT count(*) FROM pg_locks WHERE classid = 'persona.model'::regclass") == 0, f"{when}: a lock is left"


def see_inside(session, model, left, when):
    if left == "new":
        expect(session, model, 2, when)
    elif left == "gone":
        session.query("SAVEPOINT seen")
        assert session.error(models.VERSION_SEEN[model]).sqlstate == "42704", when
        session.query("ROLLBACK TO seen")


def test_what_is_rolled_back_leaves_no_trace(cluster):
    check_rollbacks(cluster, 14)


@long
def test_100_rollbacks_of_each_kind_leave_no_trace(cluster):
    check_rollbacks(cluster, 100)


def check_rollbacks(cluster, n):
    """So many of savepoints, of prepared transactions and of errors, in every isolation level in turn."""
    with cluster.connect() as session, cluster.connect() as other:
        prepare(session)
        before, counted = everything(session), {}
        for number in range(n):
            level = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")[number % 3]
            name = list(CHANGES)[number % len(CHANGES)]
            model, change, left = CHANGES[name]
            for way in (roll_back_to_a_savepoint, roll_back_what_is_prepared):
                when = f"{name} in {level}, {way.__name__}, {number}"
                way(session, other, level, model, change, left, when)
                check_no_trace(session, other, before, model, when)
                counted[way.__name__] = counted.get(way.__name__, 0) + 1
            failing = list(FAILING)[number % len(FAILING)]
            when = f"{failing} that fails in {level}, {number}"
            fail(session, level, FAILING[failing], 1 + number * 7 % 399, ("", "BEGIN", "BEGIN; SAVEPOINT s")[number % 3], when)
            check_no_trace(session, other, before, "seg", when)
            counted["errors"] = counted.get("errors", 0) + 1
        check_registry(session)
        told(", ".join(f"{count} {way.replace('_', ' ')}" for way, count in counted.items()) + ": no trace")


def roll_back_to_a_savepoint(session, other, level, model, change, left, when):
    session.query(f"BEGIN ISOLATION LEVEL {level}")
    expect(session, model, 1, when)
    for depth in range(2):
        session.query(f"SAVEPOINT s{depth}")
        session.query(change)
        see_inside(session, model, left, when)
        session.query(f"ROLLBACK TO s{depth}")
        expect(session, model, 1, f"{when}, after ROLLBACK TO")
    expect(other, model, 1, f"{when}, elsewhere")
    session.query("COMMIT")


def roll_back_what_is_prepared(session, other, level, model, change, left, when):
    session.query(f"BEGIN ISOLATION LEVEL {level}")
    # PostgreSQL prepares no transaction that touched a temporary table, and a fit into a table that is there makes one.
    session.query(change.replace(", save_to => 'labels'", ""))
    see_inside(session, model, left, when)
    session.query("PREPARE TRANSACTION 'p'")
    expect(session, model, 1, f"{when}, prepared")
    for one in (session, other):
        one.notices.clear()
        assert one.scalar(f"SELECT persona.refit('{model}')") is None, f"{when}: a refit beside a prepared transaction"
        assert any("skipped" in notice["M"] for notice in one.notices), when
    session.query("ROLLBACK PREPARED 'p'")


def fail(session, level, statement, at, begin, when):
    """By itself, in a transaction, or below a savepoint; at a row of the source."""
    session.query(f"SET default_transaction_isolation = '{level.lower()}'; SET tests.at = {at}")
    session.query(begin or "SELECT")
    error = session.error(statement.format(at=at))
    assert error.sqlstate[:2] in ("22", "42", "P0"), f"{when}: {error}"
    if begin:
        session.query("ROLLBACK TO s; COMMIT" if "SAVEPOINT" in begin else "ROLLBACK")
    session.query("RESET default_transaction_isolation; SET tests.at = 0")


def test_what_is_prepared_and_committed_is_there(cluster):
    check_prepared(cluster, 7)


@long
def test_100_prepared_transactions_are_there_when_they_commit(cluster):
    check_prepared(cluster, 100)


def check_prepared(cluster, n):
    with cluster.connect() as session, cluster.connect() as other:
        models.make_models(session, 300, 40)
        session.query("UPDATE persona.model SET keep_versions = 1000")
        made = {model: 2 for model in MODELS}
        for number in range(n):
            model = MODELS[number % 3]
            session.query("BEGIN")
            version = session.scalar(f"SELECT persona.refit('{model}', force => true)")
            session.query("PREPARE TRANSACTION 'p'")
            assert other.scalar(f"SELECT persona.refit('{model}')") is None
            other.send(f"SELECT persona.activate('{model}', 1)")
            waits = not other.ready(0.03)
            session.query("COMMIT PREPARED 'p'")
            other.fetch()
            assert waits, "an activation does not wait for a prepared refit"
            made[model] += 1
            assert version == made[model] == session.scalar(f"SELECT max(version) FROM persona.model_versions WHERE model = '{model}'")
            expect(session, model, 1, f"after the activation that waited, {number}")
            session.query(f"SELECT persona.activate('{model}', {version})")
            expect(other, model, 1, f"a refit of version 1 answers as it, {number}")
            session.query(f"SELECT persona.activate('{model}', 1)")
        check_registry(session)
        told(f"{n} prepared refits committed, each skipped and waited for meanwhile")


# Logical decoding ---------------------------------------------------------------------------------------------------------


def test_logical_decoding_reads_every_change(cluster):
    check_decoding(cluster, 14)


@long
def test_logical_decoding_reads_200_changes(cluster):
    check_decoding(cluster, 200)


def check_decoding(cluster, n):
    """Slots of both plugins are read between fits, refits, drops, rollbacks and prepared transactions; and what the first plugin says
    was inserted into the registry is what is there."""
    with cluster.connect() as session, cluster.connect() as other:
        prepare(session)
        try:
            session.query("SELECT pg_create_logical_replication_slot('text', 'test_decoding')")
        except ServerError as error:
            assert error.sqlstate == "58P01", error
            raise Skip("test_decoding is not installed") from None
        session.query("SELECT pg_create_logical_replication_slot('twophase', 'test_decoding', false, true)")
        session.query("ALTER TABLE moves REPLICA IDENTITY FULL; CREATE PUBLICATION of_all FOR ALL TABLES")
        session.query("SELECT pg_create_logical_replication_slot('binary', 'pgoutput')")
        lines, began = 0, session.scalar("SELECT max(version) FROM persona.model_versions WHERE model = 'rec'")
        versions = 0
        try:
            for number in range(n):
                name = list(CHANGES)[number % len(CHANGES)]
                # A history that is made anew has no replica identity, see below.
                change = CHANGES[name][1].replace(", save_to => 'labels'", "").replace(", history_table => 'fresh_moves'", "")
                begin, end = (("BEGIN", "ROLLBACK"), ("BEGIN; SAVEPOINT s", "ROLLBACK TO s; COMMIT"), ("BEGIN", "PREPARE TRANSACTION 'p'"))[number % 3]
                session.query(begin)
                session.query(change)
                session.query(end)
                if number % 3 == 2:
                    # While it is prepared: of one that was taken back PostgreSQL itself cannot always tell which tables it made.
                    lines += len(other.rows("SELECT data FROM pg_logical_slot_get_changes('twophase', NULL, NULL)"))
                    session.query("ROLLBACK PREPARED 'p'")
                # A change that stays.
                session.query("UPDATE customers SET spend = spend + 1 WHERE id % 7 = 0; SELECT persona.refit('seg', force => true)")
                session.query("SELECT persona.refit('rec', force => true)")
                session.query("SELECT FROM persona.fit_segments('other', 'customers', 'id', 2, features => '{spend}', save_to => 'other_labels')")
                session.query("SELECT persona.drop_model('other'); DELETE FROM other_labels")
                versions += 1
                for slot in ("text", "twophase"):
                    said = other.rows(f"SELECT data FROM pg_logical_slot_get_changes('{slot}', NULL, NULL)")
                    inserted = sum(line.startswith("table persona.model_version: INSERT: ") for (line,) in said)
                    # The refit of segments, that of the recommender, the fit; of what was rolled back a two-phase slot may speak.
                    assert inserted == 3 if slot == "text" else inserted >= 3, f"{number}, {slot}: {inserted} versions"
                    lines += len(said)
                other.rows("SELECT count(*) FROM pg_logical_slot_get_binary_changes('binary', NULL, NULL, 'proto_version', '1', 'publication_names', 'of_all')")
        finally:
            for slot in ("text", "twophase", "binary"):
                other.query(f"SELECT pg_drop_replication_slot('{slot}')")
        newest = session.scalar("SELECT max(version) FROM persona.model_versions WHERE model = 'rec'")
        assert newest == began + versions, (newest, began, versions)
        told(f"{n} rounds: {lines} changes decoded without an error")


def test_a_history_is_kept_where_all_tables_are_replicated(cluster):
    """PostgreSQL refuses to update a table that is published and tells its rows apart by nothing; a history has no key."""
    with cluster.connect() as session:
        models.make_data(session, 100, 20)
        session.query("CREATE PUBLICATION of_all FOR ALL TABLES; SELECT FROM persona.fit_segments('seg', 'customers', 'id', 2, features => '{spend}')")
        session.query("SELECT FROM persona.publish('seg', 'labels', history_table => 'moves')")
        session.query("UPDATE customers SET spend = 210 - spend WHERE id < 9; SELECT persona.refit('seg', force => true)")
        assert session.scalar("SELECT count(*) FROM persona.segment_changes('seg') WHERE from_segment IS NOT NULL") > 0


def test_a_version_of_the_same_number_and_bytes_is_another_after_a_rollback(cluster):
    """What a session keeps of a version that was taken back is not used for the next one of that number: its columns may be others."""
    graph = onnx.model(onnx.graph([onnx.node("Slice", ["x", "zero", "one", "axis"], ["y"])], [("x", "n", 2)], [("y", "n", 1)],
                                  (5, [onnx.wholes("zero", [0]), onnx.wholes("one", [1]), onnx.wholes("axis", [1])])))
    ask = "SELECT persona.score('m', t) FROM (SELECT 1 AS a, 2 AS b) AS t"
    with cluster.connect() as session:
        onnx.import_onnx(session, "m", onnx.weighty(1))
        session.query("BEGIN")
        onnx.import_onnx(session, "m", graph, ["a", "b"])
        assert session.scalar(ask) == 1
        session.query("ROLLBACK")
        onnx.import_onnx(session, "m", graph, ["b", "a"])
        assert session.scalar(ask) == 2, "the columns of a version that was taken back are used"
        session.query("DROP EXTENSION pg_persona CASCADE; CREATE EXTENSION pg_persona")
        for version in (1, 2):
            onnx.import_onnx(session, "m", graph, ["a", "b"])
        assert session.scalar(ask) == 1, "the columns of a model of an extension that is gone are used"
