"""What must hold for every object of the extension, read from the catalogue: words, comments, volatility, parallel safety."""

import json
import re

from house import ROOT
from lib import declared

# Writes, and whatever runs a user's query: VOLATILE and never in a parallel worker. All else that takes a model reads it: what it returns
# changes with the live version, and nothing else, so it is STABLE and safe in parallel plans.
WRITERS = {"fit_segments", "fit_scorer", "fit_recommender", "import_onnx", "refit", "publish", "activate", "drop_model", "drop_version",
           "rename_model", "set_owner", "unpublish", "grant_model", "revoke_model", "name_segment", "choose_k", "describe", "segment_flow",
           "refit_job", "log_refit_failure", "evaluate", "evaluate_recommender", "compare", "report", "save_recommendations"}
# Reads that are made by the leader of a parallel plan alone: they have rows of tables in memory, or begin work of their own.
LED = {"segment_changes", "recommend_all"}
MEMBERS = """
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_persona'
"""

# A name in an argument list must be an IDENT, unreserved or a function-name word; a result column, anything but R and T.
RESERVED_ARGUMENTS = f"""
    SELECT p.oid::regprocedure::text, a.name, k.catdesc
    FROM ({MEMBERS}) m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
    CROSS JOIN LATERAL unnest(p.proargnames, p.proargmodes) AS a(name, mode)
    JOIN pg_get_keywords() k ON k.word = lower(a.name)
    WHERE k.catcode IN ('R', 'T') OR (k.catcode = 'C' AND coalesce(a.mode, 'i') IN ('i', 'b', 'v'))
    ORDER BY 1, 2
"""
RESERVED_COLUMNS = f"""
    SELECT c.oid::regclass::text, a.attname, k.catdesc
    FROM ({MEMBERS}) m JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_get_keywords() k ON k.word = a.attname
    WHERE c.relkind IN ('r', 'v', 'm', 'c') AND k.catcode IN ('R', 'T')
    ORDER BY 1, 2
"""
UNCOMMENTED = f"""
    SELECT pg_describe_object(m.classid, m.objid, 0)
    FROM ({MEMBERS}) m
    WHERE obj_description(m.objid, m.classid::regclass::name) IS NULL
      -- A table's row type, an array type and an identity column's sequence come by themselves with what carries the comment.
      AND NOT EXISTS (
          SELECT FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
          WHERE m.classid = 'pg_type'::regclass AND t.oid = m.objid AND (c.relkind <> 'c' OR t.typsubscript = 'array_subscript_handler'::regproc))
      AND NOT EXISTS (
          SELECT FROM pg_depend d
          WHERE m.classid = 'pg_class'::regclass AND d.classid = m.classid AND d.objid = m.objid AND d.deptype = 'i' AND d.refobjsubid > 0)
    ORDER BY 1
"""
DECLARATIONS = f"""
    SELECT p.proname, p.oid::regprocedure::text, p.provolatile::text, p.proparallel::text, p.prokind::text, p.prosecdef,
           coalesce(p.proargnames[1] = 'model', false)
    FROM ({MEMBERS}) m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
    ORDER BY 2
"""


def no_reserved_word(connection):
    found = connection.rows(RESERVED_ARGUMENTS) + connection.rows(RESERVED_COLUMNS)
    assert not found, "\n".join(f"{where}: {name} is {kind}" for where, name, kind in found)


def every_object_has_a_comment(connection):
    found = connection.rows(UNCOMMENTED)
    assert not found, "no COMMENT on:\n" + "\n".join(name for (name,) in found)


def every_column_of_a_view_has_a_comment(connection):
    found = connection.rows(f"""
        SELECT c.relname || '.' || a.attname FROM ({MEMBERS}) m JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relkind = 'v' AND col_description(c.oid, a.attnum) IS NULL ORDER BY 1""")
    assert not found, "no COMMENT on:\n" + "\n".join(name for (name,) in found)


def every_client_knows_the_types_of_views(connection):
    """Of regrole and its like, clients know but the number."""
    found = connection.rows(f"""
        SELECT c.relname || '.' || a.attname, a.atttypid::regtype::text FROM ({MEMBERS}) m JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 JOIN pg_type t ON t.oid = a.atttypid
        WHERE c.relkind = 'v' AND (t.typname LIKE 'reg%' OR t.typnamespace <> 'pg_catalog'::regnamespace) ORDER BY 1""")
    assert not found, "\n".join(f"{column} is {of}" for column, of in found)


def volatility_is_as_designed(connection):
    wrong = []
    for name, signature, volatility, parallel, kind, definer, takes_a_model in connection.rows(DECLARATIONS):
        def is_of(names):
            return name in names or signature.removeprefix("persona.").startswith(tuple(one for one in names if "(" in one))

        writes = is_of(WRITERS)
        if definer:
            wrong.append(f"{signature} is SECURITY DEFINER")
        if takes_a_model and not writes and (volatility, parallel) != ("s", "r" if is_of(LED) else "s"):
            wrong.append(f"{signature} reads a model: STABLE PARALLEL SAFE, but it is {volatility}/{parallel}")
        if writes and (volatility != "v" or parallel == "s"):
            wrong.append(f"{signature} writes: VOLATILE and not PARALLEL SAFE, but it is {volatility}/{parallel}")
    assert not wrong, "\n".join(wrong)


