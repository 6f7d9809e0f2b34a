"""DuckDB's postgres scanner: it reads queries by postgres_query, and views as tables of a database that it attaches."""

import sys
from pathlib import Path

import duckdb
import duckdb_ext

import common

given = common.connection()
session = duckdb.connect(config={"allow_unsigned_extensions": "false"})
# The package has the extension that DuckDB would download.
(scanner,) = Path(duckdb_ext.__path__[0]).glob(f"extensions/v{duckdb.__version__}/*/postgres_scanner.duckdb_extension")
session.execute(f"LOAD '{scanner}'")
session.execute(f"ATTACH 'host={given['host']} port={given['port']} dbname={given['database']} user={given['user']}' AS pg (TYPE postgres, READ_ONLY)")


class Refused(Exception):
    pass


def ask(sql, values, kinds):
    if sql.startswith("SELECT * FROM persona.") and "(" not in sql:
        return session.execute(sql.replace("FROM persona.", "FROM pg.persona.")).fetchall()
    text = sql.replace("'", "''")
    return session.execute(f"SELECT * FROM postgres_query('pg', '{text}')").fetchall()


def asked(*call):
    try:
        return ask(*call)
    except duckdb.Error as error:
        # What the server said comes last.
        raise Refused(str(error).split("ERROR:  ")[-1]) from error


common.main(asked)
