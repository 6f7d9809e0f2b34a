"""The scorer process: its death hurts no more than one statement, holds nothing, tells nobody."""

import os
import re
import shutil
import signal
import threading
import time
from pathlib import Path

from lib import onnx, processes
from lib.cluster import area, give_to_ordinary_user
from lib.onnx import Fixture
from lib.pgwire import ServerError
from lib.processes import wait_until
from lib.onnx_process import (CRASHED, ERROR_WITHIN, HEAVY, LIGHT, REASON_WITHIN, SERVICE_WITHIN, kill_at_work, light_model,
                        seconds_to_error, settings, the_process)
from lib.tally import long

# Nothing here hangs on the server's version.
ON_ONE_SERVER = True

# -- Its death ---------------------------------------------------------------------------------------------------------


def test_readers_survive_the_death_of_the_process(cluster):
    check_deaths(cluster, 6)


@long
def test_readers_survive_a_hundred_deaths_of_the_process(cluster):
    check_deaths(cluster, 100)


def check_deaths(cluster, n_deaths):
    """Four readers score without a pause while the scorer is ended that many times, in turn by SIGSEGV and SIGKILL."""
    with cluster.connect() as connection:
        fixture = Fixture("boosted_trees")
        fixture.create_table(connection, "trees")
        fixture.import_into(connection, "trees")
        connection.query("CREATE TABLE many AS SELECT t.* FROM trees t, generate_series(1, 1500)")
        started = connection.scalar("SELECT pg_postmaster_start_time()::text")
        sql = "SELECT round(sum(s)::numeric, 6) FROM (SELECT persona.score_batch('trees', t) OVER () AS s FROM many t) AS s"
        expected = connection.scalar(sql)
        stop, kills, wrong = threading.Event(), [], []
        answers, errors = [0] * 4, []

        def read(number):
            with cluster.connect() as reader:
                while not stop.is_set():
                    try:
                        if reader.scalar(sql) != expected:
                            wrong.append("another answer")
                        answers[number] += 1
                    except ServerError as error:
                        errors.append((error, time.monotonic() - kills[-1]))

        readers = [threading.Thread(target=read, args=(number,)) for number in range(4)]
        for reader in readers:
            reader.start()
        try:
            for number in range(n_deaths):
                seen = list(answers)
                wait_until("every reader has an answer", lambda: all(now > then for now, then in zip(answers, seen)), SERVICE_WITHIN)
                (pid,) = processes.onnx_processes(cluster)
                kills.append(time.monotonic())
                os.kill(pid, signal.SIGKILL if number % 2 else signal.SIGSEGV)
                wait_until("it is gone", lambda: not processes.is_alive(pid))
            seen = list(answers)
            wait_until("every reader has an answer", lambda: all(now > then for now, then in zip(answers, seen)), SERVICE_WITHIN)
        finally:
            stop.set()
            for reader in readers:
                reader.join(30)
        assert not wrong, wrong
        assert errors, "no death hit a statement"
        assert {error.sqlstate for error, _ in errors} == {CRASHED}, [str(error) for error, _ in errors]
        assert max(late for _, late in errors) < ERROR_WITHIN, max(late for _, late in errors)
        assert len(errors) <= 4 * len(kills), f"{len(errors)} errors of {len(kills)} deaths"
        assert connection.scalar("SELECT pg_postmaster_start_time()::text") == started
        assert connection.scalar(sql) == expected
        log = cluster.log.read_text(errors="replace")
        assert len(re.findall(r"persona onnx process, process \d+, ended: signal: 11 ", log)) >= n_deaths // 2, "SIGSEGV did not end it"
        assert len(re.findall(r"persona onnx process, process \d+, ended: signal: 9 ", log)) >= n_deaths // 2, "SIGKILL did not end it"


