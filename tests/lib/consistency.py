"""What must hold of the registry and of published tables at every moment, whatever was ended, killed or rolled back.

No foreign key checks an insert into the registry, so nothing but these queries would tell.
"""

# Each finds what is wrong.
WRONG = {
    "a version of no model": "SELECT model_id, version FROM persona.model_version v WHERE NOT EXISTS (SELECT FROM persona.model m WHERE m.id = v.model_id)",
    "a chunk of no version": """SELECT model_id, version, position FROM persona.model_chunk c WHERE NOT EXISTS
        (SELECT FROM persona.model_version v WHERE (v.model_id, v.version) = (c.model_id, c.version))""",
    "evidence of no version": """SELECT model_id, version, kind FROM persona.model_evidence e WHERE NOT EXISTS
        (SELECT FROM persona.model_version v WHERE (v.model_id, v.version) = (e.model_id, e.version))""",
    "a name of no model": "SELECT * FROM persona.segment_name n WHERE NOT EXISTS (SELECT FROM persona.model m WHERE m.id = n.model_id)",
    "a publication of no model": "SELECT model_id, target FROM persona.publication p WHERE NOT EXISTS (SELECT FROM persona.model m WHERE m.id = p.model_id)",
    "a publication of a table that is not there": "SELECT target, history FROM persona.publication WHERE to_regclass(target) IS NULL OR (history IS NOT NULL AND to_regclass(history) IS NULL)",
    "a run of no model": "SELECT id FROM persona.refit_run r WHERE NOT EXISTS (SELECT FROM persona.model m WHERE m.id = r.model_id)",
    "a model without a version": "SELECT name FROM persona.model m WHERE NOT EXISTS (SELECT FROM persona.model_version v WHERE v.model_id = m.id)",
    "an active version that is not there": """SELECT name, active_version FROM persona.model m WHERE active_version IS NOT NULL
        AND NOT EXISTS (SELECT FROM persona.model_version v WHERE (v.model_id, v.version) = (m.id, m.active_version))""",
    "bytes of another digest or length": """SELECT v.model_id, v.version FROM persona.model_version v CROSS JOIN LATERAL (
            SELECT coalesce(string_agg(c.bytes, ''::bytea ORDER BY c.position), ''::bytea) AS bytes FROM persona.model_chunk c
            WHERE (c.model_id, c.version) = (v.model_id, v.version)) AS b
        WHERE v.sha256 <> sha256(b.bytes) OR v.n_bytes <> length(b.bytes)""",
    "chunks with a gap": """SELECT model_id, version FROM persona.model_chunk GROUP BY 1, 2
        HAVING min(position) <> 0 OR max(position) <> count(*) - 1 OR max(length(bytes)) > 1 << 20""",
    "two models of a name": "SELECT name FROM persona.model GROUP BY name HAVING count(*) > 1",
}
# What a published table says other than its model: the table's name, the model's, its source, and n of a recommender are put in.
DIFFERS = {
    "segments": "SELECT * FROM {source} AS c FULL JOIN {target} AS t USING (id) WHERE t.segment IS DISTINCT FROM persona.segment('{model}', c)",
    "scorer": "SELECT * FROM {source} AS c FULL JOIN {target} AS t USING (id) WHERE t.score IS DISTINCT FROM persona.score('{model}', c)",
    "recommender": """(SELECT user_id::text, rank, item::text, score FROM {target} EXCEPT SELECT user_key, rank, item, score FROM persona.recommend_all('{model}', {n}))
        UNION ALL (SELECT user_key, rank, item, score FROM persona.recommend_all('{model}', {n}) EXCEPT SELECT user_id::text, rank, item::text, score FROM {target})""",
}
HISTORY = """
    SELECT * FROM {target} AS t FULL JOIN (SELECT * FROM {history} WHERE left_at IS NULL) AS h USING (id) WHERE t.segment IS DISTINCT FROM h.segment
    UNION ALL SELECT * FROM {target} AS t JOIN {history} AS h USING (id) WHERE h.left_at < h.entered_at
"""


def check_registry(session, when="", tables_may_go=False):
    """`tables_may_go`: others drop published tables meanwhile."""
    for what, query in WRONG.items():
        if tables_may_go and what == "a publication of a table that is not there":
            continue
        found = session.rows(query)
        assert not found, f"{what} {when}: {found[:5]}"


def check_published(session, sources, when=""):
    """Each published table is what the version that it was published from says of its source; `sources` is a table by model."""
    published = session.rows("""
        SELECT m.name, m.kind, p.target, p.published_version, p.history, coalesce(p.n, 10)
        FROM persona.publication p JOIN persona.model m ON m.id = p.model_id JOIN persona.model_version v ON (v.model_id, v.version) = (m.id, p.published_version)""")
    for model, kind, target, version, history, n in published:
        if model not in sources:
            continue
        session.query("BEGIN")
        session.query(f"SELECT persona.activate('{model}', {version})")
        wrong = session.rows(DIFFERS[kind].format(source=sources[model], target=target, model=model, n=n))
        assert not wrong, f"{target} is not what version {version} of {model} says {when}: {len(wrong)} rows, as {wrong[0]}"
        if history:
            wrong = session.rows(HISTORY.format(target=target, history=history))
            assert not wrong, f"{history} is not the history of {target} {when}: {len(wrong)} rows, as {wrong[0]}"
        session.query("ROLLBACK")
    return len(published)
