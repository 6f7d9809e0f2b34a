"""Signals that reach a session while threads of ours work for it."""

import os
import random
import signal
import time

from lib.large import LONG_WORK, make_large
from lib.pgwire import ServerError
from lib.processes import all_blocked, blocked_signals, tasks_of, threads_of
from lib.tally import long, told


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
    check_signals(cluster, minutes=0)


@long
def test_ten_minutes_of_signals_during_fits_change_nothing(cluster):
    check_signals(cluster, minutes=10)


HARMLESS = (signal.SIGUSR1, signal.SIGALRM, signal.SIGURG)
HASHED = "SELECT md5(string_agg(sha256, ' ')) FROM persona.model_versions WHERE model = '{model}' AND is_active"


def check_signals(cluster, minutes):
    """One fit after the other, each under a thousand signals of each kind a second. The first ends by itself, and so does every
    fourth; among the others' signals is from some point on SIGINT, a cancel."""
    chance = random.Random(15)
    with cluster.connect() as session:
        make_large(session, 50_000, 500)
        started = session.scalar("SELECT pg_postmaster_start_time()::text")
        kmeans = LONG_WORK["kmeans"].replace("SELECT persona.kmeans(", "SELECT md5(persona.kmeans(").replace(") FROM", ")::text) FROM")
        works = {"kmeans": kmeans} | {f"fit_{kind}": f"{LONG_WORK[f'fit_{kind}']}; {HASHED.format(model=model)}"
                                      for kind, model in (("segments", "seg"), ("recommender", "rec"), ("scorer", "sco"))}
        quiet, takes = {}, {}
        for name in works if minutes else ["kmeans"]:
            began = time.monotonic()
            quiet[name] = session.scalar(works[name])
            takes[name] = time.monotonic() - began
        sent, busy, cancelled, whole, round = 0, 0, 0, 0, 0
        ends = time.monotonic() + minutes * 60
        while round == 0 or time.monotonic() < ends:
            name = list(quiet)[round % len(quiet)]
            cancel_after = chance.uniform(0, takes[name]) if round % 4 != round // 4 % 4 else None
            began = time.monotonic()
            sent += send_signals(session, works[name], cancel_after)
            busy += time.monotonic() - began
            try:
                assert session.fetch()[-1].scalar() == quiet[name], f"{name}: another result under signals"
                whole += 1
            except ServerError as error:
                assert error.sqlstate == "57014" and cancel_after is not None, f"{name}: {error}"
                cancelled += 1
            assert threads_of(session.pid) == 1, f"{name} left a thread behind"
            round += 1
        assert sent > 20 and (not minutes or sent / busy > 900), f"{sent} signals of each kind in {busy:.0f} s"
        assert session.scalar("SELECT pg_postmaster_start_time()::text") == started
        if minutes:
            assert cancelled > 5 * minutes and whole > 5 * minutes, f"{cancelled} cancelled, {whole} whole"
            told(f"{sent} signals of each kind in {busy:.0f} s: {whole} fits came to their end, {cancelled} were cancelled")


def send_signals(session, work, cancel_after):
    """Sends the statement, and signals a thousand times a second until its answer comes; how often."""
    began, sent = time.monotonic(), 0
    session.send(work)
    while not session.ready(0.001):
        now = time.monotonic() - began
        while sent < now * 1000:
            for number in HARMLESS if cancel_after is None or now < cancel_after else (*HARMLESS, signal.SIGINT):
                os.kill(session.pid, number)
            sent += 1
            if sent % 100 == 0:
                masks = [blocked_signals(session.pid, task) for task in tasks_of(session.pid) if task != session.pid]
                assert all(mask is None or all_blocked(mask) for mask in masks), f"a thread blocks not every signal: {masks}"
    return sent
