"""The runner of tests/sessions/test_*.py: tests in Python that need several sessions, crashes, or a server of their own.

Each file gets a cluster of its own (with the settings in its SETTINGS, if any), each function `test_…(cluster)` a fresh
database. An assert that fails, an exception or a time limit fails the test; `raise Skip(reason)` skips it. A server log with
a crash in it, or with an internal error, fails the file unless it sets EXPECTS_CRASH or EXPECTS_INTERNAL_ERROR. A file with
ON_ONE_SERVER, of which nothing hangs on the server's version, is run on the first one alone, except in the long form.
"""

import importlib.util
import re
import signal
import threading
import time
import traceback
from contextlib import contextmanager

import house
from lib.cluster import Cluster
from lib.tally import Skip

FOLDER = house.ROOT / "tests" / "sessions"
TIME_LIMIT, LONG_TIME_LIMIT = 120, 3600
# A machine on which nothing ran for so many seconds stood still: what a test found meanwhile says nothing.
STOOD_STILL = 20


def run(server, tally, wanted, long):
    for path in sorted(FOLDER.glob("test_*.py")):
        tests = [test for test in load(path) if wanted(f"{path.stem}::{test.__name__}")]
        tests = [test for test in tests if long or not getattr(test, "long", False)]
        if tests and not long and server != house.SERVERS[0] and getattr(tests[0].module, "ON_ONE_SERVER", False):
            print(f"       {path.stem} is left to PostgreSQL {house.SERVERS[0]}: nothing in it hangs on the server's version", flush=True)
            continue
        if tests:
            run_file(server, tally, path, tests)


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = [one for name, one in vars(module).items() if name.startswith("test_") and callable(one)]
    for one in found:
        one.module = module
    return found


def run_file(server, tally, path, tests):
    module = tests[0].module
    name = f"{server} {path.stem}"
    try:
        cluster = Cluster(server, getattr(module, "SETTINGS", None), with_extension=getattr(module, "WITH_EXTENSION", True)).start()
    except (house.Trouble, AssertionError) as cause:
        tally.fail(name, cause)
        return
    try:
        for number, test in enumerate(tests):
            run_test(cluster, tally, f"{name}::{test.__name__}", test, number)
        problems = log_problems(cluster, module)
        if problems:
            tally.fail(f"{name}: the server's log", problems)
    finally:
        cluster.remove()


def run_test(cluster, tally, name, test, number, once_more=True):
    began = time.monotonic()
    try:
        if cluster.process is None or cluster.process.poll() is not None:
            cluster.restart()
        cluster.create_database(f"session_{number}" if once_more else f"session_{number}_again")
        with time_limit(LONG_TIME_LIMIT if getattr(test, "long", False) else getattr(test, "seconds", TIME_LIMIT)):
            test(cluster)
    except Skip as reason:
        tally.skip(name, reason)
    except Exception:
        still = pulse.longest_pause_since(began)
        if once_more and still > STOOD_STILL:
            print(f"       {name} is run again: the machine stood still for {still:.0f} s of it", flush=True)
            run_test(cluster, tally, name, test, number, once_more=False)
        else:
            tally.fail(name, traceback.format_exc() + "\nserver log:\n" + cluster.log_tail(12), time.monotonic() - began)
    else:
        tally.ok(name, time.monotonic() - began)


class Pulse:
    """Beats four times a second, and remembers when it could not."""

    def __init__(self):
        self.pauses = []
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self):
        last = time.monotonic()
        while True:
            time.sleep(0.25)
            now = time.monotonic()
            if now - last > STOOD_STILL / 2:
                self.pauses.append((now, now - last))
            last = now

    def longest_pause_since(self, began):
        # What ended just now is seen at the next beat.
        time.sleep(0.5)
        return max((pause for ended, pause in self.pauses if ended > began), default=0)


pulse = Pulse()


@contextmanager
def time_limit(seconds):
    def over(*_):
        raise TimeoutError(f"the test ran past its limit of {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def log_problems(cluster, module=None):
    """Lines of the server's log that no test may cause: a process that died of a signal, a PANIC, an internal error."""
    patterns = []
    if not getattr(module, "EXPECTS_CRASH", False):
        patterns += [r"was terminated by signal", r"PANIC:", r"exited with exit code (?!0|1\b)"]
    if not getattr(module, "EXPECTS_INTERNAL_ERROR", False):
        patterns.append(r"\] XX000 (ERROR|FATAL)")
    wrong = re.compile("|".join(patterns)) if patterns else None
    lines = cluster.log.read_text(errors="replace").splitlines() if cluster.log.exists() else []
    return "\n".join(line for line in lines if wrong and wrong.search(line))
