"""SQLAlchemy, which reads every answer into a pandas data frame."""

import re
import sys

import pandas
import sqlalchemy
from sqlalchemy.dialects.postgresql import JSONB

import common

engine = sqlalchemy.create_engine(common.uri(common.connection(), f"postgresql+{sys.argv[3]}"))
session = engine.connect()


def ask(sql, values, kinds):
    # In a text of SQLAlchemy's two colons cannot come after a parameter.
    sql = re.sub(r"\$(\d+)::([\w.]+(?:\[\])?)", r"CAST($\1 AS \2)", sql)
    statement = sqlalchemy.text(common.marked(sql, lambda n: f":p{n}"))
    names = [f"p{n}" for n in range(1, len(values) + 1)]
    typed = [sqlalchemy.bindparam(name, type_=JSONB) for name, kind in zip(names, kinds) if kind == "json"]
    frame = pandas.read_sql(statement.bindparams(*typed) if typed else statement, session, params=dict(zip(names, values)))
    # A column of integers with NULLs is one of floats in pandas, and NULL is NaN there.
    return json_rows(frame)


def json_rows(frame):
    return [[None if pandas.api.types.is_scalar(value) and pandas.isna(value) else value for value in row]
            for row in frame.itertuples(index=False, name=None)]


def sqlstate_of(error):
    while error is not None:
        state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        if state:
            return state
        error = getattr(error, "orig", None) or error.__cause__


common.main(ask, session.rollback, sqlstate_of)
