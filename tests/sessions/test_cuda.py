"""The scorer on a GPU: the CPU's scores, never silent when the GPU is missing or full, nothing left behind.

Skipped unless nvidia-smi shows a GPU and PERSONA_CUDA_ONNXRUNTIME names the libonnxruntime.so of a release with CUDA (its
provider libraries beside it, CUDA's own where the dynamic linker finds them; README.md, "Scoring on a GPU").
"""

import os
import re
import shutil
import signal
import time
from pathlib import Path

from lib import gpu, onnx, processes
from lib.cluster import area, give_to_ordinary_user
from lib.gpu import on_gpu
from lib.onnx import Fixture
from lib.processes import wait_until
from lib.onnx_process import (CANCELLED_WITHIN, HEAVY, LIGHT, SERVICE_WITHIN, kill_at_work, light_model, settings, the_process)
from lib.tally import long

SETTINGS = {"persona.onnx_providers": "'cuda,cpu'", "persona.onnxruntime_library": f"'{gpu.RUNTIME}'"}

# Without TF32 a GPU adds up in another order than the CPU, and no more.
RELATIVE = 1e-5
# Layers of which a batch of 4,096 rows takes some 1.2 GB, and one row nearly nothing.
WIDE = "SELECT sum(s) FROM (SELECT persona.score_batch('wide', t) OVER () AS s FROM generate_series(1, {}) AS i, LATERAL (SELECT i AS x) AS t) AS s"
ONE_WIDE = "SELECT persona.score('wide', t) FROM (SELECT 1 AS x) AS t"
# What another process leaves: enough to run one row, not enough for a batch; not enough to begin.
SCARCE_MIB, NOTHING_MIB = 300, 0


def wide_model():
    return onnx.perceptron(1, 40_000, 1)


def long_model():
    """Some 400 TFLOP: seconds on any GPU of today."""
    return onnx.heavy("on a GPU", 360, 8192)


def warnings(connection):
    found = [notice["M"] for notice in connection.notices if notice["S"] == "WARNING"]
    connection.notices.clear()
    return found


def end_scorer(cluster):
    """The next call starts it anew. CUDA takes a tenth of a second to let go."""
    pid = the_process(cluster)
    os.kill(pid, signal.SIGKILL)
    wait_until("it is gone", lambda: not processes.is_alive(pid))


def check_on_gpu(cluster, sql, expected):
    """A fresh session has the answer, and no warning that another provider gave it."""
    with cluster.connect() as connection:
        assert close(connection.scalar(sql), expected), (connection.scalar(sql), expected)
        assert not warnings(connection)


def close(found, expected):
    return abs(found - expected) <= RELATIVE * max(1e-3, abs(expected))


@on_gpu
def test_cuda_is_available_and_nothing_is_warned_of(cluster):
    with cluster.connect() as connection:
        told = connection.rows("SELECT provider, is_wanted, is_available, message FROM persona.providers()")
        assert told == [("cuda", True, True, None), ("cpu", True, True, None)], told
        assert connection.scalar("SELECT state FROM persona.onnx_status()") == "ready"
        assert not warnings(connection)
    pid = the_process(cluster)
    held = processes.descriptors(pid).values()
    assert any("/dev/nvidia" in path for path in held), f"no GPU is open: {sorted(held)}"
    # What CUDA holds at the start is not counted, and all after it is limited as without it.
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert not re.search(r"Max data size\s+unlimited", limits), limits
    assert re.search(r"Max core file size\s+0\s+0", limits) and re.search(r"Max file size\s+24576\s+24576", limits), limits


@on_gpu
def test_the_gpu_gives_the_scores_of_the_cpu(cluster):
    """Also what has no kernel for a GPU: trees, text, ZipMap."""
    with cluster.connect() as connection:
        calls = []
        for name in onnx.FIXTURES:
            fixture = Fixture(name)
            fixture.create_table(connection, name)
            fixture.import_into(connection, name)
            calls.append(name)
        features = [f"c{number}" for number in range(1, 65)]
        onnx.import_onnx(connection, "perceptron", onnx.perceptron(64, 512, 512, 1), features)
        columns = ", ".join(f"sin(i * {number} * 0.37)::real AS {name}" for number, name in enumerate(features, 1))
        connection.query(f"CREATE TABLE perceptron AS SELECT i AS id, {columns} FROM generate_series(1, 5000) AS i")
        calls.append("perceptron")

        def scores(name):
            batch = connection.rows(f"SELECT id, persona.score_batch('{name}', t) OVER () FROM {name} t ORDER BY id")
            single = connection.rows(f"SELECT id, persona.score('{name}', t) FROM {name} t WHERE id < 200 ORDER BY id")
            return batch, single

        on_gpu = {name: scores(name) for name in calls}
        assert not warnings(connection)
        with settings(cluster, connection, onnx_providers="cpu"):
            for name in calls:
                for found, expected in zip(on_gpu[name], scores(name)):
                    wrong = [(one, other) for one, other in zip(found, expected, strict=True) if not close(one[1], other[1])]
                    assert not wrong, f"{name}: {len(wrong)} of {len(expected)}: {wrong[:3]}"
        for name in onnx.FIXTURES:
            expected = Fixture(name).scores
            assert all(abs(found - wanted) < 1e-5 for (_, found), wanted in zip(on_gpu[name][0], expected, strict=True)), name


