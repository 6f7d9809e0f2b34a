"""What the clients in Python share: they read calls from one file, make them one by one, and write the answers to another.

`ask(sql, values, kinds)` is the client: it returns the rows of one call. It is told the parameters as Python has them, and what each is.
"""

import base64
import datetime
import decimal
import json
import math
import re
import sys


def main(ask, end=None, sqlstate_of=None, autocommit=None):
    """`end` ends the transaction of a call: no call sees what another has done. `autocommit` is told whether there is to be none."""
    with open(sys.argv[1]) as file:
        given = json.load(file)
    answers = {}
    for call in given["calls"]:
        kinds = [one["kind"] for one in call["parameters"]]
        values = [value_of(one["kind"], one["value"]) for one in call["parameters"]]
        try:
            if call["is_alone"]:
                autocommit(True)
            rows = ask(call["sql"], values, kinds)
            answers[call["name"]] = {"rows": [[plain(value) for value in row] for row in rows]}
        except Exception as error:
            answers[call["name"]] = {"error": told(error, sqlstate_of)}
        if end:
            end()
        if call["is_alone"]:
            autocommit(False)
    with open(sys.argv[2], "w") as file:
        json.dump(answers, file)


def connection():
    with open(sys.argv[1]) as file:
        return json.load(file)["connection"]


def uri(given, scheme="postgresql"):
    return f"{scheme}://{given['user']}@/{given['database']}?host={given['host']}&port={given['port']}"


def value_of(kind, value):
    if value is None:
        return None
    if kind == "timestamptz":
        return datetime.datetime.fromisoformat(value)
    if kind == "date":
        return datetime.date.fromisoformat(value)
    if kind == "bytes":
        return base64.b64decode(value)
    return value


def marked(sql, mark, percent=False):
    """The SQL with the client's marks in place of $1, $2, …, which come in their order."""
    if percent:
        sql = sql.replace("%", "%%")
    return re.sub(r"\$(\d+)", lambda found: mark(int(found[1])), sql)


def told(error, sqlstate_of):
    state = sqlstate_of(error) if sqlstate_of else getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return f"{state or type(error).__name__}: {error}"


def plain(value):
    """A value as JSON has it; what has no such form is its text."""
    if isinstance(value, (bytes, memoryview, bytearray)):
        return "\\x" + bytes(value).hex()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, (datetime.datetime, datetime.date)):
        return None if str(value) == "NaT" else value.isoformat()
    return str(value)
