"""What is hidden stays so: EXPLAIN ANALYZE tells no row of another's model, and no name of one."""

import re
import string
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from test_attacks import FIT, mallory_and

EXPLAIN = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) "
# Conditions that PostgreSQL may put before the policy's, as they tell nothing themselves: each true of a hidden row and false.
GUESSES = {
    "model": [("name", "name {}", ("= 'secret'", "= 'secres'", ">= 'secret'", ">= 'secreu'", "< 'b'")), ("kind", "kind {}", ("= 'segments'", "= 'scorer'")),
              ("owner", "owner {}", ("= 'vic'::regrole", "= 'mallory'::regrole")), ("prefix", "pg_catalog.starts_with(name, {})", ("'sec'", "'sed'"))],
    "model_version": [("source", "source {}", ("= 'SELECT id, spend, visits FROM public.customers'", "= 'x'", "< 'T'", "< 'A'")),
                      ("prefix", "pg_catalog.starts_with(source, {})", ("'SELECT i'", "'SELECT j'")), ("search_path", "search_path {}", (">= 'p'", ">= 'q'")),
                      ("n_rows", "n_rows {}", ("= 200", "= 201")), ("sha256", "sha256 {}", (r">= '\x00'", r">= '\xff'")), ("NULL", "source IS {}", ("NULL", "NOT NULL")),
                      ("version", "model_id > 0 AND source {}", ("< 'T'", "< 'A'"))],
    "model_chunk": [("bytes", "bytes {}", (r">= '\x00'", r">= '\xff'")), ("by its key", "model_id = 1 AND version = 1 AND position = 0 AND bytes {}", (r">= '\x00'", r">= '\xff'"))],
    "model_evidence": [("bytes", "bytes {}", (r">= '\x00'", r">= '\xff'")), ("by its key", "model_id = 1 AND version = 1 AND kind = 2 AND bytes {}", (r">= '\x00'", r">= '\xff'"))],
    "publication": [("target", "target {}", ("= 'public.t'", "= 'public.u'", ">= 'public'", ">= 'q'")), ("source", "source {}", ("< 'T'", "< 'A'")), ("key", "key_column {}", ("= 'id'", "= 'x'"))],
    "segment_name": [("name", "name {}", (">= 'a'", ">= 'z'"))],
    "refit_run": [("n_rows", "n_rows {}", ("= 200", "= 201")), ("run_by", "run_by {}", ("= 'vic'::regrole", "= 'mallory'::regrole"))],
    "models": [("model", "model {}", ("= 'secret'", ">= 'secret'", ">= 'secreu'")), ("n_rows", "n_rows {}", ("= 200", "= 201")), ("algorithm", "algorithm {}", ("= 'kmeans'", "= 'x'")),
               ("fitted_at", "fitted_at {}", ("> '2000-01-01'", "> '2100-01-01'"))],
    "model_versions": [("model", "model {}", (">= 'secret'", ">= 'secreu'")), ("n_rows", "n_rows {}", ("= 200", "= 201")), ("created_by", "created_by {}", ("= 'vic'", "= 'mallory'"))],
    "refit_log": [("model", "model {}", (">= 'secret'", ">= 'secreu'")), ("n_rows", "n_rows {}", ("= 200", "= 201"))],
    "publications": [("target", "target {}", ("= 'public.t'", ">= 'public'", ">= 'q'")), ("n_rows", "n_rows {}", ("= 200", "= 201"))],
}


def told(session, statement):
    """The plan and its figures, without the guess itself."""
    plan = "\n".join(line for (line,) in session.rows(EXPLAIN + statement))
    return re.sub(r"\(?'[^']*'::\w+\)?|\d+::bigint|\b(200|201)\b|IS (NOT )?NULL|[<>=]+ |Sort Method.*|Memory.*|Heap Fetches.*", "", plan)


def test_no_plan_tells_of_a_hidden_row(cluster):
    with mallory_and(cluster, "vic") as (admin, mallory), cluster.connect(user="vic") as vic:
        vic.query(FIT.format(model="secret", more="") + "; SELECT persona.publish('secret', 'public.t', 'SELECT * FROM customers', 'id'); SELECT persona.refit('secret'), persona.name_segment('secret', 1, 'mice');"
                  + FIT.format(model="other", more=""))
        admin.query("ANALYZE persona.model, persona.model_version, persona.publication")
        # Her own is told as ever: the guess is come to.
        mallory.query(FIT.format(model="mine", more=""))
        assert told(mallory, "SELECT FROM persona.model WHERE name = 'mine'") != told(mallory, "SELECT FROM persona.model WHERE name = 'none'")
        mallory.query("SELECT persona.drop_model('mine')")
        for scans in ("", "SET enable_seqscan = off", "SET enable_indexscan = off; SET enable_bitmapscan = off"):
            mallory.query("RESET ALL;" + scans)
            for relation, guesses in GUESSES.items():
                for what, condition, values in guesses:
                    plans = {told(mallory, f"SELECT FROM persona.{relation} WHERE {condition.format(value)}") for value in values}
                    # An equality is another condition than an order: the texts of the plans are alike, once both are left out.
                    assert len(plans) == 1, f"{relation}, {what}, {scans}:\n" + "\n---\n".join(plans)
        mallory.query("RESET ALL")


def test_no_name_of_a_hidden_model_can_be_spelt(cluster):
    with mallory_and(cluster, "vic") as (_, mallory), cluster.connect(user="vic") as vic:
        vic.query(FIT.format(model="qz", more=""))
        for relation, column in (("model", "name"), ("models", "model"), ("model", "persona.hidden(name)")):
            answers = set()
            for letter in string.ascii_lowercase:
                answers.add(told(mallory, f"SELECT FROM persona.{relation} WHERE {column} >= '{letter}' AND {column} < '{letter}~'"))
            assert len(answers) == 1, f"{relation}: {answers}"


def test_the_schema_of_a_sessions_temporary_tables_is_not_kept(cluster):
    """Another session has that schema next, and could put operators of its own there."""
    with mallory_and(cluster) as (admin, _):
        admin.query("CREATE TEMP TABLE something (x integer); SET search_path = public, pg_temp, \"$user\"")
        admin.query(FIT.format(model="a", more="") + "; SELECT persona.publish('a', 'public.t')")
        admin.query("RESET search_path")
        admin.query(FIT.format(model="b", more="") + "; SELECT persona.refit('b'), persona.refit('a')")
        paths = admin.rows("SELECT search_path FROM persona.model_version UNION ALL SELECT search_path FROM persona.publication")
        assert len(paths) == 5 and not any("pg_temp" in path for (path,) in paths), paths
