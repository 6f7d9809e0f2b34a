"""The parts of the install script, and what is written once in them: lines that begin with a backslash are expanded.

`\\value_type name` is a type that Rust declares with `value_type!`: its functions, the type and their comments. `\\scaler_of state name 'what'`
is the aggregate of a scaler, over arrays and over rows, by the aggregate whose state it is read off. `\\features_as_json value function
symbol result` and `\\row_as_json function symbol result 'what'` are further forms of a function of a fitted value and an array, and of one of a
model and a row; `n` at the end is for one that takes how many, too. `\\confusion name 'expression' 'what'` is an aggregate of labels and sides of a
threshold, and `\\mean_loss loss 'arguments' name final 'what'` one that is the mean of a loss.
"""

import re

from house import ROOT, Trouble

# In this order: a later one may use what an earlier one made.
PARTS = ("bootstrap", "standardise", "windows", "encode", "clean", "describe", "customers", "segment", "shapes", "score", "recommend", "operate")
DECLARED = re.compile(r'value_type!\(\s*\w+: "(\w+)",\s*"([^"]+)",\s*[^;]+;\s*(\w+),\s*(\w+),\s*(\w+),\s*(\w+)\s*\)')
FUNCTION = """CREATE FUNCTION persona.{name}_{short}({takes}) RETURNS {gives}
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '{symbol}_wrapper';
COMMENT ON FUNCTION persona.{name}_{short}({takes}) IS '{comment}';

"""
TYPE = """CREATE TYPE persona.{name} (
    INPUT = persona.{name}_in, OUTPUT = persona.{name}_out, RECEIVE = persona.{name}_recv, SEND = persona.{name}_send,
    INTERNALLENGTH = VARIABLE, ALIGNMENT = double, STORAGE = extended
);"""
AGGREGATE = """CREATE AGGREGATE persona.{name}(features {features}) (
    SFUNC = persona.{state}_add, STYPE = persona.{state}, FINALFUNC = persona.{name},
    COMBINEFUNC = persona.{state}_combine, PARALLEL = SAFE, SSPACE = {bytes}
);
COMMENT ON AGGREGATE persona.{name}({features}) IS
    '{what}, from {whence}';
"""
# A literal and an untyped parameter are texts to PostgreSQL wherever one of the forms of a function takes a text.
FEATURES_AS_JSON = """CREATE FUNCTION persona.{name}({argument} persona.{argument}, features text) RETURNS {result}
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', '{symbol}_text_wrapper';
COMMENT ON FUNCTION persona.{name}(persona.{argument}, text) IS
    'the same of a text that is a JSON object, as ''{{"feature": 1}}'', or an array, as ''{{1,4}}''';

CREATE FUNCTION persona.{name}({argument} persona.{argument}, features jsonb) RETURNS {result}
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 20 RETURN persona.{name}({argument}, features::text);
COMMENT ON FUNCTION persona.{name}(persona.{argument}, jsonb) IS 'the same of a JSON object, whose keys are the features, or of an array';

CREATE FUNCTION persona.{name}({argument} persona.{argument}, features json) RETURNS {result}
LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 20 RETURN persona.{name}({argument}, features::text);
COMMENT ON FUNCTION persona.{name}(persona.{argument}, json) IS 'the same of a JSON object or array of type json';
"""
ROW_AS_JSON = """CREATE FUNCTION persona.{name}(model text, features text{more}) RETURNS {result}
LANGUAGE c STABLE{strict} PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', '{symbol}_json_wrapper';
COMMENT ON FUNCTION persona.{name}(text, text{types}) IS
    '{what} of a row that is a JSON object, written as text: ''{{"column": 1}}''';

CREATE FUNCTION persona.{name}(model text, features jsonb{more}) RETURNS {result}
LANGUAGE sql STABLE PARALLEL SAFE COST 1000 RETURN persona.{name}(model, features::text{names});
COMMENT ON FUNCTION persona.{name}(text, jsonb{types}) IS '{what} of a row that is a JSON object, whose keys are the columns';

CREATE FUNCTION persona.{name}(model text, features json{more}) RETURNS {result}
LANGUAGE sql STABLE PARALLEL SAFE COST 1000 RETURN persona.{name}(model, features::text{names});
COMMENT ON FUNCTION persona.{name}(text, json{types}) IS '{what} of a row that is a JSON object of type json';
"""
STATE_BYTES = {"feature_stats": 1024, "feature_quantiles": 4096}


def declared():
    """By name: what a value is in words, and its functions in Rust."""
    sources = sorted((ROOT / "src" / "pg").glob("*/*.rs"))
    found = [one for source in sources for one in DECLARED.findall(source.read_text())]
    return {name: (words, functions) for name, words, *functions in found}

