"""psycopg 3: parameters are bound by the server, read as text or in binary form, or put into the SQL by the client."""

import sys

import psycopg
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.json import Jsonb

import common

KIND = sys.argv[3]

given = common.connection()
# Two sessions of a pooler share one of the server, and take turns; statements are not prepared there.
options = {"prepare_threshold": None} if KIND == "pooled" else {}
sessions = [psycopg.connect(host=given["host"], port=given["port"], dbname=given["database"], user=given["user"], **options)
            for _ in range(2 if KIND == "pooled" else 1)]
for session in sessions:
    register_composite(CompositeInfo.fetch(session, "persona.rfm_scores"), session)
    session.rollback()


def cursor():
    if KIND == "client":
        return psycopg.ClientCursor(sessions[0])
    return sessions[0].cursor(binary=KIND == "binary")


def ask(sql, values, kinds):
    values = [Jsonb(value) if kind == "json" else value for value, kind in zip(values, kinds)]
    with cursor() as one:
        one.execute(common.marked(sql, lambda _: "%s", percent=True) if values else sql, values or None)
        return one.fetchall() if one.description else []


def end():
    sessions[0].rollback()
    sessions.reverse()


def autocommit(on):
    for session in sessions:
        session.autocommit = on


common.main(ask, end, autocommit=autocommit)
