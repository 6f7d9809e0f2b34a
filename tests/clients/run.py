"""Runs the calls of tests/clients/calls by every client: `make test-clients`. Ends with the line `N passed, N failed[, N skipped]`.

Each call is made in a transaction that is taken back, and its answer compared with that of the same call in literals. Every view of the
schema is read whole, too. pending.json lists the calls that pg_persona does not answer yet, by their error and the clients that get it:
one that is answered all the same fails, so that its mark is taken away. `--accept` writes the file anew: read the difference.
"""

import argparse
import importlib
import json
import re
import secrets
import socket
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent.parent / "scripts"), str(Path(__file__).resolve().parent.parent)]

import build
import house
import setup
from clients import calls, compare, pooler
from clients.clients import CLIENTS, TIME_LIMIT, sent
from house import say
from lib import pgwire, sessions
from lib.cluster import Cluster, area
from lib.tally import Skip, Tally

AREAS = ("standardise", "segment", "score", "recommend", "operate")
VIEWS = """
    SELECT c.relname FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    WHERE c.relkind = 'v' AND c.relnamespace = 'persona'::regnamespace ORDER BY 1
"""
# What a client may call: not what only an aggregate, a type or a view of ours calls.
FUNCTIONS = """
    SELECT DISTINCT p.proname FROM pg_proc p
    WHERE p.pronamespace = 'persona'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_aggregate a WHERE p.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn))
      AND NOT EXISTS (SELECT FROM pg_type t WHERE p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend))
    ORDER BY 1
"""
NOT_FOR_CLIENTS = {"may", "model_privilege", "hidden", "activity_rows", "algorithm_rows", "in_transaction_block", "log_refit_failure"}


def body():
    arguments = parse()
    for name in AREAS:
        importlib.import_module(f"clients.calls.{name}")
    setup.setup((arguments.only,))
    if not arguments.no_build:
        config = house.pg_config(arguments.only)
        build.build([config])
        build.install(config)
    tally = Tally()
    cluster = start(arguments.only)
    try:
        made = calls.CALLS + views(cluster)
        check_surface(cluster, tally, made)
        expected = {call.name: ask(cluster, call) for call in made}
        check_literals(tally, made, expected)
        marks = Marks(arguments.accept)
        tally.check("every mark is of a call", lambda: marks.check({call.name for call in made}))
        for client in CLIENTS:
            if not arguments.filter or any(re.search(pattern, client.name) for pattern in arguments.filter):
                run_client(cluster, tally, client, made, expected, marks)
        marks.write()
        problems = sessions.log_problems(cluster)
        if problems:
            tally.fail("the server's log", problems)
    finally:
        pooler.stop()
        cluster.remove()
    return tally.close()


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=house.SERVERS[0], choices=house.ALL_SERVERS, help="the server")
    parser.add_argument("--filter", action="append", metavar="REGEX", help="only clients whose name matches: psycopg, JDBC")
    parser.add_argument("--accept", action="store_true", help="write what is not answered as pending")
    parser.add_argument("--no-build", action="store_true", help="use what is installed")
    return parser.parse_args()


