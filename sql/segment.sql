-- Segment: the kmeans aggregate and its value; named models of segments.

-- Values -------------------------------------------------------------------------------------------------------------

\value_type kmeans
COMMENT ON TYPE persona.kmeans IS
    'fitted segments: centroids in original units, scaling, sizes, inertia, and how the fit ended';

CREATE FUNCTION persona.kmeans_add(internal, features double precision[], k bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'kmeans_add_array';
COMMENT ON FUNCTION persona.kmeans_add(internal, double precision[], bigint) IS 'transition function of kmeans';

CREATE FUNCTION persona.kmeans_add(internal, features double precision[], k bigint, options jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'kmeans_add_array';
COMMENT ON FUNCTION persona.kmeans_add(internal, double precision[], bigint, jsonb) IS
    'transition function of kmeans';

CREATE FUNCTION persona.kmeans_add(internal, features record, k bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'kmeans_add_record';
COMMENT ON FUNCTION persona.kmeans_add(internal, record, bigint) IS 'transition function of kmeans';

CREATE FUNCTION persona.kmeans_add(internal, features record, k bigint, options jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'kmeans_add_record';
COMMENT ON FUNCTION persona.kmeans_add(internal, record, bigint, jsonb) IS 'transition function of kmeans';

CREATE FUNCTION persona.kmeans_final(internal) RETURNS persona.kmeans
LANGUAGE c IMMUTABLE PARALLEL RESTRICTED COST 100000 AS 'MODULE_PATHNAME', 'kmeans_final';
COMMENT ON FUNCTION persona.kmeans_final(internal) IS 'final function of kmeans';

CREATE AGGREGATE persona.kmeans(features double precision[], k bigint) (
    SFUNC = persona.kmeans_add, STYPE = internal, SSPACE = 8192, FINALFUNC = persona.kmeans_final,
    FINALFUNC_MODIFY = READ_ONLY, PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE persona.kmeans(double precision[], bigint) IS
    'k segments of feature arrays, in the features'' own units';

CREATE AGGREGATE persona.kmeans(features double precision[], k bigint, options jsonb) (
    SFUNC = persona.kmeans_add, STYPE = internal, SSPACE = 8192, FINALFUNC = persona.kmeans_final,
    FINALFUNC_MODIFY = READ_ONLY, PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE persona.kmeans(double precision[], bigint, jsonb) IS
    'k segments of feature arrays; persona.algorithms lists the options';

CREATE AGGREGATE persona.kmeans(features record, k bigint) (
    SFUNC = persona.kmeans_add, STYPE = internal, SSPACE = 8192, FINALFUNC = persona.kmeans_final,
    FINALFUNC_MODIFY = READ_ONLY, PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE persona.kmeans(record, bigint) IS
    'k segments of rows, one feature per column, with the columns'' names: kmeans(t, 3) FROM t';

CREATE AGGREGATE persona.kmeans(features record, k bigint, options jsonb) (
    SFUNC = persona.kmeans_add, STYPE = internal, SSPACE = 8192, FINALFUNC = persona.kmeans_final,
    FINALFUNC_MODIFY = READ_ONLY, PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE persona.kmeans(record, bigint, jsonb) IS
    'k segments of rows; persona.algorithms lists the options, beside weight_column: its number says as how many rows a row counts';

CREATE FUNCTION persona.segment(kmeans persona.kmeans, features double precision[]) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'kmeans_segment_array_wrapper';
COMMENT ON FUNCTION persona.segment(persona.kmeans, double precision[]) IS
    'the segment of a row, from 1; NULL where a feature is NULL';

CREATE FUNCTION persona.segment(kmeans persona.kmeans, features record) RETURNS integer
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'kmeans_segment_record_wrapper';
COMMENT ON FUNCTION persona.segment(persona.kmeans, record) IS
    'the segment of a row whose features are found by name, from 1; NULL where a feature is NULL';

CREATE FUNCTION persona.distance(kmeans persona.kmeans, features double precision[]) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'kmeans_distance_array_wrapper';
COMMENT ON FUNCTION persona.distance(persona.kmeans, double precision[]) IS
    'distance of a row to the centroid of its segment, in the space of the fit';

CREATE FUNCTION persona.distance(kmeans persona.kmeans, features record) RETURNS double precision
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'kmeans_distance_record_wrapper';
COMMENT ON FUNCTION persona.distance(persona.kmeans, record) IS
    'distance of a row, its features found by name, to the centroid of its segment, in the space of the fit';

CREATE FUNCTION persona.second_segment(kmeans persona.kmeans, features double precision[]) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'kmeans_second_segment_array_wrapper';
COMMENT ON FUNCTION persona.second_segment(persona.kmeans, double precision[]) IS
    'the segment whose centroid is nearest to a row but for its own; NULL where a feature is NULL or there is one segment';

CREATE FUNCTION persona.second_segment(kmeans persona.kmeans, features record) RETURNS integer
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'kmeans_second_segment_record_wrapper';
COMMENT ON FUNCTION persona.second_segment(persona.kmeans, record) IS
    'the segment whose centroid is nearest to a row, its features found by name, but for its own';

CREATE FUNCTION persona.anomaly(kmeans persona.kmeans, features double precision[]) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'kmeans_anomaly_array_wrapper';
COMMENT ON FUNCTION persona.anomaly(persona.kmeans, double precision[]) IS
    'how odd a row is: its distance to its centroid over the root mean square distance of the segment''s rows at the fit; 1 is '
    'ordinary, 3 is rare';

CREATE FUNCTION persona.anomaly(kmeans persona.kmeans, features record) RETURNS double precision
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'kmeans_anomaly_record_wrapper';
COMMENT ON FUNCTION persona.anomaly(persona.kmeans, record) IS
    'how odd a row is, its features found by name: its distance to its centroid over the segment''s root mean square distance';

\features_as_json kmeans segment kmeans_segment integer
\features_as_json kmeans distance kmeans_distance double precision
\features_as_json kmeans second_segment kmeans_second_segment integer
\features_as_json kmeans anomaly kmeans_anomaly double precision

CREATE FUNCTION persona.centroids(kmeans persona.kmeans, OUT segment integer, OUT size bigint, OUT feature text,
    OUT centroid double precision)
RETURNS SETOF record LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 50
AS 'MODULE_PATHNAME', 'kmeans_centroids_wrapper';
COMMENT ON FUNCTION persona.centroids(persona.kmeans) IS 'centroids in original units, one row per segment and feature';

-- Named models -------------------------------------------------------------------------------------------------------

CREATE FUNCTION persona.fit_segments(model text, source text, key text, k bigint DEFAULT NULL,
    features text[] DEFAULT NULL, scaling text DEFAULT 'standard', save_to text DEFAULT NULL, seed bigint DEFAULT 0,
    max_iterations bigint DEFAULT 100, n_init bigint DEFAULT 1, activate boolean DEFAULT true,
    weights jsonb DEFAULT NULL, storage text DEFAULT 'auto', metric text DEFAULT 'euclidean',
    seeding text DEFAULT 'auto', weight_column text DEFAULT NULL,
    publish boolean DEFAULT true, keep_versions bigint DEFAULT NULL, missing text DEFAULT 'error',
    OUT segment integer, OUT name text, OUT size bigint, OUT share double precision, OUT label text, OUT words text)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 10
AS 'MODULE_PATHNAME', 'fit_segments_wrapper';
COMMENT ON FUNCTION persona.fit_segments(text, text, text, bigint, text[], text, text, bigint, bigint, bigint, boolean, jsonb, text, text, text, text, boolean, bigint, text)
IS 'fits k segments (NULL: the k of 2 to 10 with the best silhouette) to a source and keeps them as a version of a model. features '
    'are numbers, arrays of them, and text columns, of which each frequent level is a feature of 0 and 1 (of two levels the last in order); NULL takes all numbers but key and weight_column. '
    'scaling is standard, none, minmax, maxabs, robust, log1p or yeo_johnson (the last two bring in heavy tails before they standardise), or a JSON '
    'object of these by column, as {"monetary": "log1p"}, with the others as standard; indicators of levels stay as they are. weights, as {"monetary": 2}, are of columns and multiply their squared differences; weight_column is of rows: it has the number, from '
    '0, of equal rows that a row counts as, while sizes and shares are of rows as they are. save_to writes key, segment and label of each row. storage: '
    'auto goes to temporary files beyond persona.max_fit_memory, memory fails there, disk goes at once; the result is the same. metric: cosine compares directions, whatever the lengths of the rows. seeding: auto '
    'draws k-means++ seeds from a sample and refines them there, k-means++ and k-means|| draw them from all rows. keep_versions is how many '
    'of the newest versions the model keeps from now on, besides the active one (10 for a new model). missing is of rows with a NULL feature: error '
    'refuses them; impute takes the mean of the rows that have it (of a level the share of rows), also in every function of the model; skip leaves the rows out, without a segment. A warning names features that look like identifiers';

CREATE FUNCTION persona.choose_k(source text, k_min bigint DEFAULT 2, k_max bigint DEFAULT 10,
    features text[] DEFAULT NULL, scaling text DEFAULT 'standard', criterion text DEFAULT 'silhouette',
    sample_rows bigint DEFAULT 10000, seed bigint DEFAULT 0, weights jsonb DEFAULT NULL,
    metric text DEFAULT 'euclidean', seeding text DEFAULT 'auto', weight_column text DEFAULT NULL, key text DEFAULT NULL,
    missing text DEFAULT 'error', OUT k integer, OUT inertia double precision, OUT silhouette double precision, OUT silhouette_error double precision, OUT davies_bouldin double precision,
    OUT calinski_harabasz double precision, OUT stability double precision, OUT is_best boolean)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 9
AS 'MODULE_PATHNAME', 'choose_k_wrapper';
COMMENT ON FUNCTION persona.choose_k(text, bigint, bigint, text[], text, text, bigint, bigint, jsonb, text, text, text, text, text) IS
    'fits an even sample of a source with each k, from five starts: silhouette (more is better; of at most 6,000 rows, with its standard error), Davies-Bouldin (less), Calinski-Harabasz (more), '
    'and stability, the adjusted Rand index with fits of random halves; is_best is by the criterion, one of these four. scaling, missing, weights of columns '
    'and a weight_column of rows are as in fit_segments; silhouette and stability count each row once. key is no feature, and orders the rows: with the key of '
    'fit_segments the sample is the one by which that chooses k where it is given none';

CREATE FUNCTION persona.segment(model text, features record) RETURNS integer
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'model_segment_wrapper';
COMMENT ON FUNCTION persona.segment(text, record) IS
    'the segment of a row by the model''s active version, from 1; NULL where a feature is NULL, unless it was fitted with missing => ''impute''';

CREATE FUNCTION persona.distance(model text, features record) RETURNS double precision
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'model_distance_wrapper';
COMMENT ON FUNCTION persona.distance(text, record) IS
    'distance of a row to the centroid of its segment by the model''s active version';

CREATE FUNCTION persona.second_segment(model text, features record) RETURNS integer
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'model_second_segment_wrapper';
COMMENT ON FUNCTION persona.second_segment(text, record) IS
    'the segment that is nearest to a row but for its own, by the model''s active version; NULL where a feature is NULL';

CREATE FUNCTION persona.anomaly(model text, features record) RETURNS double precision
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'model_anomaly_wrapper';
COMMENT ON FUNCTION persona.anomaly(text, record) IS
    'how odd a row is by the model''s active version: its distance to its centroid over the root mean square distance of the '
    'segment''s rows at the fit; 1 is ordinary, 3 is rare';

CREATE FUNCTION persona.anomaly_reasons(model text, features record, n bigint DEFAULT 3) RETURNS jsonb
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'model_anomaly_reasons_wrapper';
COMMENT ON FUNCTION persona.anomaly_reasons(text, record, bigint) IS
    'what puts a row away from its centroid, most first: an array of feature, share of the squared distance, value, and the '
    'centroid''s value as expected';

\row_as_json segment model_segment integer 'the segment'
\row_as_json distance model_distance double precision 'the distance to its centroid'
\row_as_json second_segment model_second_segment integer 'the segment that is nearest but for its own'
\row_as_json anomaly model_anomaly double precision 'the anomaly'
\row_as_json anomaly_reasons model_anomaly_reasons jsonb 'what makes it odd' n

CREATE FUNCTION persona.segments(model text, OUT segment integer, OUT name text, OUT size bigint,
    OUT share double precision, OUT label text, OUT words text)
RETURNS SETOF record LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'model_segments_wrapper';
COMMENT ON FUNCTION persona.segments(text) IS
    'the segments of a model: the name given by people, size, share of all rows, and what sets it apart in words';

CREATE FUNCTION persona.segment_profile(model text, OUT segment integer, OUT name text, OUT feature text,
    OUT mean double precision, OUT population_mean double precision, OUT difference double precision, OUT mean_text text,
    OUT population_mean_text text)
RETURNS SETOF record LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 50
AS 'MODULE_PATHNAME', 'model_segment_profile_wrapper';
COMMENT ON FUNCTION persona.segment_profile(text) IS
    'means of each segment against all rows'', the difference in standard deviations of all rows, greatest first. Of a point in time they are '
    'seconds since 1970, and in the texts dates and times again';

CREATE FUNCTION persona.segment_quality(model text, OUT version integer, OUT k integer, OUT n_rows bigint,
    OUT inertia double precision, OUT silhouette double precision, OUT silhouette_rows bigint,
    OUT davies_bouldin double precision, OUT calinski_harabasz double precision, OUT iterations integer,
    OUT is_converged boolean)
RETURNS SETOF record LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 1
AS 'MODULE_PATHNAME', 'model_segment_quality_wrapper';
COMMENT ON FUNCTION persona.segment_quality(text) IS
    'how good the active version''s segments are, as found at the fit, in its space: sum of squared distances, silhouette of '
    'all rows or of an even sample of so many, Davies-Bouldin, Calinski-Harabasz. Where rows have weights these count in all but the '
    'silhouette';

CREATE FUNCTION persona.segment_flow(model text, from_version bigint DEFAULT NULL, to_version bigint DEFAULT NULL,
    OUT from_segment integer, OUT to_segment integer, OUT n_rows bigint, OUT share double precision)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 20
AS 'MODULE_PATHNAME', 'segment_flow_wrapper';
COMMENT ON FUNCTION persona.segment_flow(text, bigint, bigint) IS
    'how the rows that the model''s source has now lie in the segments of two versions, by default the active one and the one '
    'before it; share is of the rows of from_segment. NULL stands for rows with a NULL feature';

CREATE FUNCTION persona.report(model text, with_rows boolean DEFAULT true) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000 AS 'MODULE_PATHNAME', 'report_wrapper';
COMMENT ON FUNCTION persona.report(text, boolean) IS
    'a self-contained HTML page about a model of segments: sizes, what sets each apart, quality; and for its owner, from the rows that '
    'the source has now, a map, silhouettes, and who moved since the version before. with_rows => false leaves the source alone';

CREATE FUNCTION persona.name_segment(model text, segment bigint, name text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'name_segment_wrapper';
COMMENT ON FUNCTION persona.name_segment(text, bigint, text) IS
    'names a segment of a model, of which one must be owner; NULL takes the name away';
