"""States of aggregates that are not the aggregate's own making: stored ones in every form of storage, of other sizes, half there, and of other types.

A role with LOGIN alone may declare an aggregate over our functions. Every transition, combine and final function that the catalogue lists
then answers as it does for the same rows elsewhere, or refuses.
"""

import itertools

from lib import values
from lib.corpus import CLASSES
from lib.pgwire import ServerError

# How a value lies in its table. Values below 127 bytes have a short header in all of them, unless it is plain.
STORAGES = ("PLAIN", "MAIN", "EXTENDED", "EXTERNAL")
# Features of arrays in the rows, and how many rows the stored state has seen: its header is short, full, compressed or elsewhere. Of the last
# one some rows are in a buffer of quantiles and some behind it, but all values are told apart: of more, text holds what is left of both.
SHAPES = ((1, 1), (4, 3), (200, 2), (1280, 2), (2, 1200))
# Of a row, from its number: what a transition function is given. {d} is the number of features.
ROW = values.ROW | {"double precision[]": ("(SELECT array_agg(g + j * 1.5::float8) FROM generate_series(1, {d}) AS j)",), "text": ("repeat('k', 50) || g % 60",),
                    "\"any\"": ("repeat('k', 50) || g % 60",),
                    "double precision": ("g::float8",),
                    # An order of each row: text tells those of the rows before as purchases, which no line is added to.
                    "anyelement": ("g",)}
AGGREGATES = f"""
    SELECT a.aggfnoid::regprocedure::text, a.aggfnoid::regproc::text, a.aggtransfn::regproc::text,
           -- Those of PostgreSQL are not ours to try.
           CASE WHEN a.aggcombinefn IN ({values.MEMBERS}) THEN a.aggcombinefn END::regproc::text,
           CASE WHEN a.aggfinalfn IN ({values.MEMBERS}) THEN a.aggfinalfn END::regproc::text, a.aggtranstype::regtype::text, a.agginitval,
           (SELECT string_agg(t::regtype::text, '|' ORDER BY o) FROM unnest(p.proargtypes) WITH ORDINALITY AS u(t, o))
    FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid WHERE a.aggfnoid IN ({values.MEMBERS}) ORDER BY 1
"""


def ordinary_session(cluster):
    """A session of a role that has LOGIN, and a schema to make things in."""
    with cluster.connect() as admin:
        admin.query("DO $$ BEGIN CREATE ROLE bob LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; GRANT CREATE ON SCHEMA public TO bob")
    return cluster.connect(user="bob")


# How the one value of a table lies.
FORM = """
    SELECT CASE WHEN pg_relation_size(c.reltoastrelid) > 0 THEN 'elsewhere' WHEN pg_column_compression(value) IS NOT NULL THEN 'compressed'
                WHEN pg_column_size(value) < 127 THEN 'short' ELSE 'whole' END
    FROM planted{number}, pg_class c WHERE c.oid = 'planted{number}'::regclass
"""


def stored_aggregates(session):
    """The aggregates whose states can be stored: signature, name, transition, combine and final function, type of state and its start, types of arguments."""
    found = [(*row[:7], row[7].split("|")) for row in session.rows(AGGREGATES)]
    return [one for one in found if one[5] != "internal"]


def answer(session, sql):
    """What a query says, or the class of its error, which is the caller's."""
    try:
        return session.scalar(sql)
    except ServerError as error:
        assert error.sqlstate.startswith(CLASSES), f"{sql}\n{error}"
        return f"error {error.sqlstate}"


def test_stored_states_are_changed_as_copies(cluster):
    """Moving aggregates whose inverse hands in a stored state, in each form of storage: it is as good as one that was made here."""
    with ordinary_session(cluster) as session:
        session.query("CREATE TABLE many AS SELECT i FROM generate_series(1, 30) AS i; ANALYZE many; SET max_parallel_workers_per_gather = 0")
        session.query("SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0")
        values.make_samples(session)
        n_compared, forms = 0, set()
        for number, aggregate in enumerate(stored_aggregates(session)):
            n_compared += compare_stored(session, forms, number, *aggregate)
    assert n_compared > 500, n_compared
    assert forms == {"short", "whole", "compressed", "elsewhere"}, forms
    print(f"       {n_compared} answers compared", flush=True)


