"""Statements that are left before their end, and how soon they then end."""

import time

from lib.pgwire import ServerError
from lib.tally import told


def stop(session, sql, after, by_timeout=False):
    """Leaves a statement so many seconds after its start: how many seconds later it ended, or None where it came to its end."""
    if by_timeout:
        session.query(f"SET statement_timeout = {max(1, int(after * 1000))}")
    began = time.monotonic()
    session.send(sql)
    if not by_timeout and not session.ready(after):
        session.cancel()
    try:
        session.fetch()
        late = None
    except ServerError as error:
        assert error.sqlstate == "57014", f"{sql[:80]}: {error}"
        late = time.monotonic() - began - after
    if by_timeout:
        take_back_timeout(session)
    return late


def take_back_timeout(session):
    """A timeout of a few milliseconds can end this statement, too."""
    for _ in range(50):
        try:
            session.query("RESET statement_timeout")
            return
        except ServerError as error:
            assert error.sqlstate == "57014", error
    raise AssertionError("the statement_timeout cannot be taken back")


def check_lateness(name, late):
    """The worst of them within 2 s, and of a hundred or more 99 % within 500 ms."""
    late = sorted(late)
    assert late[-1] <= 2, f"{name}: stopped only after {late[-1]:.2f} s"
    if len(late) >= 100:
        p99 = late[len(late) * 99 // 100 - 1]
        told(f"{name}: {len(late)} stopped, after {late[len(late) // 2] * 1000:.0f} ms at the median, {p99 * 1000:.0f} ms at p99, {late[-1] * 1000:.0f} ms at most")
        assert p99 <= 0.5, f"{name}: {late[-5:]}"
