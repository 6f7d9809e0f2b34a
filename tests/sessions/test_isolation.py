"""Who waits, who fails and which version is seen: sessions that change and read one model, in each isolation level.

A permutation is a list of steps: session, what it does, and how that ends. A step that "waits" ends with a later step "ends". An
outcome is for all levels, or one for READ COMMITTED and one for the others, whose snapshot is as old as their first statement, or
one for each.
"""

import time

from lib import models
from lib.consistency import check_registry
from lib.pgwire import ServerError
from lib.tally import told

LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
# {m} is the permutation's model: version 1 has 2 segments and is active, version 2 has 3. {n} is a name that is free, {o} another model.
VERBS = {
    "begin": "BEGIN ISOLATION LEVEL {level}", "commit": "COMMIT", "rollback": "ROLLBACK", "mark": "SAVEPOINT s", "go back": "ROLLBACK TO s",
    "look": "SELECT count(*) > 0 FROM customers",
    # The version by the view, its segments by the model's own function, and those that rows are given.
    "see": """SELECT format('v%sk%s%s', (SELECT active_version FROM persona.models WHERE model = '{m}'), (SELECT count(*) FROM persona.segments('{m}')),
        (SELECT CASE WHEN count(DISTINCT persona.segment('{m}', c)) <> (SELECT count(*) FROM persona.segments('{m}')) THEN ' mixed' END FROM customers c))""",
    "see the new name": "SELECT format('v%sk%s', (SELECT active_version FROM persona.models WHERE model = '{n}'), (SELECT count(*) FROM persona.segments('{n}')))",
    "refit": "SELECT persona.refit('{m}')", "fit": "SELECT FROM persona.fit_segments('{m}', 'customers', 'id', 3, features => '{{spend,visits}}')",
    "fit the new name": "SELECT FROM persona.fit_segments('{n}', 'customers', 'id', 3, features => '{{spend,visits}}')",
    "activate 1": "SELECT persona.activate('{m}', 1)", "activate 2": "SELECT persona.activate('{m}', 2)", "drop": "SELECT persona.drop_model('{m}')",
    "rename": "SELECT persona.rename_model('{m}', '{n}')", "rename the other": "SELECT persona.rename_model('{o}', '{n}')",
    "grant": "SELECT persona.grant_model('{m}', 'public')", "revoke": "SELECT persona.revoke_model('{m}', 'public')",
    "publish": "SELECT FROM persona.publish('{m}', '{m}_labels')", "name": "SELECT persona.name_segment('{m}', 1, 'one')",
    "open": "DECLARE of_rows CURSOR FOR SELECT persona.segment('{m}', c) FROM customers c ORDER BY id; FETCH 3 FROM of_rows",
    "fetch": "FETCH ALL FROM of_rows",
}
OK, WAITS, SKIPS = "ok", "waits", "skips"


def both(read_committed, others, serializable=None):
    return (read_committed, others, serializable or others)


