-- Segments of other shapes: dense regions of any outline, over a window.

CREATE FUNCTION persona.dbscan(features double precision[], eps double precision, min_points integer) RETURNS integer
LANGUAGE c IMMUTABLE WINDOW PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'persona_dbscan_array';
COMMENT ON FUNCTION persona.dbscan(double precision[], double precision, integer) IS
    'window function: the segment of a row among its partition''s, from 1, the largest first; NULL for noise and where a feature is '
    'NULL. Rows with min_points rows within eps, themselves included, and all rows within eps of these form segments; a row within '
    'reach of two is in that of the nearest such row';

CREATE FUNCTION persona.dbscan(features record, eps double precision, min_points integer) RETURNS integer
LANGUAGE c STABLE WINDOW PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'persona_dbscan_record';
COMMENT ON FUNCTION persona.dbscan(record, double precision, integer) IS
    'window function: the segment of a row among its partition''s, one feature per column: dbscan(t, 0.5, 5) OVER () FROM t';
