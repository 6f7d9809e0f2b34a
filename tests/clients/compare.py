"""Whether a client's answer is the one that PostgreSQL gave to the same call in literals.

A client has values of its own kinds: a timestamp is a text with or without a zone, an array a list or its text. They are compared as what
the server says the column is.
"""

import datetime
import json
import math

BOOL, VOID = 16, 2278
INTEGERS, NUMBERS, JSON = {20, 21, 23, 26}, {700, 701, 1700}, {114, 3802}
TIMES = {1082, 1114, 1184}
ARRAYS = {199, 1000, 1003, 1005, 1007, 1009, 1015, 1016, 1021, 1022, 1028, 1182, 1185, 1231, 3807}


def difference(expected, got):
    """What differs, in a line; None where nothing does. `expected` is a pgwire Result, `got` rows of JSON values."""
    if len(expected.rows) != len(got):
        return f"{len(got)} rows, not {len(expected.rows)}"
    for number, (wanted, row) in enumerate(zip(expected.rows, got), 1):
        if len(wanted) != len(row):
            return f"row {number} has {len(row)} columns, not {len(wanted)}"
        for column, kind, left, right in zip(expected.columns, expected.types, wanted, row):
            if not same(kind, left, right):
                return f"row {number}, column {column}: {short(right)}, not {short(left)}"
    return None


def same(kind, wanted, got):
    if kind == VOID:
        return got in (None, "", "\\x")
    if wanted is None or got is None:
        return wanted is None and got is None
    if kind == BOOL:
        return got in (wanted, int(wanted), str(int(wanted)))
    if kind in INTEGERS:
        return number(got) == wanted
    if kind in NUMBERS:
        return close(float(wanted), number(got))
    if kind in JSON:
        return same_json(json.loads(wanted), json.loads(got) if isinstance(got, str) else got)
    if kind in TIMES:
        # Some clients know milliseconds.
        return abs((moment(wanted) - moment(got)).total_seconds()) < 0.001
    if kind in ARRAYS:
        return same_parts(parts(wanted), parts(got) if isinstance(got, str) else got)
    if isinstance(got, (list, dict)):
        return same_parts(fields(wanted), list(got.values()) if isinstance(got, dict) else got)
    return wanted == got


def number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def close(left, right):
    return left == right or math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)


def same_json(left, right):
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_json(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    if isinstance(left, float) or isinstance(right, float):
        return isinstance(left, (int, float)) and isinstance(right, (int, float)) and close(left, right)
    return left == right


def same_parts(wanted, got):
    """Elements of an array or fields of a row: what was wanted is text, what came may be of any kind, even its text."""
    if not isinstance(got, list) or len(wanted) != len(got):
        return False
    return all(same_part(left, right) for left, right in zip(wanted, got))


def same_part(left, right):
    if isinstance(left, list):
        return same_parts(left, right)
    if left is None or right is None:
        return left is None and right in (None, "")
    if isinstance(right, bool):
        return left in ("t", "true") if right else left in ("f", "false")
    if isinstance(right, list):
        return same_parts(parts(left), right)
    if left == str(right):
        return True
    return close(number(left), number(right))


def moment(text):
    """A time in UTC, which is what a text without a zone is in."""
    text = str(text).replace("Z", "+00:00")
    if text.endswith(("+00", "-00")):
        text += ":00"
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)


def parts(text):
    """The elements of an array as PostgreSQL writes it, arrays within as lists."""
    return split(text, "{", "}", ",", null=lambda word, quoted: word == "NULL" and not quoted)


def fields(text):
    """The fields of a row as PostgreSQL writes it."""
    return split(text, "(", ")", ",", null=lambda word, quoted: word == "" and not quoted)


def split(text, opening, closing, comma, null):
    if not text.startswith(opening):
        return [text]
    found, at = parse(text, 0, opening, closing, comma, null)
    return found if at == len(text) else [text]


def parse(text, at, opening, closing, comma, null):
    found, word, quoted, inside = [], "", False, False
    at += 1
    if text[at] == closing and opening == "{":
        return found, at + 1
    while at < len(text):
        one = text[at]
        if inside:
            if one == "\\" or (one == '"' and text[at + 1 : at + 2] == '"'):
                at += 1
                word += text[at]
            elif one == '"':
                inside = False
            else:
                word += one
        elif one == '"':
            inside = quoted = True
        elif one == opening and not word and opening == "{":
            word, at = parse(text, at, opening, closing, comma, null)
            continue
        elif one in (comma, closing):
            found.append(None if isinstance(word, str) and null(word, quoted) else word)
            word, quoted = "", False
            if one == closing:
                return found, at + 1
        else:
            word += one
        at += 1
    return found, -1


def short(value):
    text = repr(value)
    return text if len(text) < 160 else text[:157] + "..."
