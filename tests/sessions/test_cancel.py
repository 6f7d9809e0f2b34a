"""Fits and reads that are cancelled, timed out, or lose their session."""

import random
import time
from pathlib import Path

from lib.large import LONG_WORK, MODEL, is_working, make_large
from lib.pgwire import ConnectionLost, ServerError
from lib.processes import threads_of, wait_until


def test_timeouts_and_cancels_stop_work_anywhere(cluster):
    chance = random.Random(7)
    with cluster.connect() as session, cluster.connect() as other:
        make_large(session)
        for name, work in LONG_WORK.items():
            began = time.monotonic()
            session.query(work)
            takes = time.monotonic() - began
            stopped = 0
            for round in range(8):
                after = chance.uniform(0.002, max(takes, 0.05))
                by_timeout = round % 2 == 0
                if by_timeout:
                    session.query(f"SET statement_timeout = {max(1, int(after * 1000))}")
                began = time.monotonic()
                session.send(work)
                if not by_timeout and not session.ready(after):
                    session.cancel()
                try:
                    session.fetch()
                except ServerError as error:
                    assert error.sqlstate == "57014", f"{name}: {error}"
                    stopped += 1
                    late = time.monotonic() - began - after
                    assert late <= 2, f"{name} went on for {late:.1f} s"
                session.query("RESET statement_timeout")
                assert session.scalar("SELECT 1 + 1") == 2
                assert threads_of(session.pid) == 1, f"{name} left a thread behind"
                assert other.scalar("SELECT count(*) FROM persona.activity") == 0, f"{name} is still shown"
                assert other.scalar("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
            assert stopped >= 2, f"{name} took {takes:.2f} s and was stopped {stopped} times only"
            if name in MODEL:
                versions = session.scalar(f"SELECT count(*) FROM persona.model_versions WHERE model = '{MODEL[name]}'")
                assert versions == 9 - stopped, f"{name}: {versions} versions, {stopped} stopped of 9"


def test_a_terminated_or_lost_session_leaves_nothing_half_done(cluster):
    with cluster.connect() as admin:
        make_large(admin)
        log_before = cluster.log.read_text(errors="replace")
        for name, work in LONG_WORK.items():
            for end in ("terminate", "drop"):
                session = cluster.connect(options="-c client_connection_check_interval=100")
                session.send(work)
                wait_until("it works", lambda: is_working(admin, session.pid) or session.ready(), 15)
                if end == "terminate":
                    admin.query(f"SELECT pg_terminate_backend({session.pid})")
                    try:
                        session.fetch()
                    except ServerError as error:
                        assert error.sqlstate == "57P01", f"{name}: {error}"
                    except ConnectionLost:
                        pass
                session.drop()
                wait_until("its process ends", lambda: not Path(f"/proc/{session.pid}").exists(), 5)
                assert admin.scalar("SELECT count(*) FROM persona.activity") == 0
                assert admin.scalar("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
        # A fit that ended by itself before it saw that its client was gone is whole; any other left nothing.
        broken = admin.rows("""
            SELECT m.name, v.version FROM persona.model m LEFT JOIN persona.model_version v ON v.model_id = m.id
            WHERE v.n_bytes IS DISTINCT FROM (SELECT sum(length(c.bytes)) FROM persona.model_chunk c
                                              WHERE c.model_id = v.model_id AND c.version = v.version)""")
        assert not broken, f"a fit that was ended left half a model: {broken}"
    log = cluster.log.read_text(errors="replace")[len(log_before):]
    assert "terminated by signal" not in log and "exited with exit code 2" not in log, log[-2000:]