def test_an_idle_session_does_not_notice_that_the_process_died(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
            assert connection.scalar(LIGHT) == 3.5
            pid = the_process(cluster)
            os.kill(pid, number)
            wait_until("it is gone", lambda: not processes.is_alive(pid))
            assert connection.scalar(LIGHT) == 3.5
            assert the_process(cluster) != pid


def test_a_batch_that_is_ahead_waits_for_its_reader(cluster):
    """A cursor rests between batches, one of which was sent already: others score meanwhile, and the process may die."""
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        connection.query("CREATE TABLE many AS SELECT i AS id, i::real AS x FROM generate_series(1, 30000) AS i")
        scored = "SELECT id, persona.score_batch('light', m) OVER () AS s FROM many m"
        expected = connection.rows("SELECT id, persona.score('light', m) FROM many m ORDER BY id")
        both = connection.rows("SELECT id, persona.score_batch('light', m) OVER (), persona.score_batch('light', m) OVER (PARTITION BY id % 2) FROM many m ORDER BY id")
        assert both == [(key, score, score) for key, score in expected]
        for number in (None, signal.SIGKILL):
            connection.query(f"BEGIN; DECLARE c CURSOR FOR {scored}")
            found = connection.rows("FETCH 7000 FROM c")
            assert connection.scalar(LIGHT) == 3.5
            assert connection.scalar(f"SELECT count(s) FROM ({scored}) AS s") == 30_000
            if number:
                # The batch ahead has been answered: the light model takes a millisecond.
                time.sleep(0.5)
                pid = the_process(cluster)
                os.kill(pid, number)
                # Until then it may take the next batch, and die with it.
                wait_until("it is gone", lambda: not processes.is_alive(pid))
            found += connection.rows("FETCH ALL FROM c")
            connection.query("COMMIT")
            assert sorted(found) == expected, f"{len(found)} rows, after signal {number}"


def test_an_error_within_a_second_and_the_next_call_works(cluster):
    with cluster.connect() as connection:
        heavy = onnx.heavy("killed at work")
        onnx.import_onnx(connection, "light", light_model())
        onnx.import_onnx(connection, "heavy", heavy)
        for number in (signal.SIGSEGV, signal.SIGKILL):
            kill_at_work(cluster, connection, heavy, number)
            began = time.monotonic()
            assert connection.scalar(LIGHT) == 3.5
            assert time.monotonic() - began < SERVICE_WITHIN


def test_a_model_that_brings_it_down_three_times_is_refused_and_others_are_served(cluster):
    with cluster.connect() as connection, cluster.connect() as other:
        onnx.import_onnx(connection, "light", light_model())
        poison = onnx.heavy("poison")
        onnx.import_onnx(connection, "heavy", poison)
        other.scalar(LIGHT)
        # The first time it had run well before: it was tried out at the import.
        for _ in range(4):
            kill_at_work(cluster, connection, poison)
        for sql in (HEAVY, HEAVY, onnx.import_statement("heavy_again", poison)):
            error, seconds = seconds_to_error(connection, sql)
            assert error.sqlstate == CRASHED and "several times" in error.message, error
            assert seconds < REASON_WITHIN
            assert other.scalar(LIGHT) == 3.5
        # An administrator may let it try again.
        pid = the_process(cluster)
        cluster.reload()
        wait_until("the scorer that refuses is gone", lambda: not processes.is_alive(pid))
        assert connection.scalar(HEAVY) == -1


def test_a_model_that_brings_it_down_after_it_ran_well_is_refused_when_it_was_alone(cluster):
    """Each time it answers one row and ends the process with the next, as a model does that fails on some rows."""
    with cluster.connect() as connection, cluster.connect() as other:
        onnx.import_onnx(connection, "light", light_model())
        poison = onnx.heavy("poison that runs")
        onnx.import_onnx(connection, "heavy", poison)
        runs = HEAVY.replace("-1 AS x", "1 AS x")
        # Who ends the process from outside has nothing against the model.
        for number in (signal.SIGSEGV, signal.SIGSEGV, signal.SIGKILL, signal.SIGSEGV, signal.SIGSEGV, signal.SIGSEGV):
            assert connection.scalar(runs) == 1
            assert other.scalar(LIGHT) == 3.5
            kill_at_work(cluster, connection, poison, number)
        error, _ = seconds_to_error(connection, runs)
        assert error.sqlstate == CRASHED and "several times" in error.message, error
        assert other.scalar(LIGHT) == 3.5
        cluster.reload()
        wait_until("it may run again", lambda: answers(connection, runs))


def answers(connection, sql):
    try:
        return connection.scalar(sql) is not None
    except ServerError:
        return False


# -- What it is started with -------------------------------------------------------------------------------------------


def test_cuda_without_a_gpu_is_a_warning_or_by_wish_an_error(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        with settings(cluster, connection, onnx_providers="cuda,cpu"):
            connection.notices.clear()
            assert connection.scalar(LIGHT) == 3.5
            warnings = [notice for notice in connection.notices if notice["S"] == "WARNING"]
            assert len(warnings) == 1 and "cuda" in warnings[0]["M"], connection.notices
            with cluster.connect() as other:
                assert other.scalar(LIGHT) == 3.5
                assert any("cuda" in notice["M"] for notice in other.notices), "another session is not warned"
            told = connection.rows("SELECT provider, is_wanted, is_available, message IS NOT NULL FROM persona.providers()")
            assert sorted(told) == [("cpu", True, True, False), ("cuda", True, False, True)], told
            with settings(cluster, connection, onnx_require_first_provider="on"):
                for _ in range(2):
                    error, seconds = seconds_to_error(connection, LIGHT)
                    assert error.sqlstate == "F0000" and "cuda" in error.message, error
                    assert "onnx_require_first_provider" in error.hint
                    assert seconds < REASON_WITHIN
                told = connection.rows("SELECT provider, is_available FROM persona.providers()")
                assert sorted(told) == [("cpu", False), ("cuda", False)], told
        assert connection.scalar(LIGHT) == 3.5
        told = connection.rows("SELECT provider, is_wanted, is_available, message FROM persona.providers()")
        assert told == [("cpu", True, True, None)], told


def wrong_libraries():
    """What an administrator may point at by mistake."""
    place = Path(area()) / "wrong-libraries"
    if not place.exists():
        place.mkdir()
        whole = (onnx.house.CACHE / "onnxruntime" / "libonnxruntime.so").read_bytes()
        (place / "text.so").write_text("not a library VERS_1.31.1\n")
        (place / "empty.so").write_bytes(b"")
        (place / "half.so").write_bytes(whole[: len(whole) // 2])
        # Its head and its tables are whole, but not the code that runs first.
        (place / "rotten.so").write_bytes(whole[:4096] + bytes(len(whole) // 2) + whole[4096 + len(whole) // 2 :])
        shutil.copy("/bin/true", place / "other.so")
        for path in [place, *place.iterdir()]:
            give_to_ordinary_user(path)
    return [Path("/nowhere/libonnxruntime.so"), place, *sorted(place.iterdir()), Path("relative.so")]


def test_a_wrong_library_is_an_error_with_a_reason_and_everything_else_works(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        connection.query("CREATE TABLE buyers AS SELECT i AS id, i % 10 AS visits, i % 10 > 4 AS bought FROM generate_series(1, 200) AS i")
        connection.query("SELECT * FROM persona.fit_scorer('native', 'buyers', 'bought', features => ARRAY['visits'])")
        native = connection.scalar("SELECT persona.score('native', b) FROM buyers b WHERE id = 7")
        for path in wrong_libraries():
            with settings(cluster, connection, onnxruntime_library=path):
                began = cluster.log.stat().st_size
                for _ in range(2):
                    error, seconds = seconds_to_error(connection, LIGHT)
                    assert error.sqlstate in ("F0000", "55000") and "not available" in error.message, f"{path}: {error}"
                    assert f"{path.parent}/" not in error.message, f"the path is the administrator's alone: {error}"
                    assert seconds < REASON_WITHIN, f"{path}: {seconds:.1f} s"
                assert connection.scalar("SELECT persona.score('native', b) FROM buyers b WHERE id = 7") == native
                state, message = connection.rows("SELECT state, message FROM persona.onnx_status()")[0]
                assert state == "unavailable" and message, path
                assert connection.rows("SELECT provider, is_available FROM persona.providers()") == [("cpu", False)]
                starts = log_since(cluster, began).count("persona onnx process could not be started")
                assert 1 <= starts <= 4, f"{path}: {starts} starts"
                assert not processes.onnx_processes(cluster)
            assert connection.scalar(LIGHT) == 3.5, f"after {path}"


def log_since(cluster, size):
    with open(cluster.log, errors="replace") as log:
        log.seek(size)
        return log.read()


def test_a_missing_library_does_not_spin_and_a_model_can_be_imported_without_it(cluster):
    with cluster.connect() as connection:
        with settings(cluster, connection, onnxruntime_library="/nowhere/libonnxruntime.so"):
            began, size = time.monotonic(), cluster.log.stat().st_size
            connection.notices.clear()
            onnx.import_onnx(connection, "light", light_model())
            assert any(notice["S"] == "WARNING" and "without a check" in notice["M"] for notice in connection.notices)
            while time.monotonic() - began < 4:
                error, seconds = seconds_to_error(connection, LIGHT)
                assert error.sqlstate == "F0000" and seconds < REASON_WITHIN, error
                assert not processes.onnx_processes(cluster) and len(processes.supervisors(cluster)) <= 1
                time.sleep(0.05)
            starts = log_since(cluster, size).count("persona onnx process could not be started")
            # At growing intervals of 1, 2, 4 … s.
            assert 1 <= starts <= 4, f"{starts} starts in 4 s"
        assert connection.scalar(LIGHT) == 3.5


def test_a_wrong_onnx_path_is_an_error_with_a_reason(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        for path in ("/nowhere/persona-onnx", "/bin/false", "/bin/true", "/etc/hostname"):
            with settings(cluster, connection, onnx_path=path):
                for _ in range(2):
                    error, seconds = seconds_to_error(connection, LIGHT)
                    assert error.sqlstate == "55000" and "not available" in error.message, f"{path}: {error}"
                    assert seconds < REASON_WITHIN
        assert connection.scalar(LIGHT) == 3.5


def test_no_session_may_say_what_is_started(cluster):
    with cluster.connect() as connection:
        connection.query("LOAD 'pg_persona'; CREATE ROLE somebody_else")
        for name in ("onnxruntime_library", "onnx_path", "onnx_providers", "onnx_require_first_provider", "onnx_memory",
                     "onnx_idle_timeout", "onnx_load_timeout"):
            value = {"onnx_require_first_provider": "on", "onnx_memory": "1GB", "onnx_idle_timeout": "5", "onnx_load_timeout": "5"}.get(name, "/bin/true")
            for sql in (f"SET persona.{name} = '{value}'", f"SELECT set_config('persona.{name}', '{value}', false)",
                        f"ALTER ROLE somebody_else SET persona.{name} = '{value}'"):
                error = connection.error(sql)
                assert error.sqlstate == "55P02", f"{sql}: {error}"
        connection.query("DROP ROLE somebody_else")


def test_without_a_worker_slot_the_error_says_so(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
    configuration = cluster.data / "postgresql.conf"
    before = configuration.read_text()
    # The one is the logical replication launcher's.
    cluster.configure({"max_worker_processes": 1})
    cluster.restart()
    try:
        with cluster.connect() as connection:
            for _ in range(2):
                error, seconds = seconds_to_error(connection, LIGHT)
                assert error.sqlstate == "53400" and "max_worker_processes" in error.hint, error
                assert seconds < REASON_WITHIN
    finally:
        configuration.write_text(before)
        cluster.restart()
    with cluster.connect() as connection:
        assert connection.scalar(LIGHT) == 3.5


# -- What it holds -----------------------------------------------------------------------------------------------------


def test_it_holds_nothing_of_the_server_and_talks_to_nobody_else(cluster):
    cluster.restart()
    home = cluster.directory
    before = sorted(os.listdir(home))
    with cluster.connect() as connection:
        for name in ("boosted_trees", "columns_logistic_zipmap"):
            fixture = Fixture(name)
            fixture.create_table(connection, name)
            fixture.import_into(connection, name)
            connection.query(f"SELECT persona.score('{name}', t) FROM {name} t")
        pid = the_process(cluster)
        proc = Path(f"/proc/{pid}")
        room = Path(os.readlink(proc / "cwd"))
        assert room.parent == cluster.data / "pg_persona" and not list(room.iterdir()), room
        words = dict(word.split(b"=", 1) for word in (proc / "environ").read_bytes().split(b"\0") if word)
        assert words == {b"ORT_DISABLE_TELEMETRY": b"1"}, words

        held = processes.descriptors(pid)
        ours = set(held.values())
        theirs = set(processes.descriptors(cluster.process.pid).values()) - {held[2], "/dev/null"}
        assert not ours & theirs, f"inherited: {ours & theirs}"
        files = {target for number, target in held.items() if number != 2 and target.startswith("/")}
        assert files <= {str(cluster.data / "pg_persona" / "onnx.slots")}, files

        def sockets():
            return {target[8:-1] for target in processes.descriptors(pid).values() if target.startswith("socket:")}

        # A session that ended just now may take its socket along between two looks.
        inodes = sockets()
        families = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "netlink", "packet")
        opened = {family: {word for line in processes.socket_table(pid, family) for word in line[8:]} for family in families}
        paths = {line[6]: line[7] if len(line) > 7 else "" for line in processes.socket_table(pid, "unix")}
        inodes &= sockets()
        assert inodes, "not even its own socket"
        for family, theirs in opened.items():
            assert not inodes & theirs, f"a {family} socket is open"
        strangers = [inode for inode in inodes if not paths.get(inode, "").endswith("pg_persona/onnx.sock")]
        assert not strangers, [paths.get(inode) for inode in strangers]

        assert sorted(os.listdir(home)) == before, "something was written at home"
        # It may not write a file that is larger than its slots, nor leave a core with customers' rows in it.
        limits = (proc / "limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0", limits) and re.search(r"Max file size\s+24576\s+24576", limits), limits
        # The kernel takes it before a backend.
        assert (proc / "oom_score_adj").read_text().strip() == "1000"


def test_20_cold_clients_get_one_scorer(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
    for _ in range(2):
        cluster.restart()
        assert not processes.onnx_processes(cluster)
        with cluster.sessions(20) as sessions:
            for session in sessions:
                session.send(LIGHT)
            assert [session.fetch()[-1].scalar() for session in sessions] == [3.5] * 20
            assert len(processes.onnx_processes(cluster)) == 1 and len(processes.supervisors(cluster)) == 1


def test_it_dies_with_the_server(cluster):
    for how in ("fast", "immediate", "kill"):
        with cluster.connect() as connection:
            if not connection.scalar("SELECT count(*) FROM persona.models"):
                onnx.import_onnx(connection, "light", light_model())
            assert connection.scalar(LIGHT) == 3.5
            pid = the_process(cluster)
        family = processes.descendants(cluster.process.pid)
        if how == "kill":
            cluster.process.kill()
            cluster.process.wait(10)
        else:
            cluster.stop(mode=how)
        wait_until(f"the scorer is gone after {how}", lambda: not processes.is_alive(pid), 5)
        wait_until(f"all of the server is gone after {how}", lambda: not any(map(processes.is_alive, family)), 20)
        cluster.start()
    with cluster.connect() as connection:
        assert connection.scalar(LIGHT) == 3.5


def test_it_dies_with_its_supervisor_and_both_come_back(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        for _ in range(2):
            pid = the_process(cluster)
            (supervisor,) = processes.supervisors(cluster)
            os.kill(supervisor, signal.SIGTERM)
            wait_until("both are gone", lambda: not processes.is_alive(pid) and not processes.is_alive(supervisor))
            assert connection.scalar(LIGHT) == 3.5


def test_it_ends_when_nobody_asks(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        with settings(cluster, connection, onnx_idle_timeout=1):
            assert connection.scalar(LIGHT) == 3.5
            pid = the_process(cluster)
            wait_until("the scorer ends", lambda: not processes.is_alive(pid), 10)
            wait_until("the supervisor ends", lambda: not processes.supervisors(cluster), 10)
            assert connection.scalar(LIGHT) == 3.5
