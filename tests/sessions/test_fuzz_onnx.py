"""Hostile graphs through SQL, hostile frames at the scorer's socket, and hostile answers to a backend: an error at most, never a
backend's death or an internal error. The scorer may die of a fault inside ONNX Runtime, and then comes back.
"""

import hashlib
import os
import random
import re
import socket
import struct
import threading
import time
from collections import Counter

from lib import graph_mutants, graphs, onnx, processes
from lib.cluster import as_the_server
from lib.onnx import Fixture
from lib.pgwire import ConnectionLost, ServerError
from lib.onnx_process import CRASHED, LIGHT, SERVICE_WITHIN, light_model, the_process
from lib.tally import long, told

# Nothing here hangs on the server's version.
ON_ONE_SERVER = True

# Small limits, so that what grows without an end meets them soon.
SETTINGS = {"persona.onnx_memory": "'512MB'", "persona.onnx_load_timeout": "'2s'", "persona.onnx_idle_timeout": "0"}
# What a hostile model may get: data exception, not supported, unknown column, limits, resources, external routine, canceled.
CLASSES = ("22", "0A", "42", "54", "53", "38", "57014")
ROW = ("SELECT 1.5::real AS x, 0.5::real AS spend, 3::bigint AS visits, 'north'::text AS region, "
       + ", ".join(f"{number / 10}::real AS c{number}" for number in range(1, 9)))


# -- Graphs ------------------------------------------------------------------------------------------------------------


def test_mutants_of_graphs_are_errors_at_most(cluster):
    check_mutants(cluster, 1_500, seed=int(time.time()))


@long
def test_100000_mutants_of_graphs_are_errors_at_most(cluster):
    check_mutants(cluster, 100_000, seed=20261128)


def check_mutants(cluster, n_mutants, seed):
    bases = list(graphs.all_models().values())
    assert len(bases) >= 10
    mutator = graph_mutants.Mutator([model for model, _ in bases], seed)
    order = random.Random(seed)
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        connection.query(f"CREATE TABLE given AS {ROW}; INSERT INTO given SELECT * FROM given; SET statement_timeout = '1s'")
        started = connection.scalar("SELECT pg_postmaster_start_time()::text")
        calls = ["SELECT persona.score('fuzz', g) FROM given g", "SELECT persona.predict('fuzz', g) FROM given g",
                 "SELECT persona.score_batch('fuzz', g) OVER () FROM given g"]
        refusals = Counter()
        codes, wrong, deadly, accepted, slowest, began = Counter(), [], 0, 0, 0, time.monotonic()
        for number in range(n_mutants):
            model = mutator.mutant(number)
            order.shuffle(calls)
            statement = onnx.import_statement("fuzz", model, bases[number % len(bases)][1])
            stage = "import"
            try:
                connection.query(f"BEGIN; {statement}")
                accepted += 1
                codes["accepted"] += 1
                stage = "score"
                for call in calls:
                    connection.query("SAVEPOINT s")
                    try:
                        connection.query(call)
                        codes["scored"] += 1
                    except ServerError as error:
                        if error.sqlstate == CRASHED and "ended while" in error.message:
                            raise
                        note(error, codes, wrong, number, model)
                        connection.query("ROLLBACK TO s")
            except ServerError as error:
                note(error, codes, wrong, number, model)
                if error.sqlstate == CRASHED and "ended while" in error.message:
                    deadly += 1
                    keep(model, f"{stage}_{seed}_{number}")
                    slowest = max(slowest, seconds_until_service(connection))
                    if stage == "import":
                        refusals[tries_until_refused(connection, statement)] += 1
            except ConnectionLost as lost:
                keep(model, f"lost_{seed}_{number}")
                raise AssertionError(f"mutant {number} of seed {seed}: {lost}\n" + "\n".join(wrong)) from None
            connection.query("ROLLBACK")
        assert connection.scalar("SELECT pg_postmaster_start_time()::text") == started
        assert connection.scalar(LIGHT) == 3.5
    log = cluster.log.read_text(errors="replace")
    signals = Counter(re.findall(r"persona onnx process, process \d+, ended: (signal: \d+)", log))
    itself = len(re.findall(r"persona onnx process, process \d+, ended: exit status: 3", log))
    told(f"{n_mutants} mutants of {len(bases)} graphs, seed {seed}: {accepted} accepted, {codes['scored']} scores; the scorer died {deadly} times "
         f"({dict(signals)}) and ended itself {itself} times, back within {slowest:.1f} s; {n_mutants / (time.monotonic() - began):.0f} a second")
    told(", ".join(f"{code} {count}" for code, count in codes.most_common()))
    if refusals:
        told(f"tries until a graph that kills the scorer when it is loaded is refused, or loads: {dict(refusals)}")
    assert max(refusals, default=0) <= 3, refusals
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:40])
    assert slowest < SERVICE_WITHIN