def start(server):
    """A cluster that clients without Unix sockets reach, too, by a password of this run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = Cluster(server, {"listen_addresses": "'127.0.0.1'", "port": port, "password_encryption": "'scram-sha-256'"})
    cluster.port, cluster.password = port, secrets.token_hex(16)
    (cluster.data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    cluster.start()
    cluster.create_database("clients")
    with cluster.connect() as session:
        session.query(f"ALTER ROLE postgres PASSWORD '{cluster.password}'")
        for statement in statements((Path(__file__).parent / "setup.sql").read_text()):
            session.query(statement)
    return cluster


def statements(text):
    """One by one: the procedure in them ends transactions."""
    return [one for one in text.split(";\n") if one.strip()]


def views(cluster):
    with cluster.connect() as session:
        names = [name for (name,) in session.rows(VIEWS)]
    assert names, "the extension has no views"
    return [calls.Call(f"view {name}", query, (), query, query) for name in names for query in [f"SELECT * FROM persona.{name} ORDER BY 1, 2, 3"]]


def check_surface(cluster, tally, made):
    """Every function that a client may call is in a call."""
    text = "\n".join(call.sql for call in made)

    def body():
        with cluster.connect() as session:
            missing = [name for (name,) in session.rows(FUNCTIONS) if name not in NOT_FOR_CLIENTS and not re.search(rf"persona\.{name}\(", text)]
        assert not missing, f"tests/clients/calls calls no {', '.join(missing)}"

    tally.check("every function is called", body)


def ask(cluster, call):
    """The answer to the call in literals, or the error."""
    if call.is_alone:
        return pgwire.Result()
    with cluster.connect() as session:
        session.query("BEGIN")
        try:
            return session.query(call.literal)
        except pgwire.ServerError as error:
            return error


def check_literals(tally, made, expected):
    wrong = [f"{call.name}: {expected[call.name]}\n  {call.literal}" for call in made if isinstance(expected[call.name], pgwire.ServerError)]

    def body():
        assert not wrong, "\n".join(wrong)

    tally.check("every call has an answer in literals", body)


def run_client(cluster, tally, client, made, expected, marks):
    began = time.monotonic()
    made = [call for call in made if (client.writes or call.is_query) and not (client.types_texts and call.is_untyped)
            and (client.reads_views or not call.name.startswith("view ")) and (client.goes_alone or not call.is_alone)]
    marks.ran.add(client.name)
    try:
        answers = answers_of(cluster, client, made)
    except Skip as reason:
        tally.skip(client.name, reason)
        return
    except house.Trouble as trouble:
        tally.fail(client.name, trouble, time.monotonic() - began)
        return
    counts = Counter()
    for call in made:
        if isinstance(expected[call.name], pgwire.ServerError):
            continue
        answer = answers.get(call.name, {"error": "no answer"})
        # What is done outside of a transaction is in the views.
        right = ask(cluster, call) if call.name.startswith("view ") else expected[call.name]
        wrong = answer.get("error") or compare.difference(right, answer["rows"])
        limit = next((words for pattern, words in client.limits.items() if re.search(pattern, call.name)), None)
        awaited = limit or marks.of(client.name, call.name)
        if not wrong and not awaited:
            counts["passed"] += 1
        elif wrong and limit and limit in wrong:
            counts["beyond it"] += 1
        # An answer that is another one is never pending.
        elif "error" in answer and not limit and marks.takes(client.name, call.name, wrong):
            counts["pending"] += 1
        else:
            counts["failed"] += 1
            tally.fail(f"{client.name}: {call.name}", f"{wrong or f'it is answered now, and marked with: {awaited}'}\n{call.sql}")
    tally.add_counts(counts["passed"], 0, 0)
    told = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    say(f"{client.name}: {told}, in {time.monotonic() - began:.0f} s")


class Marks:
    """What is pending: for each call the clients that get an error, by the error."""

    FILE = Path(__file__).parent / "pending.json"

    def __init__(self, accept):
        self.known = json.loads(self.FILE.read_text())
        self.seen, self.ran, self.accept = {}, set(), accept

    def check(self, calls):
        gone = sorted(set(self.known) - calls)
        assert self.accept or not gone, f"pending.json marks what is no call: {', '.join(gone)}"

    def of(self, client, call):
        return next((error for error, clients in self.known.get(call, {}).items() if client in clients), None)

    def takes(self, client, call, wrong):
        """Whether it was expected, or is to be from now on."""
        # The SQLSTATE, or where the client hides it the beginning of the message.
        found = re.match(r"[0-9A-Z]{5}(?=:)", wrong)
        self.seen.setdefault(call, {}).setdefault(found[0] if found else wrong.splitlines()[0][:60], []).append(client)
        awaited = self.of(client, call)
        return self.accept or (awaited is not None and awaited in wrong)

    def write(self):
        if not self.accept:
            return
        for call, errors in self.known.items():
            for error, clients in errors.items():
                for client in clients:
                    if client not in self.ran:
                        self.seen.setdefault(call, {}).setdefault(error, []).append(client)
        lines = [f"  {json.dumps(call)}: {json.dumps(errors)}" for call, errors in self.seen.items()]
        self.FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def answers_of(cluster, client, made):
    folder = area() / re.sub(r"\W+", "-", client.name)
    folder.mkdir(exist_ok=True)
    file, answers = folder / "calls.json", folder / "answers.json"
    connection = {"host": str(cluster.directory), "tcp_host": "127.0.0.1", "port": cluster.port, "database": cluster.database,
                  "user": "postgres", "password": cluster.password}
    if client.is_pooled:
        connection |= pooler.started(cluster)
    listed = [{"name": call.name, "is_alone": call.is_alone, "sql": call.sql if client.has_parameters else call.in_literals,
               "parameters": [sent(value) for value in call.parameters] if client.has_parameters else []} for call in made]
    file.write_text(json.dumps({"connection": connection, "calls": listed}))
    command = client.command(file, answers, connection)
    # What a client adds to the connection as it is installed.
    file.write_text(json.dumps({"connection": connection, "calls": listed}))
    house.run(command, timeout=TIME_LIMIT, quiet=True)
    return json.loads(answers.read_text())


if __name__ == "__main__":
    house.main(body)
