"""The nine value types: samples of each, and calls of every function that takes one, read from the catalogue so that a new one is in."""

# Rows that samples are made of; g counts them from 1.
ROW = {
    "double precision[]": ("ARRAY[(g % 7) * 1.5, g % 11, ln(g)]::float8[]", "ARRAY[(g % 7) * 1.5, NULL]::float8[]"),
    "record": ("(SELECT s FROM (SELECT (g % 7) * 1.5::float8 AS spend, g % 11 AS orders, ln(g)::float8 AS days) s)",
               "(SELECT s FROM (SELECT 'x' || g % 3 AS spend, NULL::float8 AS orders, 1e308::float8 AS days) s)"),
    "text": ("(ARRAY['view', 'cart', 'purchase'])[1 + g % 3]", "''"),
    "character": ("(ARRAY['view', 'cart', 'purchase'])[1 + g % 3]::character(9)", "''::character(2)"),
    "character varying": ("(ARRAY['view', 'cart', 'purchase'])[1 + g % 3]::varchar", "''::varchar"),
    "boolean": ("g % 2 = 0", "NULL::boolean"),
    "double precision": ("g % 2 / 2.0::float8", "-1e308::float8"),
    "timestamp with time zone": ("timestamptz '2025-01-01' + g * interval '7 hours'", "timestamptz '294276-12-31'"),
    "timestamp without time zone": ("timestamp '2025-01-01' + g * interval '7 hours'", "timestamp '294276-12-31'"),
    "date": ("date '2025-01-01' + g % 9", "date '4713-01-01 BC'"),
    # An order, where a row may be a line of one.
    "anyelement": ("g % 3", "NULL::text"),
    "\"any\"": ("(ARRAY['view', 'cart', 'purchase'])[1 + g % 3]", "5.00 + g % 3"),
    "persona.untyped": ("'view'", "''"),
    "bigint": ("3", "1"),
    "text[]": ("ARRAY['view', 'cart']", "ARRAY[repeat('x', 63)]"),
    "jsonb": ("'{}'::jsonb", "'{\"folds\": 3}'::jsonb"),
}
# Of each type: text is what SELECT … gives.
ROWS = "generate_series(1, {n}) AS g"
SAMPLES = {
    "feature_stats": ["persona.feature_stats(v) FROM (SELECT (g % 7) * 1.5::float8 AS spend, g % 11 AS orders, ln(g)::float8 AS days FROM {rows}) v",
                      "persona.feature_stats(ARRAY[g, g % 3]::float8[]) FROM {rows}", "persona.feature_stats(ARRAY[NULL]::float8[]) FROM {rows}"],
    "feature_quantiles": ["persona.feature_quantiles(v) FROM (SELECT (g % 7) * 1.5::float8 AS spend, g % 11 AS orders, ln(g)::float8 AS days FROM {rows}) v",
                          "persona.feature_quantiles(ARRAY[sqrt(g), CASE WHEN g % 3 > 0 THEN g END]::float8[]) FROM {rows}",
                          # Digested, where there are more than a thousand rows.
                          "persona.feature_quantiles(ARRAY[sqrt(g)]::float8[]) FROM generate_series(1, {n} * 30) AS g"],
    "scaler": [f"persona.{kind}_scaler(v) FROM (SELECT (g % 7) * 1.5::float8 AS spend, g % 11 AS orders, ln(g)::float8 AS days FROM {{rows}}) v"
               for kind in ("standard", "robust", "log1p", "yeo_johnson")]
              + ["persona.quantile_scaler(persona.feature_quantiles(ARRAY[g % 7, g % 11, ln(g)]::float8[]), 'normal') FROM {rows}"],
    "category_levels": ["persona.categories((g % 9)::text) FROM {rows}", "persona.categories(nullif(repeat('é', g % 5), 'é'), 3) FROM {rows}"],
    "target_encoder": ["persona.target_encoder((g % 5)::text, (g % 2)::float8, g::text) FROM {rows}", "persona.target_encoder((g % 5)::text, sqrt(g)) FROM {rows}",
                       "persona.target_encoder((g % 5)::text, (g % 2)::float8, g::text, '{{\"folds\": 3, \"smoothing\": 2}}') FROM {rows}"],
    "rfm": ["persona.rfm(timestamptz '2025-01-01' + g * interval '7 hours', sqrt(g)) FROM {rows}",
            "persona.rfm(timestamptz '2025-01-01' - g * interval '7 hours', nullif(g % 3, 2), 'Asia/Tokyo', g / 2) FROM {rows}",
            "persona.rfm(date '1969-12-20' + g, g - 2) FROM {rows}"],
    "behaviour": ["persona.behaviour((ARRAY['view', 'cart', 'purchase'])[1 + g % 3], date '1969-12-20' + g, g - 2) FROM {rows}",
                  "persona.behaviour('view', timestamptz '2025-01-01' + g * interval '7 hours', NULL, 'America/New_York') FROM {rows}",
                  "persona.behaviour((ARRAY['view', 'cart', 'purchase'])[1 + g % 3], timestamptz '2025-01-01' + g * interval '7 hours', sqrt(g)) FROM {rows}"],
    "kmeans": ["persona.kmeans(v, 3) FROM (SELECT (g % 7) * 1.5::float8 AS spend, g % 11 AS orders, ln(g)::float8 AS days FROM {rows}) v",
               "persona.kmeans(ARRAY[g % 7, g % 11, ln(g)]::float8[], 2, '{{\"scaling\": \"standard\", \"metric\": \"cosine\"}}') FROM {rows}",
               "persona.kmeans(ARRAY[g % 7, exp(g % 11)]::float8[], 2, '{{\"scaling\": \"yeo_johnson\"}}') FROM {rows}"],
    "mixture": ["persona.gaussian_mixture(v, 2) FROM (SELECT (g % 7) * 1.5::float8 AS spend, g % 11 AS orders, ln(g)::float8 AS days FROM {rows}) v",
                "persona.gaussian_mixture(ARRAY[g % 7, g % 11, ln(g)]::float8[], 2, '{{\"covariance\": \"diagonal\"}}') FROM {rows}"],
}
MEMBERS = """
    SELECT d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_persona' AND d.classid = 'pg_proc'::regclass
"""
FUNCTIONS = f"""
    SELECT p.oid::regprocedure::text, p.oid::regproc::text, p.prokind::text, p.proretset, p.prorettype::regtype::text,
           (SELECT string_agg(t::regtype::text, '|' ORDER BY o) FROM unnest(p.proargtypes) WITH ORDINALITY AS u(t, o))
    FROM pg_proc p WHERE p.oid IN ({MEMBERS}) ORDER BY 1
"""
TYPES = """
    SELECT t.typname, t.oid::bigint FROM pg_type t JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
    WHERE t.typnamespace = 'persona'::regnamespace AND t.typtype = 'b' AND t.typcategory <> 'A'
      -- Not that of the registry's roles, which no function takes, nor a text without a type.
      AND t.typname NOT IN ('role', 'untyped') ORDER BY 1
"""