PERMUTATIONS = {
    "a refit is seen when it is committed": [
        ("b", "begin", OK), ("b", "see", "v1k2"), ("a", "begin", OK), ("a", "refit", 3), ("a", "see", "v3k2"), ("b", "see", "v1k2"), ("a", "commit", OK),
        ("b", "see", both("v3k2", "v1k2")), ("b", "commit", OK), ("b", "see", "v3k2")],
    "a refit that is rolled back is never seen": [
        ("b", "begin", OK), ("b", "look", OK), ("a", "begin", OK), ("a", "refit", 3), ("b", "see", "v1k2"), ("a", "rollback", OK), ("a", "see", "v1k2"),
        ("b", "see", "v1k2"), ("b", "commit", OK), ("b", "refit", 3)],
    "an activation is seen when it is committed": [
        ("b", "begin", OK), ("b", "look", OK), ("a", "begin", OK), ("a", "activate 2", OK), ("a", "see", "v2k3"), ("b", "see", "v1k2"), ("a", "commit", OK),
        ("b", "see", both("v2k3", "v1k2")), ("b", "commit", OK), ("b", "see", "v2k3")],
    "of two refits one skips": [
        ("a", "begin", OK), ("a", "refit", 3), ("b", "begin", OK), ("b", "refit", SKIPS), ("a", "commit", OK), ("b", "refit", both(4, "40001")), ("b", "rollback", OK),
        ("b", "see", "v3k2")],
    "of three refits two skip": [
        ("a", "begin", OK), ("a", "refit", 3), ("b", "refit", SKIPS), ("c", "refit", SKIPS), ("a", "rollback", OK), ("c", "refit", 3)],
    "a refit that is taken back to a savepoint holds nothing": [
        ("a", "begin", OK), ("a", "mark", OK), ("a", "refit", 3), ("b", "refit", SKIPS), ("a", "go back", OK), ("b", "refit", 3), ("a", "commit", OK), ("a", "see", "v3k2")],
    "a first fit that is taken back to a savepoint holds no name": [
        ("a", "begin", OK), ("a", "mark", OK), ("a", "fit the new name", OK), ("b", "fit the new name", WAITS), ("a", "go back", OK), ("b", "ends", OK), ("a", "commit", OK),
        ("a", "see the new name", "v1k3")],
    "a refit skips while a fit holds the model": [
        ("a", "begin", OK), ("a", "fit", OK), ("b", "begin", OK), ("b", "refit", SKIPS), ("a", "commit", OK), ("b", "commit", OK), ("b", "see", "v3k3")],
    "a refit skips while an activation holds the model": [
        ("a", "begin", OK), ("a", "activate 2", OK), ("b", "refit", SKIPS), ("a", "commit", OK), ("b", "refit", 3), ("b", "see", "v3k3")],
    "a fit waits for a refit": [
        ("a", "begin", OK), ("a", "refit", 3), ("b", "begin", OK), ("b", "fit", WAITS), ("a", "commit", OK), ("b", "ends", both(OK, "40001")), ("b", "commit", OK),
        ("a", "see", both("v4k3", "v3k2"))],
    "a fit waits for a refit that is rolled back": [
        ("a", "begin", OK), ("a", "refit", 3), ("b", "begin", OK), ("b", "fit", WAITS), ("a", "rollback", OK), ("b", "ends", OK), ("b", "commit", OK), ("a", "see", "v3k3")],
    "a fit waits for a drop": [
        ("a", "begin", OK), ("a", "drop", OK), ("a", "see", "42704"), ("a", "rollback", OK), ("a", "begin", OK), ("a", "drop", OK), ("b", "begin", OK), ("b", "fit", WAITS),
        ("a", "commit", OK), ("b", "ends", both(OK, "40001")), ("b", "commit", OK), ("a", "see", both("v1k3", "42704"))],
    "a fit waits for a rename, and makes a new model": [
        ("a", "begin", OK), ("a", "rename", OK), ("b", "begin", OK), ("b", "fit", WAITS), ("a", "commit", OK), ("b", "ends", both(OK, "40001")), ("b", "commit", OK),
        ("a", "see", both("v1k3", "42704")), ("a", "see the new name", "v1k2")],
    "a drop waits for a refit": [
        ("a", "begin", OK), ("a", "refit", 3), ("b", "begin", OK), ("b", "drop", WAITS), ("a", "commit", OK), ("b", "ends", both(OK, "40001")), ("b", "commit", OK),
        ("a", "see", both("42704", "v3k2"))],
    "a drop waits for a drop": [
        ("a", "begin", OK), ("a", "drop", OK), ("b", "begin", OK), ("b", "drop", WAITS), ("a", "commit", OK), ("b", "ends", both("42704", "40001")), ("b", "rollback", OK)],
    "a drop waits for a rename": [
        ("a", "begin", OK), ("a", "rename", OK), ("b", "begin", OK), ("b", "drop", WAITS), ("a", "commit", OK), ("b", "ends", both("42704", "40001")), ("b", "rollback", OK),
        ("b", "see the new name", "v1k2")],
    "activations wait for each other": [
        ("a", "begin", OK), ("a", "activate 2", OK), ("b", "begin", OK), ("b", "activate 1", WAITS), ("a", "commit", OK), ("b", "ends", both(OK, "40001")), ("b", "commit", OK),
        ("a", "see", both("v1k2", "v2k3"))],
    "a grant is not lost beside an activation": [
        ("a", "begin", OK), ("a", "grant", OK), ("b", "begin", OK), ("b", "activate 2", WAITS), ("a", "commit", OK), ("b", "ends", both(OK, "40001")), ("b", "commit", OK),
        ("reader", "see", both("v2k3", "v1k2"))],
    "a free name is waited for by a rename": [
        ("a", "begin", OK), ("a", "rename", OK), ("b", "begin", OK), ("b", "rename the other", WAITS), ("a", "commit", OK), ("b", "ends", "42710"), ("b", "rollback", OK),
        ("b", "see the new name", "v1k2")],
    "a free name is waited for by a rename, and had after a rollback": [
        ("a", "begin", OK), ("a", "rename", OK), ("b", "begin", OK), ("b", "rename the other", WAITS), ("a", "rollback", OK), ("b", "ends", OK), ("b", "commit", OK),
        ("a", "see", "v1k2"), ("a", "rename", "42710")],
    "a free name is waited for by a first fit": [
        ("a", "begin", OK), ("a", "rename", OK), ("b", "begin", OK), ("b", "fit the new name", WAITS), ("a", "commit", OK), ("b", "ends", both(OK, "40001")), ("b", "commit", OK),
        ("a", "see the new name", both("v3k3", "v1k2"))],
    "first fits of a name wait for each other": [
        ("a", "begin", OK), ("a", "fit the new name", OK), ("b", "begin", OK), ("b", "fit the new name", WAITS), ("a", "commit", OK), ("b", "ends", both(OK, "40001")),
        ("b", "commit", OK), ("a", "see the new name", both("v2k3", "v1k3"))],
    "a rename waits for a first fit of its name": [
        ("a", "begin", OK), ("a", "fit the new name", OK), ("b", "begin", OK), ("b", "rename the other", WAITS), ("a", "commit", OK), ("b", "ends", "42710"),
        ("b", "rollback", OK)],
    "a grant is seen when it is committed": [
        ("reader", "begin", OK), ("reader", "see", "42704"), ("reader", "rollback", OK), ("reader", "begin", OK), ("reader", "look", OK), ("a", "begin", OK), ("a", "grant", OK),
        ("a", "commit", OK), ("reader", "see", both("v1k2", "42704")), ("reader", "rollback", OK), ("reader", "see", "v1k2")],
    "a revoke is seen when it is committed": [
        ("a", "grant", OK), ("reader", "begin", OK), ("reader", "see", "v1k2"), ("a", "begin", OK), ("a", "revoke", OK), ("reader", "see", "v1k2"), ("a", "commit", OK),
        ("reader", "see", both("42704", "v1k2")), ("reader", "rollback", OK), ("reader", "see", "42704")],
    "a publication waits for a refit": [
        ("a", "publish", OK), ("a", "begin", OK), ("a", "refit", 3), ("b", "begin", OK), ("b", "publish", WAITS), ("a", "commit", OK), ("b", "ends", both(OK, "40001")), ("b", "commit", OK)],
    "a name waits for a refit": [
        ("a", "begin", OK), ("a", "refit", 3), ("b", "begin", OK), ("b", "name", WAITS), ("a", "commit", OK), ("b", "ends", both(OK, "40001")), ("b", "commit", OK), ("a", "see", "v3k2")],
    "an old snapshot reads a model that is dropped": [
        ("b", "begin", OK), ("b", "look", OK), ("a", "drop", OK), ("b", "see", both("42704", "v1k2")), ("b", "rollback", OK), ("b", "see", "42704")],
    "an old snapshot reads a model whose name another one has": [
        ("b", "begin", OK), ("b", "see", "v1k2"), ("a", "drop", OK), ("a", "fit", OK), ("b", "see", both("v1k3", "v1k2")), ("b", "commit", OK), ("b", "see", "v1k3")],
    "an old snapshot reads a model that was renamed": [
        ("b", "begin", OK), ("b", "look", OK), ("a", "rename", OK), ("b", "see", both("42704", "v1k2")), ("b", "rollback", OK), ("b", "see the new name", "v1k2")],
    "an old snapshot does not change what is newer": [
        ("b", "begin", OK), ("b", "look", OK), ("a", "activate 2", OK), ("b", "refit", both(3, "40001")), ("b", "rollback", OK), ("b", "see", "v2k3")],
    "an open cursor keeps its version": [
        ("b", "begin", OK), ("b", "open", OK), ("a", "activate 2", OK), ("b", "fetch", "no third segment"), ("b", "see", both("v2k3", "v1k2")), ("b", "commit", OK)],
    "a drop and an activation wait in turn": [
        ("a", "begin", OK), ("a", "refit", 3), ("b", "begin", OK), ("b", "drop", WAITS), ("c", "begin", OK), ("c", "activate 2", WAITS), ("a", "commit", OK),
        ("b", "ends", both(OK, "40001")), ("b", "commit", OK), ("c", "ends", both("42704", "40001")), ("c", "rollback", OK), ("a", "see", both("42704", "v3k2"))],
}