def note(error, codes, wrong, number, model):
    codes[error.sqlstate] += 1
    if not error.sqlstate.startswith(CLASSES) or "binding panicked" in error.message:
        wrong.append(f"{number}: {error}")
        keep(model, f"wrong_{number}")


def keep(model, name):
    """For who looks into it: set PERSONA_KEEP_MUTANTS to a directory."""
    place = os.environ.get("PERSONA_KEEP_MUTANTS")
    if place:
        with open(os.path.join(place, f"{name}.onnx"), "wb") as file:
            file.write(model)


def tries_until_refused(connection, statement):
    """How often a graph that has ended the scorer ends it again."""
    for tries in range(10):
        try:
            connection.query(statement)
            return tries
        except ServerError as error:
            if "ended while" not in error.message:
                return tries
        seconds_until_service(connection)
    return 10


def seconds_until_service(connection):
    connection.query("ROLLBACK")
    began = time.monotonic()
    while time.monotonic() - began < SERVICE_WITHIN:
        try:
            if connection.scalar(LIGHT) == 3.5:
                break
        except ServerError as error:
            assert error.sqlstate.startswith(CLASSES) or error.sqlstate == "55000", error
            time.sleep(0.02)
    return time.monotonic() - began


# -- Frames ------------------------------------------------------------------------------------------------------------

VERSION, HELLO, HAVE, BEGIN, CHUNK, DESCRIBE, RUN, STATUS = 2, 1, 2, 3, 4, 5, 6, 7


def frame(kind, payload=b"", length=None):
    return struct.pack("<IB", len(payload) if length is None else length, kind) + payload


def text(held):
    return struct.pack("<I", len(held)) + held


def tensor(name, width, kind, n, payload):
    return text(name) + struct.pack("<IBQ", width, kind, n) + payload


def run_of(sha256, n_rows, *tensors, outputs=()):
    return sha256 + struct.pack("<I", len(outputs)) + b"".join(map(text, outputs)) + struct.pack("<II", n_rows, len(tensors)) + b"".join(tensors)


def requests(sha256):
    """Requests that are in order: the model, loaded in advance, takes spend, visits and region."""
    spend = tensor(b"spend", 1, 1, 2, struct.pack("<2f", 1, 2))
    visits = tensor(b"visits", 1, 3, 2, struct.pack("<2q", 3, 4))
    region = tensor(b"region", 1, 4, 2, struct.pack("<2I", 5, 5) + b"northsouth")
    double = tensor(b"spend", 1, 2, 2, struct.pack("<2d", 1, 2))
    other = bytes(range(32))
    return [frame(HELLO, struct.pack("<I", VERSION)), frame(HAVE, sha256), frame(HAVE, other), frame(DESCRIBE, sha256), frame(STATUS),
            frame(BEGIN, other + struct.pack("<Q", 5)), frame(BEGIN, other + struct.pack("<Q", 3)) + frame(CHUNK, b"abc"),
            frame(CHUNK, b"abc"), frame(RUN, run_of(sha256, 2, spend, visits, region)), frame(RUN, run_of(sha256, 2, double, visits, region)),
            frame(RUN, run_of(sha256, 2, spend, visits, region, outputs=[b"probabilities"])), frame(RUN, run_of(other, 2, spend))]


