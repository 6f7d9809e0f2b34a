"""psycopg 2: the client puts parameters into the SQL as literals."""

import psycopg2
from psycopg2.extras import Json, register_composite

import common

given = common.connection()
session = psycopg2.connect(host=given["host"], port=given["port"], dbname=given["database"], user=given["user"])
register_composite("persona.rfm_scores", session)
session.rollback()


def ask(sql, values, kinds):
    values = [Json(value) if kind == "json" else value for value, kind in zip(values, kinds)]
    with session.cursor() as one:
        one.execute(common.marked(sql, lambda _: "%s", percent=True) if values else sql, values or None)
        return one.fetchall() if one.description else []


def autocommit(on):
    session.autocommit = on


common.main(ask, session.rollback, autocommit=autocommit)
