"""What a graph may take of the scorer process: time to load, time after a cancel, memory. The process lives, or comes back at once."""

import resource
import time
from collections import Counter
from pathlib import Path

from lib import onnx, processes
from lib.cluster import as_the_server
from lib.onnx import Fixture
from lib.pgwire import ServerError
from lib.processes import wait_until
from lib.onnx_process import CRASHED, HEAVY, LIGHT, SERVICE_WITHIN, light_model, seconds_to_error, settings, the_process
from lib.tally import told

# Nothing here hangs on the server's version.
ON_ONE_SERVER = True

TOO_MUCH, NO_MEMORY, TOO_LONG, CANCELED = "54000", "53200", "53400", "57014"
# A load that nobody waits for may go on for 5 s, a run for 1 s; 1 s more is for the requests of others.
LOAD_GONE_WITHIN, RUN_GONE_WITHIN = 12, 6


def score(model, x=2):
    return f"SELECT persona.score('{model}', t) FROM (SELECT {x} AS x) AS t"


def told_since(cluster, size):
    with open(cluster.log, errors="replace") as log:
        log.seek(size)
        return log.read()


def cancel_after(connection, sql, seconds):
    connection.send(sql)
    assert not connection.ready(seconds), f"it ended by itself: {sql[:80]}"
    connection.cancel()
    try:
        connection.fetch()
    except ServerError as error:
        assert error.sqlstate == CANCELED, error
        return
    raise AssertionError("it was not canceled")


# -- Before the process ------------------------------------------------------------------------------------------------


def test_graphs_that_grow_without_end_are_refused_before_a_process_is_asked(cluster):
    cluster.restart()
    endless = onnx.with_functions(onnx.graph([onnx.node("f", ["x"], ["y"], domain="local")]),
                                  onnx.function("f", onnx.node("f", ["a"], ["b"], domain="local")))
    with cluster.connect() as connection:
        for name, model in {"bomb": onnx.bomb(30), "chain": onnx.chain(200_000), "endless": endless}.items():
            error, seconds = seconds_to_error(connection, onnx.import_statement(name, model))
            assert error.sqlstate == TOO_MUCH and "model " in error.message, f"{name}: {error}"
            assert seconds < 3, f"{name}: {seconds:.1f} s"
        assert not processes.onnx_processes(cluster) and not processes.supervisors(cluster)
        for name, model in {"small bomb": onnx.bomb(8), "long chain": onnx.chain(5_000)}.items():
            onnx.import_onnx(connection, name, model)
            assert connection.scalar(score(name)) is not None, name


# -- Time to load ------------------------------------------------------------------------------------------------------


def test_a_model_that_loads_too_long_is_given_up_and_refused(cluster):
    with cluster.connect() as connection, cluster.connect() as other:
        onnx.import_onnx(connection, "light", light_model())
        started = connection.scalar("SELECT pg_postmaster_start_time()::text")
        with settings(cluster, connection, onnx_load_timeout=2):
            slow = onnx.slow_to_load()
            assert other.scalar(LIGHT) == 3.5
            pid = the_process(cluster)
            error, seconds = seconds_to_error(connection, onnx.import_statement("slow", slow))
            assert error.sqlstate == TOO_LONG and "within 2 s" in error.message and "onnx_load_timeout" in error.hint, error
            assert seconds < 2 + SERVICE_WITHIN
            began = time.monotonic()
            assert other.scalar(LIGHT) == 3.5
            assert time.monotonic() - began < SERVICE_WITHIN
            wait_until("the process that was busy is gone", lambda: not processes.is_alive(pid))
            # It is known by its sha256, whatever its name.
            for name in ("slow", "slow_again"):
                error, seconds = seconds_to_error(connection, onnx.import_statement(name, slow))
                assert error.sqlstate == CRASHED and "too long" in error.message, error
                assert seconds < SERVICE_WITHIN
            assert other.scalar(LIGHT) == 3.5
        # A reload of the configuration lets it try again.
        onnx.import_onnx(connection, "slow", onnx.slow_to_load(2, 500))
        assert connection.scalar("SELECT pg_postmaster_start_time()::text") == started