def compare_stored(session, forms, number, signature, _aggregate, transition, combine, final, state, start, types):
    start, moving_start = (f", INITCOND = '{start}'", f", MINITCOND = '{start}'") if start else ("", "")
    # plpgsql takes no "any".
    types = ["text" if one == '"any"' else one for one in types]

    def row(d):
        words = values.words_of(signature, types)
        return [words.get(place, {}).get(0) or row_argument(one, d, signature) for place, one in enumerate(types)]

    def call(function, *first, d):
        return f"{function}({', '.join([*first, *row(d)])})"

    arguments = ", ".join(types)
    session.query(f"""
        CREATE TABLE planted{number} (value {state});
        CREATE FUNCTION planted{number}({state}, {arguments}) RETURNS {state} LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT value FROM planted{number}); END';
        CREATE FUNCTION first{number}({state}, integer) RETURNS {state} LANGUAGE plpgsql STABLE PARALLEL SAFE SET max_parallel_workers_per_gather = 0 AS 'BEGIN RETURN (SELECT value FROM planted{number}); END';
        CREATE AGGREGATE plain{number}({arguments}) (SFUNC = {transition}, STYPE = {state}{start});
        CREATE AGGREGATE moving{number}({arguments}) (SFUNC = {transition}, STYPE = {state}, MSFUNC = {transition}, MSTYPE = {state},
            MINVFUNC = planted{number}{moving_start});
    """)
    if final:
        session.query(f"CREATE AGGREGATE final{number}(integer) (SFUNC = first{number}, STYPE = {state}, FINALFUNC = {final})")
    n_compared = 0
    for (d, n), storage in itertools.product(SHAPES if "double precision[]" in types else SHAPES[3:], STORAGES):
        if storage == "PLAIN" and (d > 100 or n > 100):
            continue
        # The state after n rows, as a transition left it, with whatever room it has.
        made = f"SELECT {call(f'plain{number}', d=d)} FROM generate_series(1, {n}) AS g"
        session.query(f"ALTER TABLE planted{number} ALTER value SET STORAGE {storage}; TRUNCATE planted{number}; INSERT INTO planted{number} {made}")
        planted = f"(SELECT value FROM planted{number})"
        forms.add(session.scalar(FORM.format(number=number)))

        def same(found, expected):
            found, expected = answer(session, f"SELECT md5(({found})::text)"), answer(session, f"SELECT md5(({expected})::text)")
            assert found == expected, f"{signature} with a state of {d} features and {n} rows, stored {storage}: {found}, not {expected}"

        # A row more: of the plain function, and where the inverse hands in the stored state.
        next_row = f"FROM generate_series({n + 1}, {n + 1}) AS g"
        whole = f"SELECT {call(f'plain{number}', d=d)} FROM generate_series(1, {n + 1}) AS g"
        as_moving = f"SELECT w FROM ({values.over(f'moving{number}', row(d), n - 1, n + 1)}) s WHERE g = {n + 1}"
        same(f"SELECT {call(transition, planted, d=d)} {next_row}", whole)
        same(as_moving, whole)
        # And with rows of another number of features.
        answer(session, f"SELECT max(w::text) FROM ({values.over(f'moving{number}', row(3), 1, 4)}) s")
        # NULL in place of the row leaves the state.
        nothing = ", ".join(f"NULL::{one}" for one in types)
        if len(types) == 1:
            same(f"SELECT {transition}({planted}, {nothing})", f"SELECT {planted}")
        # As the start of a plain aggregate, which reads its text.
        text = session.scalar(f"SELECT value::text FROM planted{number}").replace("'", "''")
        session.query(f"DROP AGGREGATE IF EXISTS begun{number}({arguments}); CREATE AGGREGATE begun{number}({arguments}) (SFUNC = {transition}, STYPE = {state}, INITCOND = '{text}')")
        same(f"SELECT {call(f'begun{number}', d=d)} {next_row}", f"SELECT {call(transition, planted, d=d)} {next_row}")
        n_compared += 4
        if combine:
            n_compared += compare_combined(session, number, combine, state, planted, f"SELECT {call(f'plain{number}', d=d)} {next_row}", same)
        if final:
            same(f"SELECT final{number}(g) FROM generate_series(1, 2) AS g", f"SELECT {final}({planted})")
            n_compared += 1
    return n_compared


def row_argument(type_name, d, signature):
    return ROW[type_name][0].replace("{d}", str(d)) if type_name in ROW else values.argument(type_name, 0, signature)


