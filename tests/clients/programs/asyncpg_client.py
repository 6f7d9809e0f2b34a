"""asyncpg: the server says what type each parameter is, and the client sends that type or nothing."""

import asyncio
import json

import asyncpg

import common

given = common.connection()
loop = asyncio.new_event_loop()
session = loop.run_until_complete(asyncpg.connect(host=given["host"], port=given["port"], database=given["database"], user=given["user"]))


def run(step):
    return loop.run_until_complete(step)


# JSON is its text here, and in and out by this.
for name in ("json", "jsonb"):
    run(session.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog"))
run(session.execute("BEGIN"))


def ask(sql, values, kinds):
    wanted = run(session.prepare(sql)).get_parameters()
    values = [text_of(value, kind) if type.name == "text" and kind in ("json", "floats", "ints", "texts") else value
              for value, kind, type in zip(values, kinds, wanted)]
    return [[tuple(value) if isinstance(value, asyncpg.Record) else value for value in row] for row in run(session.fetch(sql, *values))]


def text_of(value, kind):
    """JSON, or an array, where the server asks for a text."""
    if value is None or kind == "json":
        return value and json.dumps(value)
    return "{" + ",".join("NULL" if one is None else f'"{one}"' for one in value) + "}"


def end():
    run(session.execute("ROLLBACK"))
    run(session.execute("BEGIN"))


def autocommit(on):
    if on:
        run(session.execute("ROLLBACK"))


common.main(ask, end, autocommit=autocommit)
