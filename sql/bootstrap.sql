-- The schema and the registry: a model is rows of ordinary tables, so rollback, dump and replicas just work.
--
-- One gate: only the extension's functions write these tables, as the tables' owner, after checking in code what the caller
-- may do with the model. Everything in here is qualified, and nothing of a user's runs in that window.

-- Names and texts go to and fro as UTF-8. A database in SQL_ASCII has no encoding, and mostly holds UTF-8.
DO $$
BEGIN
    IF pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.<>) ALL (ARRAY['UTF8', 'SQL_ASCII']) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = pg_catalog.format('pg_persona does not work in a database whose encoding is %s', pg_catalog.getdatabaseencoding()),
            HINT = 'Make the database with CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0.';
    END IF;
END
$$;

CREATE SCHEMA persona;
COMMENT ON SCHEMA persona IS 'customer analytics: standardise, segment, score and recommend';
GRANT USAGE ON SCHEMA persona TO PUBLIC;

-- Roles --------------------------------------------------------------------------------------------------------------

CREATE TYPE persona.role;
CREATE FUNCTION persona.role_in(cstring) RETURNS persona.role
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'role_in_wrapper';
COMMENT ON FUNCTION persona.role_in(cstring) IS 'the role of a name; a name that no role has is nobody, so that a dump restores anywhere';
CREATE FUNCTION persona.role_out(persona.role) RETURNS cstring
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'role_out_wrapper';
COMMENT ON FUNCTION persona.role_out(persona.role) IS 'the role''s name; - for PUBLIC, ? where there is no such role';
CREATE TYPE persona.role (INPUT = persona.role_in, OUTPUT = persona.role_out, LIKE = oid);
COMMENT ON TYPE persona.role IS 'a role of the server: by number inside, by name in a dump';
CREATE CAST (persona.role AS oid) WITHOUT FUNCTION AS IMPLICIT;
COMMENT ON CAST (persona.role AS oid) IS 'the role''s number';
CREATE CAST (oid AS persona.role) WITHOUT FUNCTION AS ASSIGNMENT;
COMMENT ON CAST (oid AS persona.role) IS 'the role of a number';

-- Texts without a type ------------------------------------------------------------------------------------------------
-- An argument of any type takes a literal, but no parameter whose type a client does not say; one of text would take citext, and not see
-- what it was. PostgreSQL makes such a parameter a string, of which this type is one, and nothing else becomes it.

CREATE TYPE persona.untyped;
CREATE FUNCTION persona.untyped_in(cstring) RETURNS persona.untyped
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textin';
COMMENT ON FUNCTION persona.untyped_in(cstring) IS 'the text as it is';
CREATE FUNCTION persona.untyped_out(persona.untyped) RETURNS cstring
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textout';
COMMENT ON FUNCTION persona.untyped_out(persona.untyped) IS 'the text as it is';
CREATE FUNCTION persona.untyped_recv(internal) RETURNS persona.untyped
LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'textrecv';
COMMENT ON FUNCTION persona.untyped_recv(internal) IS 'binary input';
CREATE FUNCTION persona.untyped_send(persona.untyped) RETURNS bytea
LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'textsend';
COMMENT ON FUNCTION persona.untyped_send(persona.untyped) IS 'binary output';
CREATE TYPE persona.untyped (
    INPUT = persona.untyped_in, OUTPUT = persona.untyped_out, RECEIVE = persona.untyped_recv, SEND = persona.untyped_send,
    INTERNALLENGTH = VARIABLE, STORAGE = extended, CATEGORY = 'S'
);
COMMENT ON TYPE persona.untyped IS
    'a text whose type nobody said: a literal or a parameter, where a function takes values of any type';

-- What may be seen ----------------------------------------------------------------------------------------------------
-- EXPLAIN ANALYZE tells how many rows a condition removed, and which conditions were come to. So whether a row may be seen is the first
-- that is asked of it, by a function that seems to cost less than any other, and no index but the registry's own is of a text.

CREATE FUNCTION persona.may(model_id bigint, privilege text) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 0.000001 AS 'MODULE_PATHNAME', 'may_wrapper';
COMMENT ON FUNCTION persona.may(bigint, text) IS 'whether the current role may use, read or own the model of this number';