def type_oids(session):
    """The value types and their oids; a type without a sample is an error."""
    found = dict(session.rows(TYPES))
    assert set(found) == set(SAMPLES), f"value types without a sample: {set(found) ^ set(SAMPLES)}"
    return found


def sample(template, n):
    return "SELECT " + template.format(n=n, rows=ROWS.format(n=n))


def make_samples(session, sizes=(3, 40)):
    """Stores samples of each type in a table `sample_TYPE (value)`, and returns their texts and bytes."""
    samples = {}
    for name, templates in SAMPLES.items():
        session.query(f"CREATE TABLE sample_{name} (id serial, value persona.{name})")
        for template in templates:
            for n in sizes:
                session.query(f"INSERT INTO sample_{name} (value) {sample(template, n)}")
        session.query(f"GRANT SELECT ON sample_{name} TO PUBLIC")
        samples[name] = [(text.encode(), bytes.fromhex(sent[2:]))
                         for text, sent in session.rows(f"SELECT value::text, persona.{name}_send(value)::text FROM sample_{name} ORDER BY id")]
    return samples


def calls(session, name, value="$1"):
    """Queries of one text that give `value` to every function that takes this type: its signature, the query, and the type of the result
    where that is one of these again, else None."""
    wanted, made = f"persona.{name}", []
    for signature, function, kind, is_set, returns, types in session.rows(FUNCTIONS):
        types = types.split("|") if types else []
        if wanted not in types or "internal" in types:
            continue
        places = [place for place, one in enumerate(types) if one == wanted]
        for variant in range(2):
            # With two values of the type, both are this one, and then either of them.
            for mine in ([places] if variant == 0 else [[place] for place in places]):
                words = words_of(signature, types)
                arguments = [value if place in mine else words.get(place, {}).get(variant) or argument(one, variant, signature) for place, one in enumerate(types)]
                query = statement(f"{function}({', '.join(arguments)})", kind, is_set)
                made.append((signature, query, returns if returns.removeprefix("persona.") in SAMPLES else None))
    assert made, f"no function takes {wanted}"
    return made


