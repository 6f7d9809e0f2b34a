"""The clients: what each needs, how it is installed, and the command that makes the calls with it.

What a client needs is fetched once, into .cache or from Debian's packages. Where that cannot be done it is skipped, and says why.
"""

import base64
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import house
import setup
from clients.calls import kind_of
from house import CACHE, PINS
from lib.tally import Skip

PROGRAMS = Path(__file__).resolve().parent / "programs"
ODBC_DRIVER = Path("/usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so")
JDBC_DRIVER = Path("/usr/share/java/postgresql.jar")
TIME_LIMIT = 600


@dataclass
class Client:
    name: str
    # The command, given the files of calls and of answers, and the connection.
    command: Callable
    # Whether it takes parameters, or the calls in literals; and whether a call may write, and read the views.
    has_parameters: bool = True
    writes: bool = True
    reads_views: bool = True
    # Whether it makes calls outside of transactions.
    goes_alone: bool = True
    # It reaches the server through pgbouncer.
    is_pooled: bool = False
    # Whether a text that it sends is of type text, whatever the function takes.
    types_texts: bool = False
    # What it cannot do itself: what it says then, by a pattern of the names of calls.
    limits: dict = field(default_factory=dict)


def python(venv, program, *words):
    return lambda calls, answers, connection: [installed(lambda: house.venv(venv)), PROGRAMS / program, calls, answers, *words]


def node(kind):
    def command(calls, answers, connection):
        if not shutil.which("node") or not shutil.which("npm"):
            raise Skip("there is no node and npm here")
        home = CACHE / "client-node"
        stamp = home / "node_modules" / "pg" / "package.json"
        if not stamp.exists() or json.loads(stamp.read_text())["version"] != PINS["npm"]["pg"]:
            home.mkdir(parents=True, exist_ok=True)
            house.say("installing node-postgres")
            installed(lambda: house.run(["npm", "install", "--silent", "--prefix", home, f"pg@{PINS['npm']['pg']}"], timeout=300, quiet=True))
        return ["node", PROGRAMS / "node.js", calls, answers, home, kind]

    return command


def jdbc(kind):
    def command(calls, answers, connection):
        if not shutil.which("java"):
            raise Skip("there is no java here")
        debian(JDBC_DRIVER, "libpostgresql-jdbc-java")
        lines(json.loads(Path(calls).read_text())["calls"], Path(calls).with_suffix(".tsv"))
        url = f"jdbc:postgresql://{connection['tcp_host']}:{connection['port']}/{connection['database']}"
        return ["java", "-cp", JDBC_DRIVER, PROGRAMS / "Jdbc.java", Path(calls).with_suffix(".tsv"), answers, url, connection["password"], kind]

    return command


def odbc(server_side):
    def command(calls, answers, connection):
        debian(ODBC_DRIVER, "odbc-postgresql")
        connection["odbc_driver"] = str(ODBC_DRIVER)
        return python("client-odbc", "odbc.py", server_side)(calls, answers, connection)

    return command


RECORDS = "in the list of columns$"
# The server says that a parameter without a type is a text, and then only a text is sent.
TOLD_TEXT = "untyped number|untyped NULL|a text and a number|score by an imported|(one_hot|keep) of an integer|key as an integer|^recommend(, n.*)?$|^similar items$"
# psqlODBC writes every time as one without a zone.
NO_TIME_ZONES = {"^rfm, readers at a time$": "row 1, column recency", "^rfm scores, spread out$": "row 1, column recency"}

CLIENTS = [
    Client("psycopg", python("client-psycopg", "psycopg_3.py", "server")),
    Client("psycopg, binary", python("client-psycopg", "psycopg_3.py", "binary")),
    Client("psycopg, ClientCursor", python("client-psycopg", "psycopg_3.py", "client")),
    Client("psycopg2", python("client-psycopg", "psycopg_2.py")),
    Client("asyncpg", python("client-asyncpg", "asyncpg_client.py"), types_texts=True, limits={TOLD_TEXT: "expected str, got"}),
    Client("pandas over psycopg", python("client-pandas", "pandas_sqlalchemy.py", "psycopg"), goes_alone=False),
    Client("pandas over psycopg2", python("client-pandas", "pandas_sqlalchemy.py", "psycopg2"), goes_alone=False),
    Client("polars over ADBC", python("client-polars", "polars_adbc.py"), types_texts=True, goes_alone=False, limits={RECORDS: "Expected nested record type"}),
    Client("polars over connectorx", python("client-connectorx", "polars_connectorx.py"), has_parameters=False, writes=False,
           limits={RECORDS: "not implemented: record", "^rfm scores(, as one value| at a text)$": "not implemented: rfm_scores"}),
    Client("JDBC", jdbc("typed"), types_texts=True),
    Client("JDBC, stringtype=unspecified", jdbc("untyped")),
    Client("node-postgres", node("plain")),
    Client("node-postgres, named statements", node("named")),
    Client("DuckDB", python("client-duckdb", "duckdb_scanner.py"), has_parameters=False, writes=False),
    *(Client(f"dbt, {made_as}s", python("client-dbt", "dbt_project.py", made_as), has_parameters=False, writes=False, reads_views=False, limits={RECORDS: "has pseudo-type record"})
      for made_as in ("view", "table")),
    Client("psycopg through pgbouncer", python("client-psycopg", "psycopg_3.py", "pooled"), is_pooled=True),
    Client("node-postgres through pgbouncer", node("plain"), is_pooled=True),
    Client("ODBC", odbc("1")),
    Client("ODBC, without prepared statements", odbc("0"), limits=NO_TIME_ZONES),
]


def installed(step):
    """What a step gives; a step that cannot be made skips the client."""
    try:
        return step()
    except house.Trouble as trouble:
        lines = str(trouble).splitlines()
        raise Skip(f"it cannot be installed here: {lines[-1] if lines else trouble}") from None


def debian(file, package):
    if file.exists():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Skip(f"there is no {file}, which Debian's package {package} has")
    installed(lambda: setup.install_packages([package]))
    if not file.exists():
        raise Skip(f"Debian's package {package} has no {file} here")


def sent(value):
    """A parameter as the file of calls has it."""
    kind = kind_of(value)
    plain = {"bytes": lambda: base64.b64encode(value).decode(), "timestamptz": lambda: value.isoformat(), "date": lambda: value.isoformat()}
    return {"kind": kind, "value": plain.get(kind, lambda: value)()}


def lines(calls, path):
    """The calls for a client that has no JSON: a line each, its fields in base64 and a NULL as a dash."""

    def text(kind, value):
        if kind == "json":
            return json.dumps(value)
        if isinstance(value, list):
            return "\x1f".join("\0" if one is None else str(one) for one in value)
        return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)

    def encoded(value):
        return base64.b64encode(value.encode()).decode()

    with open(path, "w") as file:
        for call in calls:
            words = [encoded(call["name"]), encoded(re.sub(r"\$\d+", "?", call["sql"])), encoded(str(call["is_alone"]).lower())]
            for one in call["parameters"]:
                words += [encoded(one["kind"]), "-" if one["value"] is None else encoded(text(one["kind"], one["value"]))]
            file.write("\t".join(words) + "\n")