CREATE FUNCTION persona.model_privilege(model_id bigint) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'model_privilege_wrapper';
COMMENT ON FUNCTION persona.model_privilege(bigint) IS 'what the current role may do with the model of this number: own, read, use or NULL';

CREATE FUNCTION persona.hidden(text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hidden_wrapper';
COMMENT ON FUNCTION persona.hidden(text) IS 'the text itself, for indexes that no other query can use';

-- Models and their versions ----------------------------------------------------------------------------------------
-- Ids are always generated and never used again, and what belongs to a model goes with it.

CREATE TABLE persona.model (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY['segments', 'scorer', 'recommender'])),
    owner persona.role NOT NULL,
    users persona.role[] NOT NULL DEFAULT '{}',
    readers persona.role[] NOT NULL DEFAULT '{}',
    active_version integer,
    last_version integer NOT NULL DEFAULT 0,
    keep_versions bigint NOT NULL DEFAULT 10 CHECK (keep_versions OPERATOR(pg_catalog.>=) 1),
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
CREATE UNIQUE INDEX model_name_key ON persona.model (persona.hidden(name));
COMMENT ON INDEX persona.model_name_key IS 'finds a model by its name, for the registry alone';
COMMENT ON TABLE persona.model IS 'named models: who owns each, who may use or read it, which version is active';
COMMENT ON COLUMN persona.model.users IS 'roles that may use the model; 0 stands for PUBLIC';
COMMENT ON COLUMN persona.model.readers IS 'roles that may also read its source, parameters and bytes; 0 stands for PUBLIC';
COMMENT ON COLUMN persona.model.last_version IS 'the newest version there was: the number of one that was dropped is not given again';
COMMENT ON COLUMN persona.model.keep_versions IS 'how many of the newest versions are kept, besides the active one';

CREATE TABLE persona.model_version (
    model_id bigint NOT NULL REFERENCES persona.model ON DELETE CASCADE,
    version integer NOT NULL CHECK (version OPERATOR(pg_catalog.>=) 1),
    algorithm text NOT NULL,
    n_rows bigint NOT NULL,
    features text[] NOT NULL,
    parameters jsonb NOT NULL,
    metrics jsonb NOT NULL,
    source text,
    search_path text NOT NULL,
    sha256 bytea NOT NULL CHECK (pg_catalog.length(sha256) OPERATOR(pg_catalog.=) 32),
    n_bytes bigint NOT NULL,
    created_by persona.role NOT NULL,
    path_owners persona.role[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (model_id, version)
);
COMMENT ON TABLE persona.model_version IS 'versions of models; a version never changes once written';
COMMENT ON COLUMN persona.model_version.parameters IS 'the arguments of the fit, by which a refit runs it again';
COMMENT ON COLUMN persona.model_version.search_path IS 'the schemas in which the source''s names were resolved';
COMMENT ON COLUMN persona.model_version.path_owners IS 'whose these schemas were: one that is another role''s now is refused';
COMMENT ON COLUMN persona.model_version.sha256 IS 'digest of the version''s bytes, recomputed by whoever loads it';

CREATE TABLE persona.model_chunk (
    model_id bigint NOT NULL,
    version integer NOT NULL,
    "position" integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (model_id, version, "position"),
    FOREIGN KEY (model_id, version) REFERENCES persona.model_version ON DELETE CASCADE
);
ALTER TABLE persona.model_chunk ALTER COLUMN bytes SET STORAGE EXTERNAL;
COMMENT ON TABLE persona.model_chunk IS 'the bytes of a version, in pieces of 1 MiB';

CREATE TABLE persona.model_evidence (
    model_id bigint NOT NULL,
    version integer NOT NULL,
    kind integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (model_id, version, kind),
    FOREIGN KEY (model_id, version) REFERENCES persona.model_version ON DELETE CASCADE
);
ALTER TABLE persona.model_evidence ALTER COLUMN bytes SET STORAGE EXTERNAL;
COMMENT ON TABLE persona.model_evidence IS 'what a version was measured by, and hashes of what it has learnt from';
COMMENT ON COLUMN persona.model_evidence.kind IS '1: labels and scores of the rows that were held out; 2: hashes of rows of the fit';

CREATE TABLE persona.segment_name (
    model_id bigint NOT NULL REFERENCES persona.model ON DELETE CASCADE,
    numbering integer NOT NULL,
    segment integer NOT NULL CHECK (segment OPERATOR(pg_catalog.>=) 1),
    name text NOT NULL CHECK (name OPERATOR(pg_catalog.<>) ''),
    PRIMARY KEY (model_id, numbering, segment)
);
COMMENT ON TABLE persona.segment_name IS 'names that people gave to segments; they outlive a refit';
COMMENT ON COLUMN persona.segment_name.numbering IS
    'the version of the fit that numbered the segments; all its refits number them alike';

CREATE TABLE persona.publication (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id bigint NOT NULL REFERENCES persona.model ON DELETE CASCADE,
    target text NOT NULL,
    source text,
    key_column text NOT NULL,
    key_type text NOT NULL,
    n bigint,
    search_path text NOT NULL,
    path_owners persona.role[] NOT NULL DEFAULT '{}',
    published_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    published_version integer NOT NULL,
    n_rows bigint,
    history text
);
CREATE UNIQUE INDEX publication_target_key ON persona.publication (model_id, persona.hidden(target));
COMMENT ON INDEX persona.publication_target_key IS 'finds the publications of a model, for the registry alone';
COMMENT ON TABLE persona.publication IS 'tables that are kept up to date from a model: a refit publishes into them again';
COMMENT ON COLUMN persona.publication.path_owners IS 'whose the schemas of the search_path were';
COMMENT ON COLUMN persona.publication.history IS 'the table that keeps when each key entered a segment and left it';

CREATE TABLE persona.refit_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id bigint NOT NULL REFERENCES persona.model ON DELETE CASCADE,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    run_by persona.role NOT NULL,
    from_version integer,
    version integer,
    n_rows bigint,
    n_changed bigint,
    sqlstate text,
    error text
);
CREATE INDEX refit_run_model_id ON persona.refit_run (model_id, id);
COMMENT ON TABLE persona.refit_run IS 'refits that were made and, through persona.refit_job, that failed; not part of a dump';
COMMENT ON INDEX persona.refit_run_model_id IS 'the runs of one model, newest last';

