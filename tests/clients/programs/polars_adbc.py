"""polars over ADBC: parameters and answers are Arrow's."""

import json

import adbc_driver_postgresql.dbapi
import polars

import common

session = adbc_driver_postgresql.dbapi.connect(common.uri(common.connection()))


def ask(sql, values, kinds):
    # Texts are of type text, JSON among them.
    for n, kind in enumerate(kinds, 1):
        sql = sql.replace(f"${n}", f"${n}::jsonb") if kind == "json" and f"${n}::" not in sql else sql
    values = [json.dumps(value) if kind == "json" and value is not None else value for value, kind in zip(values, kinds)]
    options = {"parameters": values} if values else None
    return polars.read_database(sql, session, execute_options=options).rows()


common.main(ask, session.rollback)