def test_sessions_of_every_isolation_level_wait_and_see_as_is_written_here(cluster):
    with cluster.sessions(3) as sessions:
        admin = sessions[0]
        models.make_data(admin, 300, 40)
        admin.query("DROP ROLE IF EXISTS isolated_reader; CREATE ROLE isolated_reader LOGIN; GRANT SELECT ON customers TO isolated_reader")
        with cluster.connect(user="isolated_reader") as reader:
            by_name = dict(zip("abc", sessions)) | {"reader": reader}
            number, wrong = 0, []
            for title, steps in PERMUTATIONS.items():
                for level in LEVELS:
                    number += 1
                    names = {"m": f"m{number}", "n": f"n{number}", "o": f"o{number}", "level": level}
                    for name, k in (("m", 2), ("m", 3), ("o", 2)):
                        admin.query(f"SELECT FROM persona.fit_segments('{names[name]}', 'customers', 'id', {k}, features => '{{spend,visits}}')")
                    admin.query(f"SELECT persona.activate('{names['m']}', 1)")
                    for place, (who, verb, expected) in enumerate(steps):
                        outcome = take(by_name[who], verb, names, expected)
                        expected = expected[LEVELS.index(level)] if isinstance(expected, tuple) else expected
                        if outcome != expected:
                            wrong.append(f"{title}, in {level}, step {place}, {who} {verb}: {outcome}, not {expected}")
                    for session in by_name.values():
                        leave(session)
            check_registry(admin)
            assert not wrong, "\n".join(wrong)
        assert "deadlock detected" not in cluster.log.read_text(errors="replace")
        told(f"{len(PERMUTATIONS)} permutations in {len(LEVELS)} isolation levels end as is written")