-- A restore with several jobs loads the tables in any order, and each in a transaction of its own. So the keys' deletes cascade,
-- but no insert is checked: only the functions insert, into a model that they hold.
DO $$
DECLARE
    checked record;
BEGIN
    FOR checked IN
        SELECT t.tgrelid::pg_catalog.regclass AS child, t.tgname AS name FROM pg_catalog.pg_trigger t
        JOIN pg_catalog.pg_constraint c ON c.oid OPERATOR(pg_catalog.=) t.tgconstraint
        WHERE c.connamespace OPERATOR(pg_catalog.=) 'persona'::pg_catalog.regnamespace::pg_catalog.oid AND t.tgfoid OPERATOR(pg_catalog.=) ANY (ARRAY[
            'pg_catalog."RI_FKey_check_ins"()'::pg_catalog.regprocedure::pg_catalog.oid,
            'pg_catalog."RI_FKey_check_upd"()'::pg_catalog.regprocedure::pg_catalog.oid])
    LOOP
        EXECUTE pg_catalog.format('ALTER TABLE %s DISABLE TRIGGER %I', checked.child, checked.name);
    END LOOP;
END
$$;

-- A dump keeps the models. Only a superuser restores one: nobody else writes these tables.
SELECT pg_catalog.pg_extension_config_dump('persona.model', '');
SELECT pg_catalog.pg_extension_config_dump('persona.model_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('persona.model_version', '');
SELECT pg_catalog.pg_extension_config_dump('persona.model_chunk', '');
SELECT pg_catalog.pg_extension_config_dump('persona.model_evidence', '');
SELECT pg_catalog.pg_extension_config_dump('persona.segment_name', '');
SELECT pg_catalog.pg_extension_config_dump('persona.publication', '');
SELECT pg_catalog.pg_extension_config_dump('persona.publication_id_seq', '');

-- The planner's statistics of these columns would tell of rows that row-level security hides, through the estimates of EXPLAIN.
ALTER TABLE persona.model ALTER COLUMN name SET STATISTICS 0, ALTER COLUMN owner SET STATISTICS 0,
    ALTER COLUMN users SET STATISTICS 0, ALTER COLUMN readers SET STATISTICS 0;
ALTER TABLE persona.model_version ALTER COLUMN source SET STATISTICS 0, ALTER COLUMN parameters SET STATISTICS 0,
    ALTER COLUMN metrics SET STATISTICS 0, ALTER COLUMN features SET STATISTICS 0, ALTER COLUMN search_path SET STATISTICS 0,
    ALTER COLUMN sha256 SET STATISTICS 0, ALTER COLUMN created_by SET STATISTICS 0;
ALTER TABLE persona.model_chunk ALTER COLUMN bytes SET STATISTICS 0;
ALTER TABLE persona.model_evidence ALTER COLUMN bytes SET STATISTICS 0;
ALTER TABLE persona.segment_name ALTER COLUMN name SET STATISTICS 0;
ALTER TABLE persona.publication ALTER COLUMN target SET STATISTICS 0, ALTER COLUMN source SET STATISTICS 0,
    ALTER COLUMN key_column SET STATISTICS 0, ALTER COLUMN search_path SET STATISTICS 0, ALTER COLUMN history SET STATISTICS 0;
ALTER INDEX persona.model_name_key ALTER COLUMN 1 SET STATISTICS 0;
ALTER INDEX persona.publication_target_key ALTER COLUMN 2 SET STATISTICS 0;
ALTER TABLE persona.refit_run ALTER COLUMN run_by SET STATISTICS 0, ALTER COLUMN error SET STATISTICS 0;

-- Rights ------------------------------------------------------------------------------------------------------------
-- An owner may look at the rows of his models, so that pg_dump --enable-row-security works for him. Nobody may write them.

GRANT SELECT ON persona.model, persona.model_version, persona.model_chunk, persona.model_evidence, persona.segment_name, persona.publication,
    persona.refit_run, persona.model_id_seq, persona.publication_id_seq, persona.refit_run_id_seq TO PUBLIC;

ALTER TABLE persona.model ENABLE ROW LEVEL SECURITY;
ALTER TABLE persona.model_version ENABLE ROW LEVEL SECURITY;
ALTER TABLE persona.model_chunk ENABLE ROW LEVEL SECURITY;
ALTER TABLE persona.model_evidence ENABLE ROW LEVEL SECURITY;
ALTER TABLE persona.segment_name ENABLE ROW LEVEL SECURITY;
ALTER TABLE persona.publication ENABLE ROW LEVEL SECURITY;
ALTER TABLE persona.refit_run ENABLE ROW LEVEL SECURITY;

CREATE POLICY owners ON persona.model FOR SELECT USING (
    persona.may(id, 'own'));
COMMENT ON POLICY owners ON persona.model IS 'a model is seen by its owner';
CREATE POLICY owners ON persona.model_version FOR SELECT USING (
    persona.may(model_id, 'own'));
COMMENT ON POLICY owners ON persona.model_version IS 'a version is seen by those who see its model';
CREATE POLICY owners ON persona.model_chunk FOR SELECT USING (
    persona.may(model_id, 'own'));
COMMENT ON POLICY owners ON persona.model_chunk IS 'bytes are seen by those who see their model';
CREATE POLICY owners ON persona.model_evidence FOR SELECT USING (
    persona.may(model_id, 'own'));
COMMENT ON POLICY owners ON persona.model_evidence IS 'evidence is seen by those who see its model';
CREATE POLICY owners ON persona.segment_name FOR SELECT USING (
    persona.may(model_id, 'own'));
COMMENT ON POLICY owners ON persona.segment_name IS 'names are seen by those who see their model';
CREATE POLICY owners ON persona.publication FOR SELECT USING (
    persona.may(model_id, 'own'));
COMMENT ON POLICY owners ON persona.publication IS 'publications are seen by those who see their model';
CREATE POLICY owners ON persona.refit_run FOR SELECT USING (
    persona.may(model_id, 'own'));
COMMENT ON POLICY owners ON persona.refit_run IS 'refits are seen by those who see their model';

-- What people look at ------------------------------------------------------------------------------------------------
-- The views read the tables with their owner's rights and show what persona.model_privilege says the caller may see.

CREATE VIEW persona.models WITH (security_barrier = true) AS
SELECT m.name AS model, m.kind, v.algorithm, m.active_version, pg_catalog.pg_get_userbyid(m.owner::pg_catalog.oid) AS owner, v.n_rows, v.features, v.metrics,
       CASE WHEN m.privilege OPERATOR(pg_catalog.=) ANY (ARRAY['own', 'read']) THEN v.source END AS source, v.created_at AS fitted_at, m.privilege, m.keep_versions
FROM (SELECT o.*, persona.model_privilege(o.id) AS privilege FROM persona.model o WHERE persona.may(o.id, 'use')) m
LEFT JOIN (SELECT * FROM persona.model_version v WHERE persona.may(v.model_id, 'use')) v
    ON v.model_id OPERATOR(pg_catalog.=) m.id AND v.version OPERATOR(pg_catalog.=) m.active_version;
COMMENT ON VIEW persona.models IS 'the models that you may use, each with its active version; source for those who may read it';
COMMENT ON COLUMN persona.models.model IS 'name of the model';
COMMENT ON COLUMN persona.models.kind IS 'what it does: segments, scorer or recommender';
COMMENT ON COLUMN persona.models.algorithm IS 'by what its active version was fitted';
COMMENT ON COLUMN persona.models.active_version IS 'the version that functions use';
COMMENT ON COLUMN persona.models.owner IS 'the role that may fit, refit and drop it';
COMMENT ON COLUMN persona.models.n_rows IS 'rows of the fit of the active version';
COMMENT ON COLUMN persona.models.features IS 'columns that the active version takes';
COMMENT ON COLUMN persona.models.metrics IS 'what the fit of the active version found out about it';
COMMENT ON COLUMN persona.models.source IS 'the query or table that it was fitted from';
COMMENT ON COLUMN persona.models.fitted_at IS 'when the active version was made';
COMMENT ON COLUMN persona.models.privilege IS 'what you may do with it: own, read or use';
COMMENT ON COLUMN persona.models.keep_versions IS 'how many of the newest versions are kept, besides the active one';

CREATE VIEW persona.model_versions WITH (security_barrier = true) AS
SELECT m.name AS model, m.kind, v.version, v.version OPERATOR(pg_catalog.=) m.active_version AS is_active, v.algorithm,
       v.n_rows, v.features, CASE WHEN m.privilege OPERATOR(pg_catalog.=) ANY (ARRAY['own', 'read']) THEN v.parameters END AS parameters, v.metrics,
       CASE WHEN m.privilege OPERATOR(pg_catalog.=) ANY (ARRAY['own', 'read']) THEN v.source END AS source,
       pg_catalog.encode(v.sha256, 'hex') AS sha256, v.n_bytes,
       pg_catalog.pg_get_userbyid(v.created_by::pg_catalog.oid) AS created_by, v.created_at
FROM (SELECT o.*, persona.model_privilege(o.id) AS privilege FROM persona.model o WHERE persona.may(o.id, 'use')) m
JOIN (SELECT * FROM persona.model_version v WHERE persona.may(v.model_id, 'use')) v ON v.model_id OPERATOR(pg_catalog.=) m.id;
COMMENT ON VIEW persona.model_versions IS
    'every version of the models that you may use; source and parameters for those who may read them';
COMMENT ON COLUMN persona.model_versions.model IS 'name of the model';
COMMENT ON COLUMN persona.model_versions.kind IS 'what it does: segments, scorer or recommender';
COMMENT ON COLUMN persona.model_versions.version IS 'number of the version; none is given twice';
COMMENT ON COLUMN persona.model_versions.is_active IS 'whether functions use it';
COMMENT ON COLUMN persona.model_versions.algorithm IS 'by what it was fitted';
COMMENT ON COLUMN persona.model_versions.n_rows IS 'rows of its fit';
COMMENT ON COLUMN persona.model_versions.features IS 'columns that it takes';
COMMENT ON COLUMN persona.model_versions.parameters IS 'arguments of its fit, by which a refit runs it again';
COMMENT ON COLUMN persona.model_versions.metrics IS 'what its fit found out about it';
COMMENT ON COLUMN persona.model_versions.source IS 'the query or table that it was fitted from';
COMMENT ON COLUMN persona.model_versions.sha256 IS 'digest of its bytes, in hexadecimal digits';
COMMENT ON COLUMN persona.model_versions.n_bytes IS 'length of its bytes';
COMMENT ON COLUMN persona.model_versions.created_by IS 'the role that made it';
COMMENT ON COLUMN persona.model_versions.created_at IS 'when it was made';

CREATE VIEW persona.refit_log WITH (security_barrier = true) AS
SELECT m.name AS model, r.started_at, r.ended_at, pg_catalog.pg_get_userbyid(r.run_by::pg_catalog.oid) AS run_by, r.from_version, r.version, r.n_rows, r.n_changed, r.sqlstate,
       CASE WHEN m.privilege OPERATOR(pg_catalog.=) ANY (ARRAY['own', 'read']) THEN r.error END AS error
FROM (SELECT o.*, persona.model_privilege(o.id) AS privilege FROM persona.model o WHERE persona.may(o.id, 'use')) m
JOIN (SELECT * FROM persona.refit_run r WHERE persona.may(r.model_id, 'use')) r ON m.id OPERATOR(pg_catalog.=) r.model_id;
COMMENT ON VIEW persona.refit_log IS
    'refits of the models that you may use: rows read, rows changed in published tables, or the error of a refit_job';
COMMENT ON COLUMN persona.refit_log.model IS 'name of the model';
COMMENT ON COLUMN persona.refit_log.started_at IS 'when the refit began';
COMMENT ON COLUMN persona.refit_log.ended_at IS 'when it ended';
COMMENT ON COLUMN persona.refit_log.run_by IS 'the role that asked for it';
COMMENT ON COLUMN persona.refit_log.from_version IS 'the version that was active before';
COMMENT ON COLUMN persona.refit_log.version IS 'the version that it made; NULL where it failed';
COMMENT ON COLUMN persona.refit_log.n_rows IS 'rows that it read';
COMMENT ON COLUMN persona.refit_log.n_changed IS 'rows that it changed in published tables';
COMMENT ON COLUMN persona.refit_log.sqlstate IS 'code of the error that ended it';
COMMENT ON COLUMN persona.refit_log.error IS 'message of that error, for those who may read the source';

CREATE VIEW persona.publications WITH (security_barrier = true) AS
SELECT m.name AS model, p.target, p.key_column, p.published_version AS version, p.n_rows, p.published_at AS written_at,
       coalesce(p.published_version OPERATOR(pg_catalog.<>) m.active_version, true) AS is_stale, p.history AS history_table
FROM (SELECT o.*, persona.model_privilege(o.id) AS privilege FROM persona.model o WHERE persona.may(o.id, 'use')) m
JOIN (SELECT * FROM persona.publication p WHERE persona.may(p.model_id, 'read')) p ON p.model_id OPERATOR(pg_catalog.=) m.id;
COMMENT ON VIEW persona.publications IS
    'tables that are kept up to date from the models that you may read: the version and the rows of the last writing, and whether another version is active now';
COMMENT ON COLUMN persona.publications.model IS 'name of the model';
COMMENT ON COLUMN persona.publications.target IS 'the table that is kept up to date';
COMMENT ON COLUMN persona.publications.key_column IS 'its column of keys';
COMMENT ON COLUMN persona.publications.version IS 'the version of the last writing';
COMMENT ON COLUMN persona.publications.n_rows IS 'rows after the last writing';
COMMENT ON COLUMN persona.publications.written_at IS 'when it was last written';
COMMENT ON COLUMN persona.publications.is_stale IS 'whether another version is active now';
COMMENT ON COLUMN persona.publications.history_table IS 'the table that keeps when each key entered a segment and left it';

GRANT SELECT ON persona.models, persona.model_versions, persona.refit_log, persona.publications TO PUBLIC;

CREATE FUNCTION persona.activity_rows(OUT pid integer, OUT database_oid oid, OUT role_oid oid, OUT function_name text,
    OUT model text, OUT phase text, OUT n_rows bigint, OUT done bigint, OUT total bigint, OUT metric double precision,
    OUT started_at timestamptz, OUT phase_started_at timestamptz)
RETURNS SETOF record LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10
AS 'MODULE_PATHNAME', 'activity_rows_wrapper';
COMMENT ON FUNCTION persona.activity_rows() IS 'the fits in progress, as persona.activity shows them';

CREATE VIEW persona.activity AS
SELECT a.pid, d.datname AS database, pg_catalog.pg_get_userbyid(a.role_oid) AS role, a.function_name, a.model, a.phase,
       a.n_rows, a.done, a.total, a.metric, a.started_at, a.phase_started_at,
       CASE WHEN t.seconds OPERATOR(pg_catalog.>) 0 AND (a.phase OPERATOR(pg_catalog.=) 'reading' OR a.done OPERATOR(pg_catalog.>) 0)
            THEN a.n_rows::double precision OPERATOR(pg_catalog.*) greatest(a.done, 1)::double precision
                 OPERATOR(pg_catalog./) t.seconds END AS rows_per_second,
       CASE WHEN a.done OPERATOR(pg_catalog.>) 0
            THEN a.phase_started_at OPERATOR(pg_catalog.+) (interval '1 second' OPERATOR(pg_catalog.*)
                 (t.seconds OPERATOR(pg_catalog.*) a.total::double precision OPERATOR(pg_catalog./) a.done::double precision)) END AS ends_by
FROM persona.activity_rows() a
CROSS JOIN LATERAL (SELECT extract(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) a.phase_started_at)::double precision) AS t (seconds)
LEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) a.database_oid;
COMMENT ON VIEW persona.activity IS
    'fits in progress: phase, rows read, steps done of all, metric so far, rows a second (each step goes over all rows), and the end of '
    'the phase if it takes all its steps; others'' with pg_read_all_stats';