CONFUSION = """CREATE FUNCTION persona.{name}_of_confusion(state double precision[]) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN {expression};
COMMENT ON FUNCTION persona.{name}_of_confusion(double precision[]) IS 'final function of {name}';

CREATE AGGREGATE persona.{name}(label boolean, score double precision, threshold double precision) (
    SFUNC = persona.confusion_add, STYPE = double precision[], INITCOND = '{{0,0,0,0,0,0}}',
    COMBINEFUNC = pg_catalog.float8_regr_combine, FINALFUNC = persona.{name}_of_confusion, PARALLEL = SAFE
);
COMMENT ON AGGREGATE persona.{name}(boolean, double precision, double precision) IS '{what}';
"""
MEAN_LOSS = """CREATE FUNCTION persona.{loss}_add(double precision[], {arguments}) RETURNS double precision[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_{loss}_add';
COMMENT ON FUNCTION persona.{loss}_add(double precision[], {types}) IS 'transition function of {name}';

CREATE AGGREGATE persona.{name}({arguments}) (
    SFUNC = persona.{loss}_add, STYPE = double precision[], INITCOND = '{{0,0,0}}',
    COMBINEFUNC = pg_catalog.float8_combine, FINALFUNC = {final}, PARALLEL = SAFE
);
COMMENT ON AGGREGATE persona.{name}({types}) IS '{what}';
"""


def value_type(name):
    words, (into, out, send, receive) = declared()[name]
    own = f"persona.{name}"
    words = words.replace("'", "''")
    rows = (("in", "cstring", own, into, f"input: JSON text of {words}"), ("out", own, "cstring", out, f"output: JSON text of {words}"),
            ("recv", "internal", own, receive, "binary input"), ("send", own, "bytea", send, "binary output"))
    functions = (FUNCTION.format(name=name, short=short, takes=takes, gives=gives, symbol=symbol, comment=comment)
                 for short, takes, gives, symbol, comment in rows)
    return f"CREATE TYPE {own};\n\n{''.join(functions)}{TYPE.format(name=name)}"


def scaler_of(state, name, what):
    forms = (("double precision[]", "feature arrays"), ("record", "rows whose column names it keeps"))
    return "\n".join(AGGREGATE.format(name=name, state=state, bytes=STATE_BYTES[state], what=what, features=features, whence=whence)
                     for features, whence in forms)


def features_as_json(argument, name, symbol, result):
    return FEATURES_AS_JSON.format(argument=argument, name=name, symbol=symbol, result=result)


def row_as_json(name, symbol, result, what, takes_n):
    n = {"more": ", n bigint DEFAULT 3", "types": ", bigint", "names": ", n"} if takes_n else {"more": "", "types": "", "names": ""}
    strict = " STRICT" if symbol.startswith("model_") else ""
    return ROW_AS_JSON.format(name=name, symbol=symbol, result=result, what=what, strict=strict, **n)


def mean_loss(loss, names, name, final, what):
    names = names.split(", ")
    arguments = ", ".join(f"{one} double precision" for one in names)
    types = ", ".join("double precision" for _ in names)
    return MEAN_LOSS.format(loss=loss, arguments=arguments, types=types, name=name, final=final, what=what)


def expanded(line):
    if not line.startswith("\\"):
        return line
    if found := re.fullmatch(r"\\value_type (\w+)", line):
        return value_type(found[1])
    if found := re.fullmatch(r"\\scaler_of (\w+) (\w+) '(.*)'", line):
        return scaler_of(*found.groups())
    if found := re.fullmatch(r"\\features_as_json (\w+) (\w+) (\w+) (.+)", line):
        return features_as_json(*found.groups())
    if found := re.fullmatch(r"\\row_as_json (\w+) (\w+) ([\w ]+) '(.*)'( n)?", line):
        return row_as_json(*found.groups())
    if found := re.fullmatch(r"\\confusion (\w+) '(.*?)' '(.*)'", line):
        name, expression, what = found.groups()
        return CONFUSION.format(name=name, expression=expression, what=what)
    if found := re.fullmatch(r"\\mean_loss (\w+) '(.*?)' (\w+) ([\w.]+) '(.*)'", line):
        return mean_loss(*found.groups())
    raise Trouble(f"sql: nothing is known of {line}")


def joined():
    texts = ((ROOT / "sql" / f"{name}.sql").read_text() for name in PARTS)
    return "\n".join("\n".join(expanded(line) for line in text.split("\n")) for text in texts)
