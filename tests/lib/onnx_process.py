"""The scorer process as its tests handle it: its settings, leaving a call, ending it at work."""

import os
import signal
import time
from contextlib import contextmanager

from lib import onnx, processes
from lib.pgwire import ServerError
from lib.processes import wait_until

# Promised: an ERROR within 1 s, service within 5 s. The machine that tests may be busy with other things too.
ERROR_WITHIN, SERVICE_WITHIN, CANCELLED_WITHIN, REASON_WITHIN = 3, 10, 2, 10
CRASHED = "38000"
LIGHT = "SELECT persona.score('light', t) FROM (SELECT 2 AS x) AS t"
HEAVY = "SELECT persona.score('heavy', t) FROM (SELECT -1 AS x) AS t"


def light_model():
    return onnx.model(onnx.graph([onnx.node("Add", ["x", "w"], ["y"])], ("x",), ("y",), (5, onnx.floats("w", [1.5], 1))))


def the_process(cluster):
    """The one scorer's process id, once it is there."""
    with cluster.connect() as connection:
        pid = connection.scalar("SELECT process_id FROM persona.onnx_status()")
    assert processes.onnx_processes(cluster) == [pid]
    return pid


@contextmanager
def settings(cluster, connection, **changed):
    """Settings of the configuration file for a while, in force when the block begins."""
    connection.query("LOAD 'pg_persona'")
    configuration = cluster.data / "postgresql.conf"
    before, values = configuration.read_text(), {name: setting(connection, name) for name in changed}
    cluster.configure({f"persona.{name}": f"'{value}'" for name, value in changed.items()})
    reload(cluster, connection, changed)
    try:
        yield
    finally:
        configuration.write_text(before)
        reload(cluster, connection, values)


def setting(connection, name):
    return connection.scalar(f"SELECT coalesce(setting, '') FROM pg_settings WHERE name = 'persona.{name}'")


def reload(cluster, connection, wanted):
    supervisors = processes.supervisors(cluster)
    old = processes.onnx_processes(cluster)
    cluster.reload()
    for name, value in wanted.items():
        wait_until(f"{name} is {value}", lambda: setting(connection, name) == str(value))
    if supervisors:
        # The supervisor hears of it by itself, and ends a scorer that ran with other settings.
        wait_until("the old scorer is gone", lambda: not any(map(processes.is_alive, old)))
        time.sleep(0 if old else 0.3)


def seconds_to_error(connection, sql):
    began = time.monotonic()
    return connection.error(sql), time.monotonic() - began


def check_left(cluster, connection, sql, how):
    """The statement, which would take long, ends with 57014 soon after it is left, and its session goes on."""
    if how == "timeout":
        connection.query("SET statement_timeout = '250ms'")
        connection.send(sql)
        began = time.monotonic() + 0.25
    else:
        connection.send(sql)
        time.sleep(0.25)
        assert not connection.ready(), f"it had ended by itself: {sql[:80]}"
        began = time.monotonic()
        connection.cancel()
    try:
        connection.fetch()
        raise AssertionError(f"it ended by itself: {sql[:80]}")
    except ServerError as error:
        assert error.sqlstate == "57014", f"{sql[:80]}: {error}"
    late = time.monotonic() - began
    assert late < CANCELLED_WITHIN, f"{how} took {late:.2f} s: {sql[:80]}"
    connection.query("RESET statement_timeout")
    assert connection.scalar("SELECT 1") == 1


def kill_at_work(cluster, connection, model, number=signal.SIGKILL, sql=HEAVY):
    """Ends the scorer while it runs the model "heavy" for this session; the session gets an error at once."""
    connection.send(sql)
    # What an ended process was at stands there until the next one has started: so it is looked at again after a while.
    (pid,) = wait_until("the scorer is at work", lambda: processes.is_busy_with(cluster, model) and processes.onnx_processes(cluster))
    time.sleep(0.15)
    (pid,) = wait_until("the scorer is at work", lambda: processes.is_busy_with(cluster, model) and processes.onnx_processes(cluster))
    began = time.monotonic()
    os.kill(pid, number)
    try:
        connection.fetch()
        raise AssertionError("the heavy model is too light for this machine")
    except ServerError as error:
        assert error.sqlstate == CRASHED, error
    assert time.monotonic() - began < ERROR_WITHIN
