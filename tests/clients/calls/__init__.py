"""The calls that every client makes, declared once: SQL with $1, $2, … in their order, parameters, and the SQL of the same call in literals.

Without `literal` the parameters are put into the SQL as literals. The answer of that, as psql would send it, is what a client must get.
"""

import datetime
import json
from dataclasses import dataclass

CALLS = []


@dataclass
class Call:
    name: str
    sql: str
    parameters: tuple
    literal: str
    # The call itself, its parameters as literals.
    in_literals: str
    # False for what writes or runs a source: no view is made of it.
    is_query: bool = True
    # A text in it stands for a value of another type: only clients do so that send texts without a type.
    is_untyped: bool = False
    # It is made outside of a transaction, and gives no row.
    is_alone: bool = False


def call(name, sql, *parameters, literal=None, is_query=True, is_untyped=False, is_alone=False):
    assert name not in {one.name for one in CALLS}, f"two calls are called {name}"
    places = [sql.find(f"${n}") for n in range(1, len(parameters) + 1)]
    assert -1 not in places and places == sorted(places) and sql.count("$") == len(parameters), f"the parameters of: {sql}"
    CALLS.append(Call(name, sql, parameters, literal or in_literals(sql, parameters), in_literals(sql, parameters), is_query and not is_alone, is_untyped, is_alone))


def in_literals(sql, parameters):
    for n, value in reversed(list(enumerate(parameters, 1))):
        sql = sql.replace(f"${n}", literal_of(value))
    return sql


def kind_of(value):
    """What a parameter is: each client sends it in its own way."""
    if isinstance(value, list):
        some = next((one for one in value if one is not None), "")
        return {float: "floats", int: "ints", str: "texts"}[type(some)]
    kinds = {type(None): "null", bool: "bool", int: "int", float: "float", str: "text", dict: "json", bytes: "bytes",
             datetime.datetime: "timestamptz", datetime.date: "date"}
    return kinds[type(value)]


def literal_of(value):
    kind = kind_of(value)
    if kind == "null":
        return "NULL"
    if kind in ("bool", "int", "float"):
        return repr(value).lower()
    if kind == "bytes":
        return f"'\\x{value.hex()}'::bytea"
    if kind in ("floats", "ints", "texts"):
        return "ARRAY[" + ", ".join(literal_of(one) for one in value) + "]::" + {"floats": "float8[]", "ints": "bigint[]", "texts": "text[]"}[kind]
    text = json.dumps(value) if kind == "json" else value.isoformat() if kind in ("timestamptz", "date") else value
    return "'" + text.replace("'", "''") + "'" + {"json": "::jsonb", "timestamptz": "::timestamptz", "date": "::date"}.get(kind, "")