def test_a_load_that_nobody_waits_for_ends_and_the_model_is_not_to_blame(cluster):
    with cluster.connect() as connection, cluster.connect() as other:
        onnx.import_onnx(connection, "light", light_model())
        slow = onnx.slow_to_load(40, name="cancelled")
        for _ in range(4):
            pid = the_process(cluster)
            cancel_after(connection, onnx.import_statement("slow", slow), 1)
            began = time.monotonic()
            while processes.is_alive(pid):
                # Others are served by the old process or by the new one.
                assert other.scalar(LIGHT) == 3.5
                assert time.monotonic() - began < LOAD_GONE_WITHIN, "the load goes on"
                time.sleep(0.05)
            assert other.scalar(LIGHT) == 3.5
        # A load that ends soon after is kept.
        pid = the_process(cluster)
        size = cluster.log.stat().st_size
        cancel_after(connection, onnx.import_statement("quick", onnx.slow_to_load(3, 2500)), 0.2)
        time.sleep(6)
        assert the_process(cluster) == pid, told_since(cluster, size)


# -- Time to run -------------------------------------------------------------------------------------------------------


def test_a_product_that_nobody_waits_for_ends(cluster):
    with cluster.connect() as connection, cluster.connect() as other:
        onnx.import_onnx(connection, "light", light_model())
        onnx.import_onnx(connection, "product", onnx.product(9000))
        for _ in range(4):
            assert other.scalar(LIGHT) == 3.5
            pid = the_process(cluster)
            cancel_after(connection, score("product", -1), 2)
            began = time.monotonic()
            while processes.is_alive(pid):
                assert other.scalar(LIGHT) == 3.5
                assert time.monotonic() - began < RUN_GONE_WITHIN, "the run goes on"
                time.sleep(0.05)
        assert other.scalar(LIGHT) == 3.5


def test_who_was_at_work_in_a_process_that_ended_itself_may_try_again(cluster):
    with cluster.connect() as connection, cluster.connect() as bystander:
        onnx.import_onnx(connection, "light", light_model())
        onnx.import_onnx(connection, "product", onnx.product(9000))
        # Never had to its end in that process, so that it would be blamed for a crash.
        onnx.import_onnx(connection, "heavy", onnx.heavy("a bystander", 120))
        for _ in range(4):
            pid = the_process(cluster)
            bystander.send(HEAVY)
            cancel_after(connection, score("product", -1), 2)
            try:
                bystander.fetch()
                raise AssertionError("the heavy model is too light for this machine")
            except ServerError as error:
                assert error.sqlstate == CRASHED and "starts again" in error.hint, error
            wait_until("the process that was busy is gone", lambda: not processes.is_alive(pid))
            began = time.monotonic()
            assert connection.scalar(LIGHT) == 3.5
            assert time.monotonic() - began < SERVICE_WITHIN
        bystander.query("SET statement_timeout = '3s'")
        assert bystander.error(HEAVY).sqlstate == CANCELED, "it is refused"


def test_a_run_between_nodes_ends_without_the_process(cluster):
    with cluster.connect() as connection, cluster.connect() as other:
        onnx.import_onnx(connection, "light", light_model())
        onnx.import_onnx(connection, "heavy", onnx.heavy("cancelled between nodes", 200, 800))
        pid = the_process(cluster)
        # The second waits for the first, whose model it shares: it must not count as one that does not end.
        with cluster.connect() as waiting:
            waiting.query("SET statement_timeout = '300ms'")
            connection.send(HEAVY)
            time.sleep(0.2)
            assert waiting.error(HEAVY).sqlstate == CANCELED
            time.sleep(1.5)
            connection.cancel()
            try:
                connection.fetch()
            except ServerError as error:
                assert error.sqlstate == CANCELED, error
        time.sleep(2)
        assert the_process(cluster) == pid and other.scalar(LIGHT) == 3.5


# -- Memory ------------------------------------------------------------------------------------------------------------


