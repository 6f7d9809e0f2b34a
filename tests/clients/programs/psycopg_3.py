"""psycopg 3: parameters are bound by the server, read as text or in binary form, or put into the SQL by the client."""

import sys

import psycopg
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.json import Jsonb

import common

KIND = sys.argv[3]

given = common.connection()
through_a_pooler = KIND == "pooled"
session = psycopg.connect(host=given["host"], port=given["port"], dbname=given["database"], user=given["user"],
                          **({"prepare_threshold": None} if through_a_pooler else {}))
register_composite(CompositeInfo.fetch(session, "persona.rfm_scores"), session)
session.rollback()


def cursor():
    if KIND == "client":
        return psycopg.ClientCursor(session)
    return session.cursor(binary=KIND == "binary")


def ask(sql, values, kinds):
    values = [Jsonb(value) if kind == "json" else value for value, kind in zip(values, kinds)]
    with cursor() as one:
        one.execute(common.marked(sql, lambda _: "%s", percent=True) if values else sql, values or None)
        return one.fetchall() if one.description else []


common.main(ask, session.rollback)