def take(session, verb, names, expected):
    """One step, and how it ends."""
    session.notices.clear()
    if verb != "ends":
        session.send(VERBS[verb].format(**names))
        if expected == WAITS:
            return WAITS if not session.ready(0.12) else "does not wait"
    try:
        result = session.fetch(10)[-1]
    except ServerError as error:
        return error.sqlstate
    except TimeoutError:
        return "waits on"
    if verb == "refit":
        skipped = any("skipped" in notice["M"] for notice in session.notices)
        return SKIPS if result.rows == [(None,)] and skipped else result.scalar()
    if verb == "fetch":
        return "no third segment" if {segment for (segment,) in result.rows} <= {1, 2} else "mixed"
    return result.scalar() if verb.startswith("see") else OK


def leave(session):
    """Whatever went wrong, the next permutation begins outside a transaction."""
    try:
        if session.ready(0):
            session.fetch(1)
    except (ServerError, TimeoutError):
        pass
    if session.transaction_status != "I":
        session.query("ROLLBACK")


def test_what_a_serializable_transaction_was_told_counts_as_read(cluster):
    """One asks a model and writes down the answer; the other sees nothing written down and changes the model. No order of the two gives that."""
    with cluster.connect() as one, cluster.connect() as other:
        models.make_models(one, 200, 30)
        one.query("CREATE TABLE answers (model text, answer integer)")
        both_went_through = []
        for model in models.MODELS:
            # Told before, and so kept; or asked for the first time by that transaction.
            for is_kept in (False, True):
                one.query("TRUNCATE answers")
                models.activate(other, model, 1)
                time.sleep(0.05)
                if is_kept:
                    assert models.version_seen(one, model) == 1
                one.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
                other.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
                assert models.version_seen(one, model) == 1
                one.query(f"INSERT INTO answers VALUES ('{model}', 1)")
                assert other.scalar("SELECT count(*) FROM answers") == 0
                failed = []
                for session, statement in ((other, f"SELECT persona.activate('{model}', 2)"), (one, "COMMIT"), (other, "COMMIT")):
                    try:
                        session.query(statement)
                    except ServerError as error:
                        failed.append(error.sqlstate)
                        session.query("ROLLBACK")
                if failed[:1] != ["40001"]:
                    both_went_through.append((model, "kept" if is_kept else "asked for the first time", failed))
        assert not both_went_through, both_went_through