COMMENT ON COLUMN persona.activity.pid IS 'process that runs it';
COMMENT ON COLUMN persona.activity.database IS 'database in which it runs';
COMMENT ON COLUMN persona.activity.role IS 'role that runs it';
COMMENT ON COLUMN persona.activity.function_name IS 'the function that was called';
COMMENT ON COLUMN persona.activity.model IS 'name of the model';
COMMENT ON COLUMN persona.activity.phase IS 'what is being done';
COMMENT ON COLUMN persona.activity.n_rows IS 'rows read so far';
COMMENT ON COLUMN persona.activity.done IS 'steps done in this phase';
COMMENT ON COLUMN persona.activity.total IS 'steps that the phase takes at most';
COMMENT ON COLUMN persona.activity.metric IS 'value that the fit makes better, so far';
COMMENT ON COLUMN persona.activity.started_at IS 'when it began';
COMMENT ON COLUMN persona.activity.phase_started_at IS 'when this phase began';
COMMENT ON COLUMN persona.activity.rows_per_second IS 'rows a second in this phase';
COMMENT ON COLUMN persona.activity.ends_by IS 'end of this phase, if it takes all its steps';
GRANT SELECT ON persona.activity TO PUBLIC;

CREATE FUNCTION persona.algorithm_rows(OUT kind text, OUT algorithm text, OUT parameter text, OUT type text,
    OUT default_value text, OUT range text, OUT meaning text, OUT source text)
