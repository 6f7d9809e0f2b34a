"""Segments: values, named models, dense regions, mixtures."""

from clients.calls import call

SOURCE = "SELECT id, spend, orders, days_since FROM customers"

# Values
call("kmeans of rows, options as JSON", """SELECT c.* FROM (SELECT persona.kmeans(v, $1, $2) AS m FROM (SELECT spend, orders FROM customers) AS v) AS t,
    persona.centroids(m) AS c ORDER BY segment, feature""", 3, {"scaling": "standard", "seed": 1})
call("kmeans, options as text", "SELECT persona.segment(persona.kmeans(ARRAY[spend, orders], $1, $2), ARRAY[100, 5]) FROM customers", 3, '{"seed": 1}', is_untyped=True)
call("kmeans, options as NULL", "SELECT persona.segment(persona.kmeans(ARRAY[spend, orders], $1, $2), ARRAY[100, 5]) FROM customers", 3, None)
call("label an array by a value", "SELECT persona.segment(kmeans, $1), persona.distance(kmeans, $2), persona.anomaly(kmeans, $3) FROM fitted", [100.0, 5.0], [100.0, 5.0], [100.0, 5.0])
call("label an array of integers by a value", "SELECT persona.segment(kmeans, $1) FROM fitted", [100, 5], literal="SELECT persona.segment(kmeans, ARRAY[100, 5]::float8[]) FROM fitted")
call("label an array with a NULL by a value", "SELECT persona.segment(kmeans, $1) FROM fitted", [None, 5.0])
call("label an array given as text by a value", "SELECT persona.segment(kmeans, $1), persona.distance(kmeans, $2) FROM fitted", "{100,5}", "{100,5}",
     literal="SELECT persona.segment(kmeans, v), persona.distance(kmeans, v) FROM fitted, (SELECT ARRAY[100, 5]::float8[] AS v) AS t")
call("label JSON by a value", "SELECT persona.segment(kmeans, $1) FROM fitted", {"orders": 5, "spend": 100},
     literal="SELECT persona.segment(kmeans, ARRAY[100, 5]::float8[]) FROM fitted")
call("label NULL by a value", "SELECT persona.segment(kmeans, $1), persona.distance(kmeans, $2) FROM fitted", None, None, literal="SELECT NULL, NULL FROM fitted")
call("label rows by a value", "SELECT id, persona.segment(kmeans, c), persona.distance(kmeans, c), persona.anomaly(kmeans, c) FROM customers AS c, fitted WHERE id < $1 ORDER BY id", 4)
call("a mixture of rows", """SELECT c.* FROM (SELECT persona.gaussian_mixture(v, $1, $2) AS m FROM (SELECT spend, orders FROM customers) AS v) AS t,
    persona.components(m) AS c ORDER BY segment, feature""", 2, {"seed": 1})
call("membership of an array", "SELECT persona.membership(mixture, $1), persona.segment(mixture, $2), persona.log_density(mixture, $3) FROM fitted", [100.0, 5.0], [100.0, 5.0], [100.0, 5.0])
call("membership of NULL", "SELECT persona.membership(mixture, $1), persona.log_density(mixture, $2) FROM fitted", None, None, literal="SELECT NULL, NULL FROM fitted")
call("membership of an array given as text", "SELECT persona.membership(mixture, $1) FROM fitted", "{100,5}", literal="SELECT persona.membership(mixture, ARRAY[100, 5]::float8[]) FROM fitted")
call("membership of rows", "SELECT id, persona.membership(mixture, c), persona.segment(mixture, c) FROM customers AS c, fitted WHERE id < $1 ORDER BY id", 4)
call("dense regions", "SELECT segment, count(*) FROM (SELECT persona.dbscan(ARRAY[spend, days_since], $1, $2) OVER () AS segment FROM customers) AS t GROUP BY 1 ORDER BY 1", 6.0, 5)
call("dense regions, integers", "SELECT count(DISTINCT segment) FROM (SELECT persona.dbscan(v, $1, $2) OVER () AS segment FROM (SELECT spend, days_since FROM customers) AS v) AS t", 6, 5)

# Named models
call("fit segments", "SELECT * FROM persona.fit_segments($1, $2, $3, $4)", "new", SOURCE, "id", 3, is_query=False)
call("fit segments, arguments by name", "SELECT segment, size FROM persona.fit_segments(model => $1, source => $2, key => $3, k => $4, features => $5, seed => $6, n_init => $7)",
     "new", SOURCE, "id", 3, ["spend", "orders"], 7, 2, is_query=False)