def test_an_answer_that_is_too_large_is_an_error_and_the_process_lives(cluster):
    with cluster.connect() as connection, cluster.connect() as other:
        onnx.import_onnx(connection, "light", light_model())
        for n in (100_000_000, 300_000_000, 1_500_000_000, 30_000_000_000):
            onnx.import_onnx(connection, f"wide_{n}", onnx.wide(n))
            pid = the_process(cluster)
            for function in ("score", "predict"):
                error, seconds = seconds_to_error(connection, score(f"wide_{n}").replace("score", function))
                assert error.sqlstate == NO_MEMORY, f"{n}: {error}"
            assert other.scalar(LIGHT) == 3.5
            assert the_process(cluster) == pid, f"an output of {n} floats ended it"
        onnx.import_onnx(connection, "wide", onnx.wide(10_000))
        assert connection.scalar("SELECT jsonb_array_length(persona.predict('wide', t)->'y') FROM (SELECT 2 AS x) AS t") == 10_000
        onnx.import_onnx(connection, "wider", onnx.wide(30_000_000))
        assert connection.scalar(score("wider")) == 2
        assert connection.error(score("wider").replace("score", "predict")).sqlstate == TOO_MUCH


def test_a_process_short_of_memory_refuses_and_lives(cluster):
    with cluster.connect() as connection, cluster.connect() as other:
        onnx.import_onnx(connection, "light", light_model())
        with settings(cluster, connection, onnx_memory=256 << 10):
            pid = the_process(cluster)
            # Of floats 70 MB, which then stand there twice; a chain of them; more than the address space.
            for n in (17_000_000, 60_000_000, 10**12, 2**61):
                onnx.import_onnx(connection, f"wide_{n}", onnx.wide(n))
                for _ in range(3):
                    error, _ = seconds_to_error(connection, score(f"wide_{n}"))
                    assert error.sqlstate in (NO_MEMORY, CRASHED), f"{n}: {error}"
                assert other.scalar(LIGHT) == 3.5
            error, _ = seconds_to_error(connection, onnx.import_statement("weighty", onnx.weighty(70)))
            assert error.sqlstate == TOO_MUCH, error
            connection.query("CREATE TABLE many AS SELECT i::real AS x FROM generate_series(1, 5000) AS i")
            assert connection.scalar("SELECT sum(persona.score('light', m)) FROM many m") is not None
            assert the_process(cluster) == pid, "it ended"


def limit_addresses(pid, size):
    """Only a process of the same user may do so to another one."""
    as_the_server(lambda: resource.prlimit(pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY)))


def test_a_session_short_of_memory_refuses_and_lives(cluster):
    with cluster.connect() as connection, cluster.connect() as other:
        fixture = Fixture("columns_logistic")
        onnx.import_onnx(connection, "light", light_model())
        onnx.import_onnx(connection, "wide", onnx.wide(50_000_000))
        fixture.import_into(connection, "texts")
        connection.query("CREATE TABLE many AS SELECT 1::real AS spend, 2::bigint AS visits, 'north'::text AS region FROM generate_series(1, 5000)")
        texts = "SELECT sum(persona.score('texts', t)) FROM (SELECT spend, visits, repeat(region, {size}) AS region FROM many LIMIT {n} OFFSET 0) AS t"
        calls = [score("wide"), texts.format(size=2, n=5000), texts.format(size=20_000, n=400), texts.format(size=2_000_000, n=20), texts.format(size=10_000_000, n=3)]
        started = connection.scalar("SELECT pg_postmaster_start_time()::text")
        for call in [LIGHT, *calls]:
            connection.query(call)
        codes = []
        for more in (0, 1 << 20, 4 << 20, 16 << 20, 48 << 20, 120 << 20):
            with cluster.connect() as short:
                # What is loaded once is there.
                assert short.scalar(LIGHT) == 3.5
                used = int(Path(f"/proc/{short.pid}/statm").read_text().split()[0]) * 4096
                limit_addresses(short.pid, used + more)
                for call in calls:
                    try:
                        short.query(call)
                        codes.append("ok")
                    except ServerError as error:
                        codes.append(error.sqlstate)
                limit_addresses(short.pid, resource.RLIM_INFINITY)
                assert short.scalar(LIGHT) == 3.5
        told(f"calls of a session short of memory: {Counter(codes)}")
        assert set(codes) == {"ok", NO_MEMORY}, codes
        assert other.scalar(LIGHT) == 3.5
        assert connection.scalar("SELECT pg_postmaster_start_time()::text") == started
