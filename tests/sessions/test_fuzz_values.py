"""Mutants of values of every type, as text and as bytes, through every function that takes one; and of the payloads of models through every
function that reads one. Each is refused with an error of the caller's class, or gives an answer in bounded time and memory."""

import random
import re
import time
from pathlib import Path

from lib import models, mutants, values
from lib.corpus import CLASSES
from lib.pgwire import ConnectionLost, ServerError

# Of resident memory, over what the backend had before.
MOST_MEMORY = 256 << 20
SETTINGS = {"max_parallel_workers_per_gather": "0"}
# What is wrong with a caught error, if anything: a crash cannot be caught.
JUDGED = """
    CREATE FUNCTION judged(code text, message text, what text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE WHEN code ~ '^({classes})' THEN '' ELSE format('%s: %s %s; ', what, code, left(message, 200)) END $$
"""
# A model whose bytes are damaged is said to be that.
DAMAGED = "XX001"


def test_mutants_of_values_are_refused_or_answered(cluster):
    fuzz_values(cluster, 3_000)


def test_many_mutants_of_values_are_refused_or_answered(cluster):
    fuzz_values(cluster, 300_000)


def test_mutants_of_payloads_are_refused_or_answered(cluster):
    fuzz_payloads(cluster, 400)


def test_many_mutants_of_payloads_are_refused_or_answered(cluster):
    fuzz_payloads(cluster, 40_000)


test_many_mutants_of_values_are_refused_or_answered.long = True
test_many_mutants_of_payloads_are_refused_or_answered.long = True