RETURNS SETOF record LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 20
AS 'MODULE_PATHNAME', 'algorithm_rows_wrapper';
COMMENT ON FUNCTION persona.algorithm_rows() IS 'what models can be fitted by, as persona.algorithms shows it';

CREATE VIEW persona.algorithms AS
SELECT a.kind, a.algorithm, a.parameter, a.type, a.default_value, a.range, a.meaning, a.source FROM persona.algorithm_rows() a;
COMMENT ON VIEW persona.algorithms IS
    'what models can be fitted by: a row for each algorithm, whose parameter is NULL, and a row for each of its parameters. '
    'A range is written as that of a numrange, or lists the words';
COMMENT ON COLUMN persona.algorithms.kind IS 'of which models: segments, scorer or recommender';
COMMENT ON COLUMN persona.algorithms.algorithm IS 'its name, as a fit takes it';
COMMENT ON COLUMN persona.algorithms.parameter IS 'name of the parameter; NULL for the algorithm itself';
COMMENT ON COLUMN persona.algorithms.type IS 'of which type its values are';
COMMENT ON COLUMN persona.algorithms.default_value IS 'what it is when it is not given';
COMMENT ON COLUMN persona.algorithms.range IS 'which values it may have';
COMMENT ON COLUMN persona.algorithms.meaning IS 'what it does';
COMMENT ON COLUMN persona.algorithms.source IS 'where it is described';
GRANT SELECT ON persona.algorithms TO PUBLIC;