def mangled(one, chance):
    choice = chance.randrange(8)
    if choice == 0:
        return chance.randbytes(chance.randrange(1, 60))
    if choice == 1:
        return one[: chance.randrange(1, len(one))]
    if choice == 2:
        return struct.pack("<I", chance.choice(graph_mutants.NUMBERS) & 0xFFFFFFFF) + one[4:]
    if choice == 3:
        return frame(chance.randrange(256), one[5:])
    if choice == 4:
        at = chance.randrange(5, len(one)) if len(one) > 5 else 0
        piece = struct.pack(chance.choice(["<I", "<Q"]), chance.choice(graph_mutants.NUMBERS) & 0xFFFFFFFF)
        body = one[5:at] + piece + one[at + len(piece) :]
        return frame(one[4], body)
    if choice == 5:
        return frame(one[4], one[5:] + chance.randbytes(chance.randrange(1, 9)))
    found = bytearray(one)
    for _ in range(chance.choice([1, 2, 4])):
        found[chance.randrange(len(found))] = chance.randrange(256)
    return bytes(found)


def test_frames_at_the_socket_hurt_nobody(cluster):
    check_frames(cluster, 2_000, seed=int(time.time()))


@long
def test_30000_frames_at_the_socket_hurt_nobody(cluster):
    check_frames(cluster, 30_000, seed=20261128)


def check_frames(cluster, n_frames, seed):
    path = str(cluster.data / "pg_persona" / "onnx.sock")
    fixture = Fixture("columns_logistic")
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        fixture.create_table(connection, "given")
        fixture.import_into(connection, "fuzz")
        scored = "SELECT persona.score('fuzz', g) FROM given g ORDER BY id"
        expected = connection.rows(scored)
        pid, started = the_process(cluster), connection.scalar("SELECT pg_postmaster_start_time()::text")
        began = time.monotonic()
        answers = as_the_server(lambda: send_frames(path, n_frames, seed, fixture.model))
        told(f"{n_frames} frames, seed {seed}: {answers}; {n_frames / (time.monotonic() - began):.0f} a second")
        assert the_process(cluster) == pid, "the scorer ended"
        assert connection.rows(scored) == expected and connection.scalar(LIGHT) == 3.5
        assert connection.scalar("SELECT pg_postmaster_start_time()::text") == started
        # The threads of the connections are gone with them.
        processes.wait_until("its threads end", lambda: len(processes.tasks_of(pid)) < 12)
        assert len(processes.descriptors(pid)) < 20, processes.descriptors(pid)


def send_frames(path, n_frames, seed, model):
    chance, answers = random.Random(seed), Counter()
    seeds = requests(hashlib.sha256(model).digest())
    for _ in range(n_frames):
        sent = chance.choice(seeds)
        if chance.random() < 0.9:
            sent = mangled(sent, chance)
        if chance.random() < 0.2:
            sent = chance.choice(seeds) + sent
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(20)
            one.connect(path)
            received = b""
            try:
                one.sendall(sent)
                if chance.random() < 0.05:
                    answers["left"] += 1
                    continue
                one.shutdown(socket.SHUT_WR)
                while piece := one.recv(1 << 16):
                    received += piece
            except ConnectionError:
                answers["reset"] += 1
            answers[f"kind {received[4]}" if len(received) > 4 else "closed"] += 1
    return dict(answers)


# -- Answers -----------------------------------------------------------------------------------------------------------

HELLO_BACK, READY, NEED_MODEL, DESCRIBED, OUTPUTS, STATUS_BACK, ERROR = range(129, 136)


def small_text(held):
    return onnx.varint(len(held)) + held


def hello():
    return frame(HELLO_BACK, onnx.varint(VERSION) + small_text(b"1.31.1") + onnx.varint(1) + small_text(b"cpu") + b"\0")


