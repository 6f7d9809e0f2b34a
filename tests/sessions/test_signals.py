"""Signals that reach a session while threads of ours work for it."""

import os
import signal

from lib.large import LONG_WORK, make_large
from lib.processes import all_blocked, blocked_signals, tasks_of, threads_of


def test_threads_block_every_signal_and_stay_within_the_limits(cluster):
    with cluster.connect() as session, cluster.connect() as admin:
        make_large(session)
        cores = len(os.sched_getaffinity(session.pid))
        for threads, limit in ((1, 1024), (64, 1024), (64, 1), (0, 1024)):
            session.query(f"SET persona.threads = {threads}; SET persona.thread_limit = {limit}")
            allowed = min(threads or 1 + session.scalar("SELECT current_setting('max_parallel_maintenance_workers')::integer"), limit, cores)
            most, unblocked = 0, []
            for name in ("fit_segments", "fit_recommender"):
                session.send(LONG_WORK[name])
                while not session.ready(0.005):
                    others = [task for task in tasks_of(session.pid) if task != session.pid]
                    most = max(most, len(others))
                    unblocked += [mask for mask in (blocked_signals(session.pid, task) for task in others) if mask is not None and not all_blocked(mask)]
                session.fetch()
            assert most <= allowed, f"{most} threads with persona.threads = {threads} and thread_limit = {limit} on {cores} cores"
            assert most >= 1, "no thread was seen"
            # A thread inherits its mask before it runs: there is no moment without.
            assert not unblocked, f"threads with signals that are not blocked: {unblocked[:3]}"
            assert threads_of(session.pid) == 1
        admin.query("CREATE ROLE modest LOGIN")
    with cluster.connect(user="modest") as modest:
        # Before the library is loaded any name can be set; loading it throws away what the role may not set.
        modest.query("SET persona.thread_limit = 8")
        modest.query("SELECT * FROM persona.activity_rows()")
        assert modest.scalar("SHOW persona.thread_limit") == "1024"
        assert modest.error("SET persona.thread_limit = 8").sqlstate == "42501"
        assert modest.error("SET persona.fit_memory_limit = '1GB'").sqlstate == "42501"


def test_signals_during_a_fit_change_nothing(cluster):
    with cluster.connect() as session:
        make_large(session, 50_000, 500)
        work = LONG_WORK["kmeans"].replace("SELECT persona.kmeans(", "SELECT md5(persona.kmeans(").replace(") FROM", ")::text) FROM")
        quiet = session.scalar(work)
        session.send(work)
        sent = 0
        while not session.ready(0.001):
            for number in (signal.SIGUSR1, signal.SIGALRM, signal.SIGURG):
                os.kill(session.pid, number)
                sent += 1
        assert session.fetch()[-1].scalar() == quiet
        assert sent > 20, f"{sent} signals only"
