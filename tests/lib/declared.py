"""The functions of the library as the Rust sources declare them, to be compared with what SQL says.

What a function's arguments are is known to Rust from these declarations alone: a wrong one would read a number as a pointer.
"""

import re
from dataclasses import dataclass

from house import ROOT

SOURCES = [path.read_text() for path in sorted((ROOT / "src" / "pg").rglob("*.rs"))]
# The types of SQL that a type of Rust stands for. A json is kept as its text is.
TYPES = {"bool": {"boolean"}, "i32": {"integer"}, "i64": {"bigint"}, "f64": {"double precision"}, "Text": {"text", "json"}, "str": {"text"}, "String": {"text"},
         "Jsonb": {"jsonb"}, "Json": {"jsonb"}, "JsonB": {"jsonb"}, "Timestamptz": {"timestamp with time zone"}, "TimestampWithTimeZone": {"timestamp with time zone"},
         "Timestamp": {"timestamp without time zone"}, "Date": {"date"}, "FloatArray": {"double precision[]"}, "Floats": {"double precision[]"},
         "FloatsOut": {"double precision[]"}, "Record": {"record"}, "Any": {'"any"', "anyelement", "persona.untyped"}, "CStr": {"cstring"}, "CString": {"cstring"},
         "Names": {"text[]"}, "Array<str>": {"text[]"}, "Array<i64>": {"bigint[]"}, "Vec<String>": {"text[]"}, "Vec<i64>": {"bigint[]"},
         "Vec<Option<bool>>": {"boolean[]"}, "[u8]": {"bytea"}, "Vec<u8>": {"bytea"}, "Oid": {"oid"}, "Bits": {"persona.role"}, "()": {"void", "record"}}
BLOCK = re.compile(r"^(window_)?functions! \{\n(.*?)^\}", re.S | re.M)
FUNCTION = re.compile(r"\bfn (\w+)\(([^)]*)\)\s*->\s*([^=]+?)\s*=")
ORDINARY = re.compile(r"#\[pg_extern[^\]]*\]\s*(?:pub(?:\(\w+\))? )?fn (\w+)\(([^)]*)\)(?: -> (.*?))? \{\n", re.S)
VALUE_TYPE = re.compile(r'value_type!\(\s*(\w+): "(\w+)"')
ALIAS = re.compile(r"^(?:pub(?:\(\w+\))? )?type (\w+) =\s*(Value<\w+>|TableIterator<)", re.M)
A_ROW = "a row"


@dataclass
class Declared:
    """For each argument the types of SQL that it may have, how many of them each form of the function has at least, and those of the result."""

    arguments: list
    least: int
    result: set
    is_window: bool


def own_types():
    """The types of SQL that are ours, by what Rust calls them."""
    types = {rust: f"persona.{name}" for source in SOURCES for rust, name in VALUE_TYPE.findall(source)}
    aliases = {alias: of for source in SOURCES for alias, of in ALIAS.findall(source)}
    return types | {alias: types[of[len("Value<"):-1]] if of.startswith("Value") else A_ROW for alias, of in aliases.items()}


def calls():
    """Those that PostgreSQL calls without a layer between: `functions!` and `window_functions!`."""
    names, found = own_types(), {}
    for source in SOURCES:
        for window, block in BLOCK.findall(source):
            for symbol, arguments, result in FUNCTION.findall(re.sub(r"//[^\n]*", "", block)):
                arguments = split(arguments)
                optional = [one.startswith("Maybe<") for one in arguments]
                assert optional == sorted(optional), f"{symbol}: Maybe before what is always there"
                assert symbol not in found, f"{symbol} is declared twice"
                found[symbol] = Declared([sql_types(one, names) for one in arguments], optional.count(False), sql_types(result, names), bool(window))
    return found


def ordinary():
    """Those that pgrx wraps. What a macro writes of its own is not among them."""
    names, found = own_types(), {}
    for source in SOURCES:
        for symbol, arguments, result in ORDINARY.findall(source):
            types = [one.split(":", 1)[1].strip() for one in split(arguments)]
            types = [sql_types(one, names) for one in types if one != "CallSite"]
            found[f"{symbol}_wrapper"] = Declared(types, len(types), sql_types(result or "()", names), False)
    return found


def sql_types(rust, names):
    """The types of SQL that a type of Rust may stand for. A value as its bytes is one of any type of ours."""
    rust = re.sub(r"\s+", " ", rust.strip()).removeprefix("&").replace("<&", "<")
    if found := re.fullmatch(r"Result<(.*), Report>", rust):
        rust = found[1]
    if found := re.fullmatch(r"(?:Option|Maybe)<(.*)>", rust):
        return sql_types(found[1], names)
    rust = re.sub(r"\b(?:\w+::)+", "", rust)
    if found := re.fullmatch(r"(?:State|Of|Value)<(\w+)>", rust):
        return {names[found[1]]}
    if rust.startswith("Internal<"):
        return {"internal"}
    if rust in ("Stored", "Bytes", "BytesOut"):
        return set(names.values()) - {A_ROW}
    if rust in names:
        return {names[rust]}
    if "TableIterator<" in rust or rust == "Composite":
        return {A_ROW}
    return TYPES.get(rust, {f"what {rust} is"})


def split(types):
    """At the commas that are outside of brackets."""
    parts, depth = [""], 0
    for letter in re.sub(r"\s+", " ", types):
        depth += letter in "<([" and 1 or letter in ">)]" and -1 or 0
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]