def fuzz_values(cluster, n):
    with cluster.connect() as session:
        oids, samples = values.type_oids(session), values.make_samples(session)
        session.query(JUDGED.format(classes="|".join(CLASSES)))
        for name in oids:
            make_value_function(session, name)
    run = Run(cluster)
    chances = {name: random.Random(name) for name in oids}
    spent, n_given = dict.fromkeys(oids, 0.0), dict.fromkeys(oids, 0)
    while run.n_mutants < n:
        # Types share the time, as some take a hundred times as long as others, but each has its part.
        few = [name for name in oids if n_given[name] < n // 30]
        name = min(few or oids, key=spent.get)
        chance, began = chances[name], time.monotonic()
        binary = chance.random() < 0.5
        # Now and then the bytes of another type.
        pool = samples[name if chance.random() < 0.95 else chance.choice(list(samples))]
        mutate = mutants.of_bytes if binary else mutants.of_text
        batch = [mutate(chance, chance.choice(pool)[1 if binary else 0]) for _ in range(100)]
        run.batch(f"SELECT fuzz_{name}($1)", oids[name], batch, binary)
        spent[name] += time.monotonic() - began
        n_given[name] += len(batch)
    run.finish(f"values ({', '.join(f'{name} {count}' for name, count in n_given.items())})")


def make_value_function(session, name):
    """fuzz_TYPE(value): what is wrong with what the functions make of it; NULL where all refuse it."""
    statements = [("itself", "SELECT mutant::text", f"persona.{name}")] + values.calls(session, name, "mutant") + values.moving(session, name, f"SELECT current_setting('fuzz.value')::persona.{name}")
    session.query(f"""
        CREATE FUNCTION fuzz_{name}(mutant persona.{name}) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE shown text := mutant::text; made text; wrong text := ''; answers integer := 0;
        BEGIN
            PERFORM set_config('fuzz.value', shown, true);
            {caught(statements)}
            RETURN CASE WHEN answers > 0 OR wrong > '' THEN wrong END;
        END $$""")


def caught(statements):
    """plpgsql that runs each query and notes an error that is not the caller's, and a text of a value that is not read again."""
    block = "BEGIN {}; EXCEPTION WHEN OTHERS THEN wrong := wrong || {}; END;"
    lines = []
    for what, query, returns in statements:
        lines.append(block.format(f"made := NULL; made := ({query}); answers := answers + 1", f"judged(SQLSTATE, SQLERRM, '{what}')"))
        if returns:
            lines.append(block.format(f"PERFORM made::{returns}::text", f"format('the text of %s is refused: %s; ', '{what}', left(SQLERRM, 200))"))
    return "\n".join(lines)


# Each kind of model, by small fits.
MODELS = {
    "seg": "persona.fit_segments('seg', 'customers', 'id', 3, features => '{spend,visits,city}')",
    "cos": "persona.fit_segments('cos', 'customers', 'id', 3, features => '{spend,visits}', metric => 'cosine', scaling => 'none')",
    "sco": "persona.fit_scorer('sco', 'SELECT spend, visits, city, bought FROM customers', 'bought')",
    "bay": "persona.fit_scorer('bay', 'SELECT spend, visits, city, bought FROM customers', 'bought', 'naive_bayes')",
    "tre": "persona.fit_scorer('tre', 'SELECT spend, visits, city, bought FROM customers', 'bought', 'boosted_trees', '{\"n_trees\": 20}')",
    "rec": "persona.fit_recommender('rec', 'events', holdout => 0)",
    "use": "persona.fit_recommender('use', 'events', algorithm => 'user_knn', holdout => 0)",
    "key": "persona.fit_recommender('key', 'SELECT ''u'' || user_id AS user_id, ''i'' || item_id AS item_id FROM events', holdout => 0)",
}
# Of functions that read a model: by name, else by type.
ARGUMENTS = {
    "features": "(SELECT s FROM (SELECT 100.0::float8 AS spend, 90.0::float8 AS visits, 'Graz' AS city) s)", "save_to": "NULL", "target_table": "'published'",
    "source": "'SELECT * FROM customers WHERE id <= 20'", "target": "'bought'", "key": "'id'", "force": "true", "max_loss": "1", "history_table": "NULL",
    "user_column": "NULL", "item_column": "NULL", "n": "5", "since": "'-infinity'", "from_version": "NULL", "to_version": "NULL", "version": "NULL",
    "bigint": "7", "text": "'u7'", "bigint[]": "ARRAY[1, 4]::bigint[]", "text[]": "ARRAY['i1', 'i4']", "boolean": "false", "integer": "3",
}
# Of all functions that take the name of a model, those that do not read it.
NO_READERS = {"log_refit_failure", "activate", "drop_model", "rename_model", "grant_model", "revoke_model", "fit_segments", "fit_scorer", "fit_recommender", "import_onnx",
              "name_segment", "refit_job"}
WITH_MODEL = f"""
    SELECT p.proname, p.prokind::text, p.proretset, p.oid::regprocedure::text,
           array_to_string(p.proargnames[1:p.pronargs], '|'), (SELECT string_agg(t::regtype::text, '|' ORDER BY o) FROM unnest(p.proargtypes) WITH ORDINALITY AS u(t, o))
    FROM pg_proc p WHERE p.oid IN ({values.MEMBERS}) AND p.proargnames[1] = 'model' AND p.pronargs > 0 ORDER BY 4
"""


def plant_payload(session):
    """plant_payload(model, bytes): the active version's payload becomes these bytes. The one place that knows the registry's tables."""
    session.query("""
        CREATE FUNCTION plant_payload(wanted text, payload bytea) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE id bigint; active integer;
        BEGIN
            SELECT m.id, m.active_version INTO STRICT id, active FROM persona.model m WHERE m.name = wanted;
            UPDATE persona.model_version v SET sha256 = sha256(payload), n_bytes = length(payload) WHERE v.model_id = id AND v.version = active;
            DELETE FROM persona.model_chunk c WHERE c.model_id = id AND c.version = active;
            INSERT INTO persona.model_chunk (model_id, version, position, bytes) VALUES (id, active, 0, payload);
        END $$""")


PAYLOAD = """
    SELECT string_agg(c.bytes, '' ORDER BY c.position)::text FROM persona.model m
    JOIN persona.model_chunk c ON c.model_id = m.id AND c.version = m.active_version WHERE m.name = '{}'
"""


def fuzz_payloads(cluster, n):
    chance = random.Random(2)
    with cluster.connect() as session:
        models.make_data(session, 100, 30)
        session.query(JUDGED.format(classes="|".join((*CLASSES, DAMAGED))))
        plant_payload(session)
        payloads = {}
        for name, fit in MODELS.items():
            session.query(f"SELECT FROM {fit}")
            payloads[name] = bytes.fromhex(session.scalar(PAYLOAD.format(name))[2:])
        for name in MODELS:
            make_payload_function(session, name)
            wrong = session.scalar(f"SELECT fuzz_{name}('\\x{payloads[name].hex()}')")
            assert wrong == "", f"the payload of {name} itself: {wrong}"
    run = Run(cluster)
    names, bytea = list(MODELS), 17
    while run.n_mutants < n:
        name = chance.choice(names)
        other = payloads[name if chance.random() < 0.97 else chance.choice(names)]
        run.batch(f"SELECT fuzz_{name}($1)", bytea, [mutants.of_bytes(chance, other) for _ in range(200)], True)
        run.session.query("VACUUM persona.model_chunk, persona.model_version")
    run.finish("payloads")


def make_payload_function(session, name):
    """fuzz_MODEL(payload): plants it, asks every function, and takes all of it back. NULL where all refuse it, else what is wrong."""
    statements = []
    for function, kind, is_set, signature, names, types in session.rows(WITH_MODEL):
        if function in NO_READERS:
            continue
        arguments = [f"'{name}'"]
        for argument, type_name in list(zip(names.split("|"), types.split("|")))[1:]:
            found = ARGUMENTS.get(argument) or ARGUMENTS.get(type_name)
            assert found, f"{signature} is new: say in ARGUMENTS what {argument} is, or that it does not read a model"
            arguments.append(f"{found}::{type_name}" if type_name != "record" else found)
        statements.append((signature, values.statement(f"persona.{function}({', '.join(arguments)})", kind, is_set), None))
    session.query(f"""
        CREATE FUNCTION fuzz_{name}(payload bytea) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE made text; wrong text := ''; answers integer := 0;
        BEGIN
            BEGIN
                PERFORM plant_payload('{name}', payload);
                {caught(statements)}
                RAISE EXCEPTION SQLSTATE 'ZZ001';
            EXCEPTION WHEN SQLSTATE 'ZZ001' THEN NULL;
            END;
            RETURN CASE WHEN answers > 0 OR wrong > '' THEN wrong END;
        END $$""")


class Run:
    """Batches of mutants through one session, and what went wrong."""

    def __init__(self, cluster):
        self.cluster, self.n_mutants, self.n_answered, self.wrong, self.crashes = cluster, 0, 0, {}, 0
        self.connect()

    def connect(self):
        for _ in range(100):
            try:
                self.session = self.cluster.connect(timeout=120)
                break
            except (OSError, ServerError, ConnectionLost):
                time.sleep(0.2)
        self.session.query("SET statement_timeout = '20s'; SET client_min_messages = error")
        self.memory = None

    def batch(self, sql, type_oid, batch, binary):
        done, found = 0, []
        try:
            for result in self.session.run_each(sql, type_oid, batch, binary):
                found.append(result)
                done += 1
        except (ConnectionLost, ServerError, OSError) as cause:
            self.note(sql, f"the server closed the connection: {cause}", batch[done], binary)
            self.crashes += 1
            assert self.crashes < 5, self.story()
            self.connect()
        for value, result in zip(batch, found):
            if isinstance(result, ServerError):
                if not result.sqlstate.startswith(CLASSES):
                    self.note(sql, str(result), value, binary)
                continue
            self.n_answered += result is not None
            for one in (result or "").split("; "):
                if one:
                    self.note(sql, one, value, binary)
        self.n_mutants += len(batch)
        self.watch_memory(sql, type_oid, batch, binary)

    def watch_memory(self, sql, type_oid, batch, binary):
        peak = peak_memory(self.session.pid)
        if self.memory is None or peak <= self.memory + MOST_MEMORY:
            self.memory = self.memory or peak
            return
        # Which one it was.
        self.session.close()
        self.connect()
        self.memory = peak_memory(self.session.pid)
        for value in batch:
            list(self.session.run_each(sql, type_oid, [value], binary))
            peak = peak_memory(self.session.pid)
            if peak > self.memory + MOST_MEMORY // 4:
                self.note(sql, f"{(peak - self.memory) >> 20} MB more memory", value, binary)
                self.memory = peak

    def note(self, sql, what, value, binary):
        kind = re.sub(r"\d+(\.\d+)?(e[-+]?\d+)?", "#", f"{sql}: {what}")[:160]
        first, n = self.wrong.get(kind, (f"{sql}: {what}\n  {value.hex() if binary else value.decode(errors='replace')}"[:3000], 0))
        self.wrong[kind] = (first, n + 1)

    def story(self):
        return f"{self.n_mutants} mutants, {self.n_answered} answered; wrong:\n" + "\n".join(f"{n} x {first}" for first, n in self.wrong.values())

    def finish(self, what):
        self.session.close()
        print(f"       {self.n_mutants} mutants of {what}: {self.n_answered} answered, {self.crashes} connections lost, {len(self.wrong)} kinds of wrong answers", flush=True)
        assert not self.wrong, self.story()


def peak_memory(pid):
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found.group(1)) << 10