def compare_combined(session, number, combine, state, planted, other, same):
    """The combine function as a transition over states, and as a function, with stored states on either side."""
    session.query(f"""
        DROP AGGREGATE IF EXISTS merged{number}({state});
        CREATE OR REPLACE FUNCTION merged{number}({state}, {state}) RETURNS {state} LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT value FROM planted{number}); END';
        CREATE AGGREGATE merged{number}({state}) (SFUNC = {combine}, STYPE = {state}, MSFUNC = {combine}, MSTYPE = {state}, MINVFUNC = merged{number});
    """)
    expected = f"SELECT {combine}({planted}, ({other}))"
    same(f"SELECT w FROM ({values.over(f'merged{number}', [f'({other})'], 1, 3)}) s WHERE g = 3", expected)
    # The state is a copy: what is stored stays as it is.
    same(expected, expected)
    same(f"SELECT {combine}(NULL, {planted})", f"SELECT {planted}")
    same(f"SELECT {combine}({planted}, NULL)", f"SELECT {planted}")
    both = f"SELECT {combine}({planted}, {planted})"
    # Of parallel workers: each hands over the stored state as it lies.
    session.query(f"""
        SET max_parallel_workers_per_gather = 2;
        DROP AGGREGATE IF EXISTS partial{number}(integer);
        CREATE AGGREGATE partial{number}(integer) (SFUNC = first{number}, STYPE = {state}, COMBINEFUNC = {combine}, PARALLEL = SAFE);
    """)
    in_parallel = f"SELECT partial{number}(i) FROM many"
    plan = "\n".join(line for (line,) in session.rows(f"EXPLAIN {in_parallel}"))
    assert "Partial Aggregate" in plan, plan
    sums = [f"SELECT {planted}", both, f"SELECT {combine}(({both}), {planted})"]
    found = answer(session, f"SELECT md5(({in_parallel})::text)")
    session.query("SET max_parallel_workers_per_gather = 0")
    assert found in [answer(session, f"SELECT md5(({one})::text)") for one in sums], f"{combine} of partial states: {found}"
    same(f"SELECT w FROM ({values.over(f'merged{number}', [planted], 1, 3)}) s WHERE g = 3", both)
    return 6


def test_half_a_value_and_that_of_another_type_are_refused_or_answered(cluster):
    """Every value cut at many places, and every value as each other type, in binary: what is accepted goes through every state."""
    with ordinary_session(cluster) as session:
        session.query("SET statement_timeout = '20s'; SET max_parallel_workers_per_gather = 0")
        oids, samples = values.type_oids(session), values.make_samples(session, (3, 40))
        n_given = 0
        for name, oid in oids.items():
            session.query(f"CREATE TABLE planted (value persona.{name})")
            statements = values.calls(session, name, "(SELECT value FROM planted)") + values.moving(session, name, "SELECT value FROM planted")
            session.query(f"CREATE FUNCTION plant(value persona.{name}) RETURNS void LANGUAGE sql AS 'DELETE FROM planted; INSERT INTO planted VALUES ($1)'")
            given = [bytes(sent) for other in samples.values() for _, sent in other]
            for _, sent in samples[name][:4]:
                given += [sent[:length] for length in range(0, len(sent), 1 + len(sent) // 60)]
            for value in given:
                (result,) = session.run_each("SELECT plant($1)", oid, [value], True)
                n_given += 1
                if isinstance(result, ServerError):
                    assert result.sqlstate.startswith(CLASSES), f"{name} {value.hex()}: {result}"
                    continue
                for _, statement, _ in statements:
                    answer(session, statement)
            session.query("DROP TABLE planted; DROP FUNCTION plant")
    print(f"       {n_given} values given", flush=True)


def test_states_outside_of_sql_are_not_to_be_had(cluster):
    """A state of type internal is a superuser's to name. Even there one aggregate's state is not taken for another's."""
    with cluster.connect() as admin, ordinary_session(cluster) as bob:
        found = [row for row in admin.rows(AGGREGATES) if row[5] == "internal"]
        assert found
        transitions = {(transition, types) for _, _, transition, *_, types in found}
        finals = {final for _, _, _, _, final, *_ in found}
        mixed, scored = 0, {"boolean": "g % 2 = 0", "double precision": "g / 10.0::float8"}
        for number, ((transition, types), final) in enumerate(itertools.product(sorted(transitions), sorted(finals))):
            types = types.split("|")
            create = f"CREATE AGGREGATE mixed{number}({', '.join(types)}) (SFUNC = {transition}, STYPE = internal, FINALFUNC = {final})"
            assert bob.error(create).sqlstate.startswith("42"), create
            admin.query(create)
            call = f"mixed{number}({', '.join(scored.get(one) or row_argument(one, 2, transition) for one in types)})"
            try:
                admin.query(f"SELECT ({call})::text FROM generate_series(1, 9) AS g")
            except ServerError as error:
                assert error.sqlstate == "42804", error
                mixed += 1
        assert mixed >= 10, mixed
        # By itself none of these functions has a state to be given.
        for signature, function, kind, _, _, types in admin.rows(values.FUNCTIONS):
            types = (types or "").split("|")
            if kind == "f" and "internal" in types:
                answer(admin, f"SELECT {function}({', '.join(f'NULL::{one}' if one != 'internal' else 'NULL' for one in types)}) IS NULL")
