"""Sessions that are terminated or lose their client at random points of fits, scores and imports: what they held is given back."""

import random
import struct
import time
from pathlib import Path

from lib import onnx
from lib.consistency import check_registry
from lib.large import make_large
from lib.pgwire import ConnectionLost, ServerError
from lib.processes import descendants, descriptors, is_alive, onnx_processes, tasks_of, wait_until
from lib.onnx_process import light_model
from lib.tally import long, told

WORKS = {
    "a fit of segments": "SELECT FROM persona.fit_segments('seg', 'points', 'id', 12, n_init => 3, save_to => 'labels')",
    "a fit on the disk": "SELECT FROM persona.fit_segments('seg', 'points', 'id', 6, storage => 'disk')",
    "a fit of a scorer": "SELECT FROM persona.fit_scorer('sco', 'points', 'label', key => 'id')",
    "a fit of a recommender": "SELECT FROM persona.fit_recommender('rec', 'events')",
    "a refit": "SELECT persona.refit('again')",
    "everyone's page": "SELECT count(*) FROM persona.recommend_all('served', 20)",
    "scores of our own": "SELECT sum(persona.score('own', p)) FROM points p",
    "scores of an import": "SELECT sum(s) FROM (SELECT persona.score_batch('light', p) OVER () AS s FROM (SELECT a AS x FROM points) p) q",
    "one slow score of an import": "SELECT persona.score('slow', t) FROM (SELECT -1 AS x) AS t",
    "an import": "SELECT FROM persona.import_onnx('graph', (SELECT onnx FROM graphs))",
}


def test_sessions_that_are_ended_leave_nothing(cluster):
    check_ends(cluster, 30)


@long
def test_500_sessions_that_are_ended_leave_nothing(cluster):
    check_ends(cluster, 500)


def check_ends(cluster, n):
    chance, in_the_middle = random.Random(14), 0
    with cluster.connect() as admin:
        make_large(admin, 20_000, 500)
        # A new digest each time, so that the import is sent and loaded.
        admin.query(f"CREATE TABLE graphs AS SELECT '\\x{onnx.weighty(3).hex()}'::bytea AS onnx")
        onnx.import_onnx(admin, "light", light_model())
        onnx.import_onnx(admin, "slow", onnx.heavy("slow", 4, 700))
        admin.query("SELECT FROM persona.fit_segments('again', 'points', 'id', 8); SELECT FROM persona.fit_scorer('own', 'points', 'label', key => 'id')")
        takes = {}
        for name, work in WORKS.items():
            with cluster.connect() as session:
                began = time.monotonic()
                session.query(work)
                takes[name] = min(time.monotonic() - began, 2)
        log_before, before = len(cluster.log.read_text(errors="replace")), held(cluster, admin)
        for number in range(n):
            name = list(WORKS)[number % len(WORKS)]
            session = cluster.connect(options="-c client_connection_check_interval=50")
            if name == "an import":
                admin.query(f"UPDATE graphs SET onnx = onnx || '\\x32{len(str(number)):02x}{str(number).encode().hex()}'")
            session.send(WORKS[name])
            in_the_middle += not session.ready(chance.uniform(0, takes[name] * 1.1))
            if number // len(WORKS) % 2:
                admin.query(f"SELECT pg_terminate_backend({session.pid})")
                try:
                    session.fetch()
                except ServerError as error:
                    assert error.sqlstate == "57P01", f"{name}: {error}"
                except ConnectionLost:
                    pass
            session.drop()
            wait_until(f"the process of {name} ends", lambda: not Path(f"/proc/{session.pid}").exists(), 10)
            assert admin.scalar("SELECT count(*) FROM persona.activity") == 0, f"{name}: still shown"
            assert admin.scalar("SELECT count(*) FROM pg_locks WHERE classid = 'persona.model'::regclass AND locktype = 'object'") == 0, f"{name}: a lock is left"
        wait_until("the ONNX process has no more threads and sockets than before", lambda: fits(held(cluster, admin), before), 30)
        check_registry(admin)
        slots = (cluster.data / "pg_persona" / "activity").read_bytes()
        # A session that is terminated leaves its slot as it is: whoever wants one takes it from a process that is gone.
        taken = [pid for (pid,) in struct.iter_unpack("<I508x", slots) if pid and Path(f"/proc/{pid}").exists()]
        assert not taken, f"slots are taken by {taken}"
        after = held(cluster, admin)
        told(f"{n} sessions ended, {in_the_middle} of them at work; before and after: {before}, {after}")
    log = cluster.log.read_text(errors="replace")[log_before:]
    assert "terminated by signal" not in log and "exited with exit code 2" not in log, log[-2000:]


def held(cluster, admin):
    """What the server's processes hold together, apart from the sessions themselves."""
    (scorer,) = wait_until("there is a scorer", lambda: [pid for pid in onnx_processes(cluster) if is_alive(pid)])
    sessions = {pid for (pid,) in admin.rows("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")}
    others = [pid for pid in descendants(cluster.process.pid) if pid not in sessions and pid != scorer]
    return {
        "processes": len(others),
        "threads of the scorer": len(tasks_of(scorer)), "descriptors of the scorer": len(descriptors(scorer)),
        "temporary files": len(list((cluster.data / "base" / "pgsql_tmp").glob("*"))),
        "files of ours": len(list((cluster.data / "pg_persona").iterdir())),
    }


def fits(now, before):
    return all(now[what] <= before[what] for what in before)