def words_of(signature, types):
    """Of the places of texts that are one of a few words, and of numbers that are probabilities: the words of both variants."""
    texts = [place for place, one in enumerate(types) if one == "text"]
    if signature.startswith(("persona.rfm_add", "persona.rfm_combine_in", "persona.rfm(", "persona.rollup(persona.rfm")):
        return {place: {0: "'Asia/Tokyo'", 1: "'UTC'"} for place in texts}
    if signature.startswith(("persona.behaviour_add", "persona.behaviour(")):
        return {place: {0: "'Asia/Tokyo'", 1: "'UTC'"} for place in texts[1:]}
    if "(persona.rfm," in signature and texts:
        return {place: {0: "'day'", 1: "'exact'"} for place in texts[:-1]} | {texts[-1]: {0: "'net'", 1: "'count'"}}
    if types[0] in ("persona.scaler", "persona.kmeans", "persona.mixture") and types[-1] in ("text", "json", "jsonb"):
        return {1: {0: f"'{{\"spend\": 4.5, \"orders\": \"7\", \"days\": null, \"more\": [1]}}'::{types[-1]}", 1: f"'[4.5, null, 1]'::{types[-1]}"}}
    if signature.startswith(("persona.log_loss(", "persona.brier(", "persona.calibration_error(")):
        return {types.index("double precision"): {0: "1 / g::float8", 1: "2::float8"}}
    if signature.startswith("persona.pinball("):
        return {2: {0: "0.5", 1: "0.9"}}
    return {}


def argument(type_name, variant, signature):
    if type_name in ROW:
        return ROW[type_name][variant]
    assert type_name.startswith("persona."), f"{signature} has an argument of a type that tests/lib/values.py has no value for: {type_name}"
    # The first sample of each type has names, the last one was made of arrays.
    order = "id" if "record" in signature else "id DESC"
    return f"(SELECT value FROM sample_{type_name.removeprefix('persona.')} ORDER BY {order} LIMIT 1)"


def statement(call, kind, is_set, rows=None):
    """A query that makes one text of the call's results; over `rows`, or some g."""
    many, one = rows or "generate_series(2, 4) AS g", rows or "generate_series(2, 2) AS g"
    if kind == "w":
        return f"SELECT max(w::text) FROM (SELECT {call} OVER () AS w FROM {many}) s"
    if kind == "a":
        return f"SELECT ({call})::text FROM {many}"
    if is_set:
        return f"SELECT max(f::text) FROM {one}, {call} AS f"
    return f"SELECT max(({call})::text) FROM {one}"


# The functions by which aggregates with a state of one type change it.
CHANGERS = """
    SELECT DISTINCT f::regprocedure::text, f::regproc::text,
           (SELECT string_agg(t::regtype::text, '|' ORDER BY o) FROM unnest(p.proargtypes) WITH ORDINALITY AS u(t, o) WHERE o > 1)
    FROM pg_aggregate a CROSS JOIN LATERAL (VALUES (a.aggtransfn::oid), (a.aggcombinefn::oid)) AS v (f) JOIN pg_proc p ON p.oid = f
    WHERE a.aggtranstype = 'persona.{name}'::regtype AND a.aggfnoid IN ({members}) ORDER BY 1
"""


def changers(session, name):
    """Transition and combine functions: signature, name, types of the arguments beside the state."""
    rows = session.rows(CHANGERS.format(name=name, members=MEMBERS))
    return [(signature, function, types.split("|")) for signature, function, types in rows]


def moving(session, name, planted):
    """Makes a moving aggregate over each of these functions, whose inverse hands in what the query `planted` gives, and returns
    statements that use them."""
    statements = []
    for number, (signature, function, types) in enumerate(changers(session, name)):
        # plpgsql takes no "any".
        arguments = ", ".join(types).replace('"any"', "text")
        session.query(f"""
            CREATE FUNCTION planted_{name}_{number}(persona.{name}, {arguments}) RETURNS persona.{name} LANGUAGE plpgsql STABLE AS $$
                BEGIN RETURN ({planted}); END $$;
            CREATE AGGREGATE moving_{name}_{number}({arguments}) (SFUNC = {function}, STYPE = persona.{name}, MSFUNC = {function},
                MSTYPE = persona.{name}, MINVFUNC = planted_{name}_{number});
        """)
        words = words_of(signature, [f"persona.{name}", *types])
        each = [words.get(place, {}).get(0) or argument(one, 0, signature) for place, one in enumerate(types, 1)]
        query = f"SELECT max(w::text) FROM ({over(f'moving_{name}_{number}', each, 2, 6)}) s"
        statements.append((f"moving {signature}", query, f"persona.{name}"))
    return statements


def over(aggregate, arguments, first, last):
    """The moving aggregate w at each row g, over it and the one before. PostgreSQL moves none whose arguments hold a subquery: they are
    made before."""
    columns = ", ".join(f"{one} AS a{place}" for place, one in enumerate(arguments))
    names = ", ".join(f"a{place}" for place in range(len(arguments)))
    frame = "ORDER BY g ROWS BETWEEN 1 PRECEDING AND CURRENT ROW"
    return f"SELECT g, {aggregate}({names}) OVER ({frame}) AS w FROM (SELECT g, {columns} FROM generate_series({first}, {last}) AS g OFFSET 0) r"
