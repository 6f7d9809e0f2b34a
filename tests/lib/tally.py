"""Counting what passed, failed and was skipped, and saying so as it happens."""

import threading
import traceback
from collections import Counter

import house


class Skip(Exception):
    """Raised by a test that cannot run here, with the reason."""


def long(function):
    """Marks a test that only `make test-long` runs."""
    function.long = True
    return function


def told(figure):
    """Says what a test measured; its bar is in the test."""
    print(f"       {figure}", flush=True)


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures, self.reasons = [], Counter()
        self._lock = threading.Lock()

    def ok(self, name, seconds=None):
        self._line("ok  ", name, seconds)
        with self._lock:
            self.passed += 1

    def fail(self, name, why, seconds=None):
        self._line("FAIL", name, seconds)
        with self._lock:
            self.failed += 1
            self.failures.append((name, str(why)))
        print("\n".join("       | " + line for line in str(why).splitlines()[-80:]), flush=True)

    def skip(self, name, why):
        self._line("skip", f"{name}: {why}", None)
        with self._lock:
            self.skipped += 1
            self.reasons[str(why)] += 1

    def add_counts(self, passed, failed, skipped):
        with self._lock:
            self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped

    def check(self, name, body):
        """Runs a check that raises when it does not hold."""
        try:
            body()
        except Skip as reason:
            self.skip(name, reason)
        except Exception as cause:
            self.fail(name, cause if isinstance(cause, (AssertionError, house.Trouble)) and str(cause) else traceback.format_exc())
        else:
            self.ok(name)

    def close(self):
        """Says what failed, what was skipped and the counts; the exit status."""
        if self.failures:
            print("\nfailed:")
            for name, _ in self.failures:
                print(f"  {name}")
        if self.reasons:
            print("\nskipped:")
            for reason, n in self.reasons.most_common():
                print(f"  {n} because: {reason}")
        house.say("done")
        print(self.summary(), flush=True)
        return 1 if self.failed or not self.passed else 0

    def summary(self):
        line = f"{self.passed} passed, {self.failed} failed"
        return line + (f", {self.skipped} skipped" if self.skipped else "")

    @staticmethod
    def _line(verdict, name, seconds):
        print(f"  {verdict} {name}" + (f"  ({seconds:.1f} s)" if seconds is not None else ""), flush=True)
