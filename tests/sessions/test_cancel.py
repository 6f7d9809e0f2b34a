"""Fits and reads that are cancelled, timed out, or lose their session."""

import random
import time
from pathlib import Path

from lib.large import LONG_WORK, MODEL, is_working, make_large
from lib.pgwire import ConnectionLost, ServerError
from lib.processes import threads_of, wait_until
from lib.stops import check_lateness, stop
from lib.tally import long


# A refit of the model that the fit of segments made; the choice of k takes ten fits of a sample, and so a larger one here.
STOPPED_WORK = LONG_WORK | {
    "choose_k": "SELECT * FROM persona.choose_k('points', 2, 8, sample_rows => 4000)",
    "refit": "SELECT persona.refit('seg')",
}
MODEL_OF = MODEL | {"refit": "seg"}


def test_timeouts_and_cancels_stop_work_anywhere(cluster):
    check_stops(cluster, 8)


@long
def test_timeouts_and_cancels_at_a_hundred_points_of_each_stop_it(cluster):
    check_stops(cluster, 100)


def check_stops(cluster, n_points):
    """Each kind of work is stopped at so many random points, in turn by statement_timeout and by a cancel."""
    chance = random.Random(7)
    with cluster.connect() as session, cluster.connect() as other:
        make_large(session)
        for name, work in STOPPED_WORK.items():
            versions = newest_version(session, name)
            began = time.monotonic()
            session.query(work)
            takes = time.monotonic() - began
            late, ended = [], 0
            while len(late) < n_points:
                after = chance.uniform(0.002, max(takes, 0.05))
                seconds_late = stop(session, work, after, by_timeout=(len(late) + ended) % 2 == 0)
                if seconds_late is None:
                    ended += 1
                else:
                    late.append(seconds_late)
                assert seconds_late is None or seconds_late <= 2, f"{name} went on for {seconds_late:.1f} s"
                assert ended <= 8 + 2 * n_points, f"{name} took {takes:.2f} s and was stopped {len(late)} times only"
                assert session.scalar("SELECT 1 + 1") == 2
                assert threads_of(session.pid) == 1, f"{name} left a thread behind"
                assert other.scalar("SELECT count(*) FROM persona.activity") == 0, f"{name} is still shown"
                assert other.scalar("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
            check_lateness(name, late)
            if name in MODEL_OF:
                made = newest_version(session, name) - versions
                assert made == 1 + ended, f"{name}: {made} versions, {len(late)} stopped of {1 + ended + len(late)}"


def newest_version(session, name):
    return session.scalar(f"SELECT coalesce(max(version), 0) FROM persona.model_versions WHERE model = '{MODEL_OF.get(name)}'")


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