def output(name, shape, kind, n, payload, classes=b"\0"):
    return text(name) + bytes([len(shape)]) + struct.pack(f"<{len(shape)}q", *shape) + struct.pack("<BQ", kind, n) + payload + classes


def answers():
    floats = output(b"y", [1, 1], 1, 1, struct.pack("<f", 3.5))
    doubles = output(b"y", [1, 2], 2, 2, struct.pack("<2d", 0.5, 0.25), b"\1" + struct.pack("<BQ2q", 3, 2, 0, 1))
    strings = output(b"y", [1], 4, 1, struct.pack("<I", 3) + b"abc")
    outputs = [frame(OUTPUTS, b"\0" + struct.pack("<I", len(held)) + b"".join(held)) for held in ([floats], [doubles], [strings], [], [floats, strings])]
    warned = frame(OUTPUTS, b"\1" + text(b"a warning") + struct.pack("<I", 1) + floats)
    status = frame(STATUS_BACK, small_text(b"1.31.1") + onnx.varint(1) + small_text(b"cpu") + b"\0" + bytes(9))
    return [*outputs, warned, status, hello(), frame(READY, b"\0"), frame(READY, b"\1" + small_text(b"w")), frame(NEED_MODEL), frame(DESCRIBED, b"\0\0\0"),
            *(frame(ERROR, bytes([kind]) + small_text(b"reason")) for kind in range(16))]


def test_answers_of_a_hostile_scorer_are_errors_at_most(cluster):
    check_answers(cluster, 500, seed=int(time.time()))


@long
def test_10000_answers_of_a_hostile_scorer_are_errors_at_most(cluster):
    check_answers(cluster, 10_000, seed=20261128)


def check_answers(cluster, n_answers, seed):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
    cluster.restart()
    place = cluster.data / "pg_persona" / "onnx.sock"
    place.unlink(missing_ok=True)
    chance, stop, seeds = random.Random(seed), threading.Event(), answers()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        os.chmod(place, 0o777)
        listener.listen(64)
        listener.settimeout(0.2)
        server = threading.Thread(target=answer_hostilely, args=(listener, chance, stop, seeds))
        server.start()
        try:
            codes, wrong = Counter(), []
            with cluster.connect() as connection:
                started = connection.scalar("SELECT pg_postmaster_start_time()::text")
                calls = [LIGHT, LIGHT.replace("score", "predict"), "SELECT persona.score_batch('light', t) OVER () FROM (SELECT 2 AS x) AS t",
                         "SELECT state FROM persona.onnx_status()", "SELECT * FROM persona.providers()"]
                connection.query("SET statement_timeout = '200ms'; SET client_min_messages = error")
                for number in range(n_answers):
                    try:
                        connection.query(calls[number % len(calls)])
                        codes["answered"] += 1
                    except ServerError as error:
                        codes[error.sqlstate] += 1
                        if not error.sqlstate.startswith((*CLASSES, "55000", "F0000")):
                            wrong.append(str(error))
                assert connection.scalar("SELECT pg_postmaster_start_time()::text") == started
        finally:
            stop.set()
            server.join(10)
            place.unlink(missing_ok=True)
    told(f"{n_answers} calls, seed {seed}: " + ", ".join(f"{code} {count}" for code, count in codes.most_common()))
    assert not wrong, "\n".join(wrong[:40])
    with cluster.connect() as connection:
        assert connection.scalar(LIGHT) == 3.5


def answer_hostilely(listener, chance, stop, seeds):
    """Serves one session at a time: the greeting as it should be, most of the time, then anything."""
    while not stop.is_set():
        try:
            client, _ = listener.accept()
        except TimeoutError:
            continue
        with client:
            client.settimeout(1)
            try:
                client.recv(1 << 16)
                client.sendall(hello() if chance.random() < 0.95 else mangled(hello(), chance))
                while not stop.is_set() and client.recv(1 << 16):
                    one = chance.choice(seeds)
                    client.sendall(one if chance.random() < 0.1 else mangled(one, chance))
                    if chance.random() < 0.5:
                        break
            except OSError:
                pass