@on_gpu
def test_a_gpu_without_room_is_a_warning_and_the_answer_of_the_cpu(cluster):
    """Twice: no room to begin with, and no room for a batch of a model that is there."""
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        onnx.import_onnx(connection, "wide", wide_model())
        batch = WIDE.format(9000)
        expected = connection.scalar(batch)
        assert not warnings(connection)
        end_scorer(cluster)
        with gpu.held(NOTHING_MIB):
            assert connection.scalar(LIGHT) == 3.5
            told = warnings(connection)
            assert len(told) == 1 and "no memory" in told[0], told
        end_scorer(cluster)
        check_on_gpu(cluster, LIGHT, 3.5)
        check_on_gpu(cluster, ONE_WIDE, connection.scalar(ONE_WIDE))
        with gpu.held(SCARCE_MIB):
            check_on_gpu(cluster, LIGHT, 3.5)
            with cluster.connect() as other:
                assert close(other.scalar(batch), expected)
                told = warnings(other)
                assert len(told) == 1 and "no memory" in told[0], told
            check_on_gpu(cluster, LIGHT, 3.5)


@on_gpu
def test_a_gpu_without_room_is_by_wish_an_error(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        onnx.import_onnx(connection, "wide", wide_model())
        with settings(cluster, connection, onnx_require_first_provider="on"):
            batch = WIDE.format(9000)
            with gpu.held(NOTHING_MIB):
                for _ in range(2):
                    error = connection.error(LIGHT)
                    assert error.sqlstate == "53200" and '"cuda" has no memory for the model' in error.message, error
            check_on_gpu(cluster, LIGHT, 3.5)
            expected = connection.scalar(ONE_WIDE)
            with gpu.held(SCARCE_MIB):
                for _ in range(2):
                    error = connection.error(batch)
                    assert error.sqlstate == "53200" and '"cuda" has no memory for the batch' in error.message, error
                assert connection.scalar(LIGHT) == 3.5
            check_on_gpu(cluster, ONE_WIDE, expected)
            assert connection.scalar(batch) is not None


@long
@on_gpu
def test_a_model_that_had_no_room_is_on_the_gpu_again_after_a_minute(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "wide", wide_model())
        batch = WIDE.format(9000)
        expected = connection.scalar(batch)
        end_scorer(cluster)
        connection.scalar(ONE_WIDE)
        with gpu.held(SCARCE_MIB):
            assert close(connection.scalar(batch), expected)
            assert len(warnings(connection)) == 1
        with cluster.connect() as other:
            other.scalar(ONE_WIDE)
            assert len(warnings(other)) == 1, "it is told as long as it lasts"
        time.sleep(61)
        check_on_gpu(cluster, batch, expected)


@on_gpu
def test_models_that_nobody_asks_for_make_room_on_the_gpu(cluster):
    """Each takes a hundred MiB there, of some 500; all have their turn, and none is driven to the CPU."""
    with cluster.connect() as connection:
        for number in range(6):
            onnx.import_onnx(connection, f"perceptron_{number}", onnx.perceptron(1, 8, 1, seed=number))
        end_scorer(cluster)
        connection.query("SELECT * FROM persona.providers()")
        with gpu.held(520):
            for number in range(6):
                assert 0 < connection.scalar(f"SELECT persona.score('perceptron_{number}', t) FROM (SELECT 1 AS x) AS t") < 1
                assert not warnings(connection), number


@on_gpu
def test_a_model_may_take_as_much_of_the_gpu_as_the_process_of_memory(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "wide", wide_model())
        with settings(cluster, connection, onnx_memory=256 * 1024, onnx_require_first_provider="on"):
            before = gpu.used_mib()
            assert connection.scalar(ONE_WIDE) is not None
            error = connection.error(WIDE.format(9000))
            assert error.sqlstate == "53200" and "onnx_memory" in error.hint, error
            assert gpu.used_mib() - before < 1000


@on_gpu
def test_a_run_on_the_gpu_can_be_left_and_its_process_ended(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        heavy = long_model()
        onnx.import_onnx(connection, "heavy", heavy)
        started = connection.scalar("SELECT pg_postmaster_start_time()::text")
        for _ in range(2):
            connection.query("SET statement_timeout = '50ms'")
            began = time.monotonic()
            error = connection.error(HEAVY)
            assert error.sqlstate == "57014", error
            assert time.monotonic() - began < CANCELLED_WITHIN
            connection.query("RESET statement_timeout")
            # Another model does not wait for what nobody waits for.
            assert connection.scalar(LIGHT) == 3.5
        for number in (signal.SIGSEGV, signal.SIGKILL):
            end_scorer(cluster)
            kill_at_work(cluster, connection, heavy, number)
            began = time.monotonic()
            assert connection.scalar(LIGHT) == 3.5
            assert time.monotonic() - began < SERVICE_WITHIN
        assert connection.scalar("SELECT pg_postmaster_start_time()::text") == started
    check_on_gpu(cluster, LIGHT, 3.5)


@on_gpu
def test_nothing_is_left_on_the_gpu_when_nobody_asks(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        for ending in ("idle", "stop"):
            with settings(cluster, connection, onnx_idle_timeout=1 if ending == "idle" else 100):
                assert connection.scalar(LIGHT) == 3.5
                pid, used = the_process(cluster), gpu.used_mib()
                if ending == "stop":
                    os.kill(processes.supervisors(cluster)[0], signal.SIGTERM)
                wait_until("the scorer ends", lambda: not processes.is_alive(pid))
                wait_until("it is no zombie either", lambda: not Path(f"/proc/{pid}").exists())
                # A context alone takes some hundred MiB.
                wait_until("the GPU's memory is free again", lambda: gpu.used_mib() < used - 64)


@on_gpu
def test_a_hidden_gpu_is_told_and_a_script_as_onnx_path_may_set_the_environment(cluster):
    script = Path(area()) / "hides-the-gpu"
    script.write_text(f"#!/bin/sh\nCUDA_VISIBLE_DEVICES=-1 exec {cluster.tree / 'lib' / 'persona-onnx'} \"$@\"\n")
    script.chmod(0o755)
    give_to_ordinary_user(script)
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        with settings(cluster, connection, onnx_path=script):
            with cluster.connect() as other:
                assert other.scalar(LIGHT) == 3.5
                (told,) = warnings(other)
                assert '"cuda" is not available: CUDA failure 100' in told, told
                told = other.rows("SELECT provider, is_available FROM persona.providers()")
                assert told == [("cuda", False), ("cpu", True)], told
            with settings(cluster, connection, onnx_require_first_provider="on"):
                error = connection.error(LIGHT)
                assert error.sqlstate == "F0000" and "CUDA failure 100" in error.message, error
    check_on_gpu(cluster, LIGHT, 3.5)


@on_gpu
def test_a_provider_that_does_not_load_is_told_without_the_paths(cluster):
    """The library that was built with CUDA, alone in a directory."""
    place = Path(area()) / "no-provider"
    place.mkdir(exist_ok=True)
    for name in ("libonnxruntime.so", "libonnxruntime_providers_shared.so"):
        source = gpu.RUNTIME if name == "libonnxruntime.so" else Path(gpu.RUNTIME).parent / name
        shutil.copy(source, place / name)
    for path in [place, *place.iterdir()]:
        give_to_ordinary_user(path)
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        with settings(cluster, connection, onnxruntime_library=place / "libonnxruntime.so"):
            with cluster.connect() as other:
                assert other.scalar(LIGHT) == 3.5
                (told,) = warnings(other)
                assert '"cuda" is not available' in told and "libonnxruntime_providers_cuda.so" in told and "/" not in told, told
            with settings(cluster, connection, onnx_require_first_provider="on"):
                error = connection.error(LIGHT)
                assert error.sqlstate == "F0000" and "libonnxruntime_providers_cuda.so" in error.message, error
                assert "ldconfig" in error.hint, error
    check_on_gpu(cluster, LIGHT, 3.5)
