"""Names that look like SQL, that hide PostgreSQL's own, or that are words of ours: of models, tables, columns, schemas and roles. Nothing in them
is executed, and what was made under such a name is found again."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from lib.consistency import check_registry
from lib.onnx import literal
from lib.pgwire import ServerError
from lib.tally import long, told

LIKE_SQL = r"""
a"b¶a""b¶"¶""¶"a"¶a'b¶'¶''¶a\b¶\¶\\¶a\¶\'¶a\"¶"; SELECT public.trap(); --¶'; SELECT public.trap(); --¶a; DROP TABLE x¶); SELECT public.trap(); --
$$; SELECT public.trap(); $$¶$s$, public.trap(), $s$¶$1¶$¶' || public.trap() || '¶" || public.trap() || "¶public.trap()¶(SELECT public.trap())
x" FROM public.trap() --¶x', public.trap(), '¶'::text); SELECT public.trap(); --¶%I¶%s¶%1$s¶%¶%%¶%L%I%s¶:1¶:'x'¶{}¶{0}¶{name}¶{a,b}¶a.b¶.¶..¶a.¶.a¶a,b¶,¶ a¶a ¶ ¶a b
E'\\x41'¶U&"\0041"¶--¶-- a¶/*¶*/¶/* a */¶;¶(¶)¶()¶[1]¶a[1]¶::int¶a::regclass¶=¶*¶.*¶a.*¶@¶#¶!¶?¶&¶`¶~¶^¶<¶>¶1¶007¶1a¶-1¶1e5¶Abc¶ABC¶aBc¶a$b¶_¶__
""".strip("\n").replace("\n", "¶").split("¶")
OF_OTHER_SCRIPTS = ["é", "Ångström", "ß", "İ", "ı", "ǅ", "日本語", "💥", "a💥", "ａ", "א", "\u202ea", "a\u200bb", "a\u0301", "\u00a0", "a\u00a0", "\ufeffa", "\ufffd", "Ω", "ﬁ", "😀" * 15,
                    "x" * 62, "x" * 63, "x" * 64, "x" * 100, "é" * 31, "é" * 32, "日" * 21, "日" * 22, "'" * 40, '"' * 40, "\\" * 63, "a" * 60 + "'; x", "%s" * 31]
# Refused as the name of a model, and fine as any other.
WITH_CONTROLS = ["a\nb", "\n", "\t", "a\tb", "\r\n", "\x01", "a\x7f", "\u0085"]
WORDS = """
all analyse and any array as asc authorization between both case cast check collate column constraint create current_date current_user default desc
distinct do else end except false for foreign from grant group having in into is join lateral left like limit natural not null offset on or order primary
public references row select session_user some table then time timestamp to trailing true union unique user using values variadic when where window with none
""".split()
# Those that our own SQL uses for something.
OURS = """
s t p d q h r v k m c w l n is_old is_new persona_here stays gone changed added key before next_at left_before part name names model models source features target
user_key user_id item_id persona pg_temp information_schema bytes position version id segment label since score rank item because_of is_popular entered_at left_at row rows
""".split()
NAMES = LIKE_SQL + OF_OTHER_SCRIPTS + WITH_CONTROLS + WORDS + OURS
# Columns that a published table has itself: a key of that name is refused.
TAKEN = {"segment": {"segment", "label", "since", "version"}, "scorer": {"score", "since", "version"}, "recommender": {"rank", "item", "score", "because_of", "is_popular", "since", "version"},
         "history": {"segment", "label", "entered_at", "left_at"}}


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def cut(name):
    """As PostgreSQL cuts an identifier: 63 bytes, no half character."""
    return name.encode()[:63].decode(errors="ignore")


def traps():
    """Those of test_traps, and more; none of them may say that it runs."""
    spec = spec_from_file_location("test_traps", Path(__file__).with_name("test_traps.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sql = """
        CREATE FUNCTION public.trap() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'trap: executed as %', current_user; RETURN 'x'; END $$;
        CREATE TABLE x (n integer);"""
    for name, arguments, returns in module.SHADOWED_FUNCTIONS:
        sql += f"CREATE FUNCTION public.{name}({arguments}) RETURNS {returns} LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trap: function {name}'; END $$;"
    return sql


# They hide the catalogue's and the registry's tables from names that are not qualified.
TEMPORARY = ("pg_class", "pg_namespace", "pg_attribute", "pg_roles", "pg_proc", "pg_type", "model", "model_version", "model_chunk", "model_evidence", "publication", "segment_name",
             "refit_run", "models", "persona_staging", "persona_staging_0")


def test_names_are_names(cluster):
    check_names(cluster, NAMES[::13])


@long
def test_all_names_are_names(cluster):
    check_names(cluster, NAMES)


def check_names(cluster, names):
    """Each name stands in each place once: the list is turned by one for each place."""
    assert len(NAMES) >= 200
    wrong, refused = [], []
    with cluster.connect() as session, cluster.connect() as admin:
        admin.query(traps())
        admin.query("GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC")
        for number in range(len(names)):
            trial = Trial(session, admin, [names[(number + place) % len(names)] for place in range(8)], number)
            trial.run()
            wrong += trial.wrong
            refused += trial.refused
        executed = [notice["M"] for one in (session, admin) for notice in one.notices if "trap" in notice["M"] and "identifier" not in notice["M"] and "were in the fit of model" not in notice["M"]]
        assert not executed, executed[:5]
        assert admin.scalar("SELECT to_regclass('public.x') IS NOT NULL"), "a table was dropped"
        check_registry(admin)
        assert admin.scalar("SELECT count(*) FROM persona.model") == 0
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:150])
    told(f"{len(names)} names in each of 8 places: none is executed, all are found again; {len(refused)} keys are refused as columns of the table's own")


class Trial:
    """The life of one set of names."""

    def __init__(self, session, admin, names, number):
        self.session, self.admin, self.number, self.wrong, self.refused = session, admin, number, [], []
        self.model, schema, table, key, feature, labels, moves, role = names
        self.role = f"role {number}" if role.startswith("pg_") or cut(role) in ("public", "none") else role
        self.schema = f"schema {number}" if schema.startswith("pg_") or cut(schema) in ("public", "persona", "information_schema") else schema
        self.key, self.feature = key, feature if cut(feature) != cut(key) else "f" + feature
        self.table, self.labels, self.moves = table, labels, moves
        self.labels = "l" + labels if cut(labels) == cut(table) else labels
        self.moves = "h" + moves if cut(moves) in (cut(table), cut(self.labels)) else moves

    def do(self, sql, fine=()):
        try:
            return self.session.rows(sql)
        except ServerError as error:
            if error.sqlstate in fine:
                self.refused.append(self.key)
                return None
            self.wrong.append(f"{sql[:300]!r}: {error}")
            return None

    def expect(self, sql, answer):
        rows = self.do(sql)
        if rows is not None and rows != answer:
            self.wrong.append(f"{sql[:300]!r}: {str(rows)[:200]}, not {str(answer)[:200]}")

    def run(self):
        schema, table, key, feature = quoted(self.schema), quoted(self.table), quoted(self.key), quoted(self.feature)
        role = quoted(self.role)
        self.admin.query(f"CREATE ROLE {role} LOGIN; CREATE SCHEMA {schema} AUTHORIZATION {role}")
        self.session.query(f"SET SESSION AUTHORIZATION {role}; SET client_min_messages = warning; SET search_path = public, {schema}, pg_catalog")
        for name in set(TEMPORARY) - {self.labels, self.moves}:
            self.session.query(f"CREATE TEMP TABLE {name} (nothing integer)")
        self.session.query(f"""
            CREATE TABLE {schema}.{table} ({key} bigint PRIMARY KEY, {feature} float8, visits float8, bought boolean);
            INSERT INTO {schema}.{table} SELECT i, (i % 2) * 100 + i % 7, (i * 7919 % 100)::float8, i * 7919 % 100 > 50 FROM pg_catalog.generate_series(1, 40) i""")
        model = self.model if not any(one in self.model for one in ("\n", "\t", "\r", "\x01", "\x7f", "\u0085")) else None
        if model is None:
            error = self.session.error(self.fit(self.model))
            if error.sqlstate != "42602":
                self.wrong.append(f"a model named {self.model!r}: {error}")
            model = f"model {self.number}"
        self.segments(model, f"{schema}.{table}")
        self.scorer("s" + model, f"{schema}.{table}")
        self.recommender("r" + model, f"{schema}.{table}")
        self.session.query("RESET SESSION AUTHORIZATION; RESET search_path; DISCARD TEMP")
        self.admin.query(f"SET client_min_messages = error; DROP OWNED BY {role} CASCADE; DROP ROLE {role}; DELETE FROM persona.model")

    def fit(self, model, more=""):
        source = literal(f"{quoted(self.schema)}.{quoted(self.table)}")
        return (f"SELECT FROM persona.fit_segments({literal(model)}, {source}, {literal(cut(self.key))}, 2, "
                f"features => ARRAY[{literal(cut(self.feature))}, 'visits']{more})")

    def segments(self, model, source):
        name, schema, key = literal(model), quoted(self.schema), quoted(self.key)
        labels, moves = f"{schema}.{quoted(self.labels)}", f"{schema}.{quoted(self.moves)}"
        taken = ("42701",) if cut(self.key) in TAKEN["segment"] | TAKEN["history"] else ()
        saved = self.do(self.fit(model, f", save_to => {literal(labels)}"), taken)
        for _ in range(2 if saved is None else 1):
            self.do(self.fit(model, f", save_to => {literal(labels)}" if saved is not None else ""))
        publish = f"SELECT * FROM persona.publish({name}, {literal(labels)}, history_table => {literal(moves)})"
        if self.do(publish, taken) is not None:
            self.expect(f"SELECT pg_catalog.count(*) FROM persona.segment_changes({name})", [(0,)])
            self.do(f"UPDATE {source} SET {quoted(self.feature)} = 100 - {quoted(self.feature)} WHERE {key} = 7")
            self.do(f"SELECT persona.refit({name}, force => true)")
            self.expect(publish, [(0, 0, 0)])
            # The same without its schema, which the path has.
            if cut(self.schema) != "pg_temp":
                self.expect(f"SET search_path = {schema}; SELECT * FROM persona.publish({name}, {literal(quoted(self.labels))}, history_table => {literal(quoted(self.moves))})", [(0, 0, 0)])
                self.session.query(f"SET search_path = public, {schema}, pg_catalog")
            self.expect(f"SELECT pg_catalog.count(*) FROM {labels} l JOIN {source} t USING ({key}) WHERE l.segment = persona.segment({name}, t.*)", [(40,)])
            self.expect("SELECT pg_catalog.count(*), pg_catalog.count(history) FROM persona.publication", [(1, 1)])
            self.expect(f"SELECT pg_catalog.count(*) FROM persona.segment_changes({name})", [(1,)])
            self.expect(f"SELECT model = {name}, details ? 'segment', details->>'segment' = (SELECT segment::text FROM {labels} WHERE {key} = 7) FROM persona.profile('7')", [(True, True, True)])
            self.do(f"SELECT persona.name_segment({name}, 1, {literal(self.model)})")
            self.do(publish)
            self.expect(f"SELECT DISTINCT label FROM {labels} WHERE segment = 1", [(self.model,)])
            self.expect("SELECT DISTINCT answer FROM persona.profile('1') WHERE details->>'segment' = '1'",
                        [(self.model,)] if self.do(f"SELECT 1 FROM {labels} WHERE {key} = 1 AND segment = 1") else [])
        for read in (f"persona.segment_flow({name}, 1, 1)", f"persona.segments({name})", f"persona.segment_profile({name})",
                     f"persona.choose_k({literal(source)}, 2, 3, features => ARRAY[{literal(cut(self.feature))}])", f"persona.describe({literal(source)})"):
            self.do(f"SELECT * FROM {read}")
        self.expect(f"SELECT persona.report({name}) IS NOT NULL", [(True,)])
        self.do(f"SELECT persona.grant_model({name}, {literal(cut(self.role))}), persona.grant_model({name}, 'public', 'read'), persona.revoke_model({name}, {literal(cut(self.role))})")
        self.do(f"SELECT persona.rename_model({name}, {literal('away ' + str(self.number))}), persona.rename_model({literal('away ' + str(self.number))}, {name})")
        self.expect(f"SELECT active_version > 1 FROM persona.models WHERE model = {name}", [(True,)])

    def again(self, name, publish):
        """What was published is found by the profile and by a refit, and published again it is the same table."""
        found = f"SELECT pg_catalog.count(*) FROM persona.profile('7') WHERE model = {name}"
        self.expect(found, [(1,)])
        self.do(f"SELECT persona.refit({name}, force => true)")
        self.expect(publish, [(0, 0, 0)])
        self.expect(found, [(1,)])
        self.expect(f"SELECT pg_catalog.count(*) FROM persona.publication p JOIN persona.model m ON m.id = p.model_id WHERE m.name = {name}", [(1,)])

    def scorer(self, model, source):
        name, key, scores = literal(model), literal(cut(self.key)), f"{quoted(self.schema)}.{quoted('s' + self.labels)}"
        self.do(f"SELECT FROM persona.fit_scorer({name}, {literal(source)}, 'bought', key => {key}, features => ARRAY[{literal(cut(self.feature))}, 'visits'])")
        publish = f"SELECT * FROM persona.publish({name}, {literal(scores)}, key => {key})"
        if self.do(publish, ("42701",) if cut(self.key) in TAKEN["scorer"] else ()) is not None:
            self.again(name, publish)
            self.expect(f"SELECT pg_catalog.count(*) FROM {scores} l JOIN {source} t USING ({quoted(self.key)}) WHERE l.score = persona.score({name}, t.*)", [(40,)])
        self.expect(f"SELECT pg_catalog.length(persona.export_onnx({name})) > 100", [(True,)])
        self.do(f"SELECT * FROM persona.evaluate({name}, {literal(source)}, 'bought')")

    def recommender(self, model, source):
        name, key, offers = literal(model), literal(cut(self.key)), f"{quoted(self.schema)}.{quoted('r' + self.labels)}"
        pairs = f"SELECT {quoted(self.key)} % 8 AS {quoted(self.key)}, ({quoted(self.key)} * 7 % 11)::text AS {quoted(self.feature)} FROM {source}"
        self.do(f"SELECT FROM persona.fit_recommender({name}, {literal(pairs)}, user_column => {key}, item_column => {literal(cut(self.feature))}, holdout => 0)")
        taken = ("42701",) if cut(self.key) in TAKEN["recommender"] else ()
        publish = f"SELECT * FROM persona.publish({name}, {literal(offers)}, n => 2)"
        if self.do(publish, taken) is not None:
            self.again(name, publish)
        everyone = f"{quoted(self.schema)}.{quoted('e' + self.labels)}"
        for n in (2, 3):
            self.do(f"SELECT * FROM persona.save_recommendations({name}, {literal(everyone)}, {n})")
        self.do(f"SELECT persona.refit({name}, force => true)")
        self.do(f"SELECT * FROM persona.recommend({name}, '1'::text)")


def test_names_without_quotes_are_those_of_sql(cluster):
    """As SQL reads them: folded, cut, and of any letters."""
    names = ["Abc", "_x", "a$b", "é", "Ångström", "日本語", "💥", "a💥", "x" * 63, "x" * 64, "é" * 40, "日" * 30, "public.Abc2", "public.💥2", "PUBLIC.x3", "a\u00a0b"]
    wrong = []
    with cluster.connect() as session:
        session.query("CREATE TABLE c AS SELECT i AS id, (i % 2) * 100 + i % 7 AS a, i % 5 > 2 AS y FROM generate_series(1, 40) AS i")
        for number, name in enumerate(names):
            statements = [f"CREATE TABLE made{number} AS SELECT 1; ALTER TABLE made{number} RENAME TO {name.rpartition('.')[2]}; DROP TABLE {name}"]
            statements += 2 * [f"SELECT FROM persona.fit_segments('m', 'c', 'id', 2, features => '{{a}}', save_to => '{name}')"]
            statements += 2 * [f"SELECT FROM persona.publish('m', '{name}', history_table => '{name}_moves')"] if len(name) < 30 else []
            statements += ["SELECT persona.refit('m')"]
            statements += ["SELECT FROM persona.fit_scorer('s', 'c', 'y', key => 'id')"] + 2 * [f"SELECT FROM persona.publish('s', '{'.'.join([*name.split('.')[:-1], 's' + name.split('.')[-1]])}')"]
            statements += ["SELECT persona.refit('s')"]
            for statement in statements:
                try:
                    session.query(statement)
                except ServerError as error:
                    wrong.append(f"{statement}: {error}")
            found = session.rows("SELECT count(*) FROM persona.publication GROUP BY model_id ORDER BY 1")
            shown = session.scalar("SELECT count(*) FROM persona.profile('7')")
            if found != [(1,), (1,)] or shown != 2:
                wrong.append(f"{name}: publications {found}, {shown} rows of the profile")
            for (target,) in session.rows("SELECT unnest(array_remove(ARRAY[target, history], NULL)) FROM persona.publication"):
                session.query(f"DROP TABLE IF EXISTS {target}")
            session.query("SELECT persona.drop_model(name) FROM persona.model")
        assert not wrong, "\n".join(wrong)
