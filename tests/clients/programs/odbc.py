"""ODBC: psqlODBC, by pyodbc."""

import json
import sys

import pyodbc

import common

given = common.connection()
session = pyodbc.connect(f"Driver={given['odbc_driver']};Server={given['tcp_host']};Port={given['port']};Database={given['database']};"
                         f"Uid={given['user']};Pwd={given['password']};UseServerSidePrepare={sys.argv[3]};BoolsAsChar=0")


def ask(sql, values, kinds):
    # ODBC has no arrays and no JSON: they are sent as their text.
    values = [text_of(value, kind) for value, kind in zip(values, kinds)]
    # As a context a cursor would commit.
    one = session.cursor()
    one.execute(common.marked(sql, lambda _: "?"), *values)
    return one.fetchall() if one.description else []


def text_of(value, kind):
    if value is None:
        return None
    if kind == "json":
        return json.dumps(value)
    if kind in ("floats", "ints", "texts"):
        return "{" + ",".join("NULL" if one is None else f'"{one}"' for one in value) + "}"
    return value


def sqlstate_of(error):
    return error.args[0] if error.args else None


def autocommit(on):
    session.autocommit = on


common.main(ask, session.rollback, sqlstate_of, autocommit)