WRITES = {
    "publish": "SELECT * FROM persona.publish('seg', '{table}', history_table => '{table}_moves')",
    "publish scores": "SELECT * FROM persona.publish('sco', '{table}', 'SELECT * FROM customers', 'id')",
    "publish items": "SELECT * FROM persona.publish('rec', '{table}', n => 2)",
    "recommend_all into a table": "SELECT * FROM persona.save_recommendations('rec', '{table}', 2)",
    "name_segment": "SELECT persona.name_segment('seg', 1, 'one')",
    "log_refit_failure": "SELECT persona.log_refit_failure('seg', now(), '22012', 'none')",
    "refit": "SELECT persona.refit('seg')", "activate": "SELECT persona.activate('sco', 2)", "grant_model": "SELECT persona.grant_model('rec', 'public')",
    "a fit": models.FIT["seg"].format(k=2).replace("{", "{{").replace("}", "}}"), "a fit into a table": models.FIT["seg"].format(k=2)[:-1].replace("{", "{{").replace("}", "}}") + ", save_to => '{table}')",
}


def test_nothing_is_written_for_a_model_that_is_dropped_meanwhile(cluster):
    """By one whose snapshot still has the model, before the drop is committed and after. No foreign key checks what is inserted."""
    wrong, number = [], 0
    with cluster.connect() as writer, cluster.connect() as dropper:
        models.make_data(writer, 200, 30)
        for level in LEVELS:
            for name, statement in WRITES.items():
                for is_committed in (False, True):
                    number += 1
                    for model in models.MODELS:
                        models.fit(dropper, model, 1)
                        models.fit(dropper, model, 2)
                    drop = "SELECT persona.drop_model(name) FROM persona.model ORDER BY name"
                    writer.query(f"BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM customers")
                    dropper.query(drop if is_committed else f"BEGIN; {drop}")
                    writer.send(statement.format(table=f"table{number}"))
                    if not is_committed:
                        writer.ready(0.1)
                        dropper.query("COMMIT")
                    state = None
                    try:
                        writer.fetch()
                    except ServerError as error:
                        state = error.sqlstate
                    writer.query("COMMIT")
                    if state not in (None, "42704", "40001"):
                        wrong.append(f"{name} in {level}, the drop {'' if is_committed else 'not yet '}committed: {state}")
                    try:
                        check_registry(dropper)
                    except AssertionError as error:
                        wrong.append(f"{name} in {level}, the drop {'' if is_committed else 'not yet '}committed: {error}")
                    for table in ("model", "model_version", "model_chunk", "model_evidence", "segment_name", "publication", "refit_run"):
                        dropper.query(f"DELETE FROM persona.{table}")
    assert not wrong, "\n".join(wrong)