def everything_lives_in_persona(connection):
    found = connection.rows(f"""
        SELECT pg_describe_object(m.classid, m.objid, 0) FROM ({MEMBERS}) m
        CROSS JOIN LATERAL pg_identify_object(m.classid, m.objid, 0) AS i
        WHERE i.schema IS DISTINCT FROM 'persona' AND i.type NOT IN ('schema', 'cast')""")
    assert not found, "outside schema persona:\n" + "\n".join(name for (name,) in found)


def public_may_not_write_the_registry(connection):
    found = connection.rows(f"""
        SELECT c.oid::regclass::text, p.privilege
        FROM ({MEMBERS}) m JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
        CROSS JOIN unnest(ARRAY['UPDATE', 'TRUNCATE']) AS p(privilege)
        WHERE c.relkind = 'r' AND c.relname ~ '(version|chunk)'
          AND has_table_privilege('pg_monitor', c.oid, p.privilege)""")
    assert not found, "\n".join(f"PUBLIC has {privilege} on {name}" for name, privilege in found)


def columns_are_called_as_in_the_code(connection):
    """What a function of the library returns is found by its place: another order or name in SQL would be another column's value."""
    source = "\n".join(path.read_text() for path in sorted((ROOT / "src" / "pg").rglob("*.rs")))
    functions = re.findall(r"#\[pg_extern[^\]]*\]\s*(?:pub(?:\(\w+\))? )?fn (\w+)(.*?)\{\n", source, re.S)
    in_code = {f"{name}_wrapper": re.findall(r"name!\((\w+),", head) for name, head in functions}
    in_sql = connection.rows(f"""
        SELECT p.prosrc, ARRAY(SELECT a.name FROM unnest(p.proargnames, p.proargmodes) WITH ORDINALITY AS a (name, mode, place)
                               WHERE a.mode IN ('o', 't') ORDER BY a.place)::text
        FROM ({MEMBERS}) m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass WHERE p.prosrc ~ '_wrapper$'""")
    assert len([one for one in in_sql if in_code.get(one[0])]) > 20, "the functions were not found"
    wrong = [f"{function}: {names} in SQL, {in_code[function]} in Rust" for function, names in in_sql
             if in_code.get(function) and names != "{" + ",".join(in_code[function]) + "}"]
    assert not wrong, "\n".join(wrong)


def functions_are_declared_as_in_the_code(connection):
    """Rust takes each argument for what it is declared as there: another one in SQL would be read as what it is not."""
    calls, ordinary = declared.calls(), declared.ordinary()
    in_sql = connection.rows(f"""
        SELECT p.oid::regprocedure::text, p.prosrc, p.prokind = 'w', p.pronargs, array_to_json(p.proargtypes::regtype[]::text[])::text, p.prorettype::regtype::text,
               p.proretset OR t.typtype = 'c' OR t.typname = 'record'
        FROM ({MEMBERS}) m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass JOIN pg_type t ON t.oid = p.prorettype
        JOIN pg_language l ON l.oid = p.prolang WHERE l.lanname = 'c' ORDER BY 1""")
    wrong = [f"{symbol} is declared, but no function of SQL is it" for symbol in sorted(set(calls) - {row[1] for row in in_sql})]
    n_compared = 0
    for function, symbol, is_window, n, types, result, is_row in in_sql:
        code = calls.get(symbol) or ordinary.get(symbol)
        if not code:
            if not symbol.endswith("_wrapper"):
                wrong.append(f"{function} is {symbol}, which is not declared")
            continue
        n_compared += 1
        types = json.loads(types)
        if is_window != code.is_window:
            wrong.append(f"{function} is a window function in {'SQL' if is_window else 'Rust'} alone")
        if not code.least <= n <= len(code.arguments) or not all(one in may for one, may in zip(types, code.arguments)):
            wrong.append(f"{function}: Rust takes {code.arguments}, and all but the first {code.least} may be missing")
        if not (result in code.result or is_row and declared.A_ROW in code.result):
            wrong.append(f"{function} returns {result}, but Rust {code.result}")
    assert not wrong, "\n".join(wrong)
    assert n_compared > 150, f"only {n_compared} functions were found"


CHECKS = [no_reserved_word, every_object_has_a_comment, every_column_of_a_view_has_a_comment, every_client_knows_the_types_of_views, volatility_is_as_designed, everything_lives_in_persona,
          public_may_not_write_the_registry, columns_are_called_as_in_the_code, functions_are_declared_as_in_the_code]


def run(cluster, tally, wanted):
    checks = [check for check in CHECKS if wanted(f"catalog::{check.__name__}")]
    if not checks:
        return
    with cluster.connect("persona_template") as connection:
        for check in checks:
            tally.check(f"{cluster.server} catalog::{check.__name__}", lambda: check(connection))
