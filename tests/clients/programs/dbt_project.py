"""dbt: each call is a model, made as a view or as a table, whose rows are read then. One more model is of segments that a hook fits."""

import json
import sys
from pathlib import Path

import psycopg2
from dbt.cli.main import dbtRunner
from psycopg2.extras import register_composite

import common

MADE_AS = sys.argv[3]
PROJECT = """
name: persona
version: 1.0.0
profile: persona
models: {{persona: {{+materialized: {made_as}}}}}
flags: {{send_anonymous_usage_stats: false}}
on-run-start: "SELECT * FROM persona.fit_segments('of_dbt', 'SELECT id, spend, orders FROM customers', 'id', 3)"
on-run-end: "SELECT persona.drop_model('of_dbt')"
"""
PROFILE = """
persona:
  target: tests
  outputs:
    tests: {{type: postgres, host: "{host}", port: {port}, dbname: {database}, user: {user}, password: "", schema: dbt_{made_as}, threads: 4}}
"""

given = common.connection()
home = Path(sys.argv[2]).parent / "project"
(home / "models").mkdir(parents=True, exist_ok=True)
(home / "dbt_project.yml").write_text(PROJECT.format(made_as=MADE_AS))
(home / "profiles.yml").write_text(PROFILE.format(made_as=MADE_AS, **given))

calls = json.loads(Path(sys.argv[1]).read_text())["calls"]
names = {call["sql"]: f"call_{number}" for number, call in enumerate(calls)}
for sql, name in names.items():
    (home / "models" / f"{name}.sql").write_text(sql)
# In this order alone: a view asks the model when it is read, and then it is gone.
(home / "models" / "hooked.sql").write_text("{{ config(materialized='table') }} SELECT id, persona.segment('of_dbt', c) AS segment FROM public.customers AS c")

dbtRunner().invoke(["run", "--quiet", "--project-dir", str(home), "--profiles-dir", str(home)])
results = json.loads((home / "target" / "run_results.json").read_text())["results"]
told_by = {one["unique_id"].split(".")[-1]: one for one in results}

session = psycopg2.connect(host=given["host"], port=given["port"], dbname=given["database"], user=given["user"])
register_composite("persona.rfm_scores", session)


class Refused(Exception):
    pass


def rows_of(model):
    one = told_by[model]
    if one["status"] != "success":
        # The first line says which model it is.
        raise Refused(" ".join(one["message"].splitlines()[1:]).strip() or one["message"])
    with session.cursor() as cursor:
        cursor.execute(f"SELECT * FROM dbt_{MADE_AS}.{model}")
        return cursor.fetchall()


assert {segment for _, segment in rows_of("hooked")} == {1, 2, 3}, "the model of the hook does not label"
session.rollback()
common.main(lambda sql, values, kinds: rows_of(names[sql]), session.rollback)