def test_an_old_snapshot_activates_no_version_that_is_gone(cluster):
    """Fits that do not activate prune versions, and leave the model's own row as it was."""
    with cluster.connect() as writer, cluster.connect() as other:
        models.make_data(writer, 200, 30)
        for level in LEVELS:
            for _ in range(3):
                models.fit(other, "seg", 1)
            other.query("UPDATE persona.model SET keep_versions = 1")
            writer.query(f"BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM customers")
            for _ in range(2):
                other.query("SELECT FROM persona.fit_segments('seg', 'customers', 'id', 2, features => '{spend}', activate => false)")
            assert other.scalar("SELECT count(*) FROM persona.model_versions WHERE version = 2") == 0
            error = None
            try:
                writer.query("SELECT persona.activate('seg', 2)")
            except ServerError as refused:
                error = refused
            writer.query("COMMIT")
            check_registry(other, f"in {level}: {error}")
            assert error and error.sqlstate in ("42704", "40001"), error
            other.query("SELECT persona.drop_model('seg')")


def test_a_statement_goes_on_with_a_model_that_is_dropped_while_it_runs(cluster):
    """All that a statement reads of a model is as its snapshot has it, also in a transaction that has written something."""
    reads = {
        "segment": "SELECT persona.segment('seg', c) FROM customers c", "distance": "SELECT persona.distance('seg', c) FROM customers c",
        "segments": "SELECT * FROM persona.segments('seg')", "segment_profile": "SELECT * FROM persona.segment_profile('seg')",
        "segment_quality": "SELECT * FROM persona.segment_quality('seg')", "score": "SELECT persona.score('sco', c) FROM customers c",
        "predict": "SELECT persona.predict('sco', c) FROM customers c", "export_onnx": "SELECT length(persona.export_onnx('sco'))",
        "recommend": "SELECT * FROM persona.recommend('rec', 1)", "similar_items": "SELECT * FROM persona.similar_items('rec', 1)",
        "recommend_all": "SELECT * FROM persona.recommend_all('rec', 2)", "segment_changes": "SELECT count(*) FROM persona.segment_changes('seg')",
        "profile": "SELECT * FROM persona.profile('7')",
        "evaluate": "SELECT * FROM persona.evaluate('sco', 'SELECT *, bought AS good FROM customers', 'good')",
        "report": "SELECT persona.report('seg', with_rows => false)", "segment_flow": "SELECT * FROM persona.segment_flow('seg', 1, 1)",
    }
    wrong = []
    with cluster.connect() as admin:
        models.make_data(admin, 60, 20)
        for name, read in reads.items():
            for has_written in (False, True):
                for model in models.MODELS:
                    models.fit(admin, model, 1)
                admin.query("SELECT FROM persona.publish('seg', 'labels', history_table => 'moves')")
                # A session of its own, which knows no model yet.
                with cluster.connect() as session:
                    session.query("BEGIN; SELECT pg_current_xact_id()" if has_written else "BEGIN")
                    session.send(f"SELECT q.* FROM (SELECT pg_sleep(0.4) OFFSET 0) AS s, LATERAL ({read} WHERE s IS NOT NULL LIMIT 3) AS q")
                    assert not session.ready(0.1)
                    admin.query("SELECT persona.drop_model(name) FROM persona.model")
                    try:
                        if not session.fetch()[-1].rows:
                            wrong.append(f"{name}{', having written' if has_written else ''}: nothing")
                    except ServerError as error:
                        wrong.append(f"{name}{', having written' if has_written else ''}: {error}")
                admin.query("DROP TABLE labels, moves")
    assert not wrong, "\n".join(wrong)