call("fit segments, k and features as NULL", "SELECT segment, size FROM persona.fit_segments($1, $2, $3, $4, $5)", "new", SOURCE, "id", None, None, is_query=False)
call("fit segments, features as a text", "SELECT segment, size FROM persona.fit_segments($1, $2, $3, $4, $5)", "new", SOURCE, "id", 3, "{spend,orders}", is_query=False, is_untyped=True)
call("fit segments, weights as JSON", "SELECT segment, size FROM persona.fit_segments($1, $2, $3, $4, weights => $5)", "new", SOURCE, "id", 3, {"spend": 2}, is_query=False)
call("fit segments, weights as text", "SELECT segment, size FROM persona.fit_segments($1, $2, $3, $4, weights => $5)", "new", SOURCE, "id", 3, '{"spend": 2}', is_query=False, is_untyped=True)
call("fit segments, weights as NULL", "SELECT segment, size FROM persona.fit_segments($1, $2, $3, $4, weights => $5, save_to => $6, keep_versions => $7)", "new", SOURCE, "id", 3, None, None, None, is_query=False)
call("fit segments into a table", "SELECT segment, size FROM persona.fit_segments($1, $2, $3, $4, save_to => $5, activate => $6, publish => $7)", "new", SOURCE, "id", 3, "new_segment", True, True, is_query=False)
call("choose k", "SELECT * FROM persona.choose_k($1, k_min => $2, k_max => $3, key => $4, sample_rows => $5)", SOURCE, 2, 4, "id", 200, is_query=False)
call("choose k, the rest as NULL", "SELECT k, is_best FROM persona.choose_k($1, $2, $3, features => $4, weights => $5, key => $6)", SOURCE, 2, 3, None, None, "id", is_query=False)

LABELS = "persona.segment('customers', {0}), persona.distance('customers', {0}), persona.second_segment('customers', {0}), persona.anomaly('customers', {0})"
ROW = "(SELECT 3::float8 AS days_since, 120::float8 AS spend, 9::float8 AS orders) AS r"
call("label rows", f"SELECT id, {LABELS.format('c')} FROM customers AS c WHERE id < $1 ORDER BY id", 4)
call("label rows, the model as a parameter", "SELECT id, persona.segment($1, c) FROM customers AS c WHERE id < $2 ORDER BY id", "customers", 4)
call("label by no model", "SELECT persona.segment($1, c) FROM customers AS c WHERE id = 1", None, literal="SELECT NULL")
call("label a typed row", f"SELECT {LABELS.format('r')} FROM (SELECT $1::int AS days_since, $2::float8 AS spend, $3::int AS orders) AS r", 3, 120.0, 9)
call("label a row of untyped numbers", f"SELECT {LABELS.format('r')} FROM (SELECT $1 AS days_since, $2 AS spend, $3 AS orders) AS r", 3, 120.0, 9, literal=f"SELECT {LABELS.format('r')} FROM {ROW}")
call("label a row with an untyped NULL", "SELECT persona.segment('customers', r), persona.distance('customers', r) FROM (SELECT $1 AS days_since, $2 AS spend, $3 AS orders) AS r", 3, None, 9,
     literal="SELECT NULL, NULL")
call("label JSON", "SELECT persona.segment('customers', $1), persona.distance('customers', $2), persona.second_segment('customers', $3), persona.anomaly('customers', $4)",
     *([{"days_since": 3, "spend": 120, "orders": 9}] * 4), literal=f"SELECT {LABELS.format('r')} FROM {ROW}")
call("label JSON given as text", "SELECT persona.segment('customers', $1)", '{"days_since": 3, "spend": 120, "orders": 9}', literal=f"SELECT persona.segment('customers', r) FROM {ROW}")
call("label NULL", "SELECT persona.segment('customers', $1), persona.anomaly('customers', $2)", None, None, literal="SELECT NULL, NULL")
call("reasons", "SELECT persona.anomaly_reasons('customers', c, $1) FROM customers AS c WHERE id = 7", 2)
call("reasons of JSON", "SELECT persona.anomaly_reasons('customers', $1, $2)", {"days_since": 3, "spend": 120, "orders": 9}, 2,
     literal=f"SELECT persona.anomaly_reasons('customers', r, 2) FROM {ROW}")
call("segments", "SELECT * FROM persona.segments($1)", "customers")
call("segments of no model", "SELECT * FROM persona.segments($1)", None)
call("segments in the list of columns", "SELECT persona.segments('customers')")
call("profile of segments", "SELECT * FROM persona.segment_profile($1)", "customers")
call("quality of segments", "SELECT * FROM persona.segment_quality($1)", "customers")
call("flow between versions", "SELECT * FROM persona.segment_flow($1, $2, $3)", "customers", 1, 2, is_query=False)
call("flow between versions, NULL", "SELECT * FROM persona.segment_flow($1, $2, $3)", "customers", None, None, is_query=False)
call("report", "SELECT length(persona.report($1)) > 10000 AS is_a_page, length(persona.report($2, $3)) > 1000 AS is_one_too", "customers", "customers", False, is_query=False)
call("name a segment", "SELECT persona.name_segment($1, $2, $3)", "customers", 2, "rare", is_query=False)
call("take a segment's name away", "SELECT persona.name_segment($1, $2, $3)", "customers", 1, None, is_query=False)
