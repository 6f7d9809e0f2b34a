"""Recommenders, whose keys are integers, and one whose keys are texts."""

from clients.calls import call

TITLES = "SELECT 'u' || user_id AS user_id, 'i' || item_id AS item_id FROM bought"

call("fit a recommender", "SELECT * FROM persona.fit_recommender($1, $2)", "new", "bought", is_query=False)
call("fit a recommender, parameters as JSON", "SELECT version, ndcg_at_10 FROM persona.fit_recommender($1, $2, weight_column => $3, time_column => $4, parameters => $5, seed => $6, holdout => $7)",
     "new", "bought", "quantity", "bought_on", {"neighbors": 20}, 5, 0.1, is_query=False)
call("fit a recommender, parameters as text", "SELECT version, ndcg_at_10 FROM persona.fit_recommender($1, $2, algorithm => $3, parameters => $4)", "new", "bought", "item_knn", '{"neighbors": 20}', is_query=False, is_untyped=True)
call("fit a recommender, the rest NULL", "SELECT version, n_users FROM persona.fit_recommender($1, $2, $3, $4, $5, $6, keep_versions => $7)", "new", "bought", "user_id", "item_id", None, None, None, is_query=False)
call("evaluate a recommender", "SELECT * FROM persona.evaluate_recommender($1, $2)", "products", "bought", is_query=False)
call("evaluate a recommender, n, the rest NULL", "SELECT * FROM persona.evaluate_recommender($1, $2, $3, $4, $5, $6)", "products", "bought", None, None, None, 5, is_query=False)

call("recommend", "SELECT * FROM persona.recommend($1, $2)", "products", 7)
call("recommend, n", "SELECT * FROM persona.recommend($1, $2, $3)", "products", 7, 3)
call("recommend, n by name", "SELECT item, score FROM persona.recommend($1, $2, n => $3, exclude_seen => $4)", "products", 7, 3, False)
call("recommend to a key as text", "SELECT * FROM persona.recommend($1, $2, $3)", "products", "7", 3, literal="SELECT * FROM persona.recommend('products', '7'::text, 3)")
call("recommend to a typed key", "SELECT * FROM persona.recommend($1, $2::bigint, $3::int)", "products", 7, 3)
call("recommend to NULL", "SELECT count(*) FROM persona.recommend($1, $2)", "products", None)
call("recommend to a text", "SELECT * FROM persona.recommend($1, $2, $3)", "titles", "u7", 3)
call("recommend for each customer", "SELECT c.id, r.item FROM customers AS c, persona.recommend('products', c.id, $1) AS r WHERE c.id < $2 ORDER BY 1, r.rank", 2, 4)
call("recommend in the list of columns", "SELECT persona.recommend('products', 7, 2)")
call("recommend for a basket", "SELECT * FROM persona.recommend_for($1, $2, $3)", "products", [1, 4], 3)
call("recommend for a typed basket", "SELECT * FROM persona.recommend_for($1, $2::bigint[], n => $3)", "products", [1, 4], 3)
call("recommend for a basket given as text", "SELECT * FROM persona.recommend_for($1, $2, $3)", "products", "{1,4}", 3, literal="SELECT * FROM persona.recommend_for('products', ARRAY['1', '4'], 3)")
call("recommend for a basket of texts", "SELECT * FROM persona.recommend_for($1, $2, $3, $4)", "titles", ["i1", "i4"], 3, True)
call("recommend for a basket, NULL", "SELECT count(*) FROM persona.recommend_for($1, $2)", "products", None,
     literal="SELECT count(*) FROM persona.recommend_for('products', NULL::bigint[])")
call("recommend to all", "SELECT user_key, item, rank FROM persona.recommend_all($1, $2) WHERE user_key = '7' ORDER BY rank", "products", 2)
call("recommend to all, into a table", "SELECT * FROM persona.save_recommendations($1, $2, $3)", "products", "new_next", 2, is_query=False)
call("recommend to all, into a table, by name", "SELECT n_rows FROM persona.save_recommendations($1, save_to => $2, n => $3)", "products", "new_next", 2, is_query=False)
call("similar items", "SELECT * FROM persona.similar_items($1, $2, $3)", "products", 4, 3)
call("similar items of a text", "SELECT * FROM persona.similar_items($1, $2, n => $3)", "titles", "i4", 3)
call("similar items of NULL", "SELECT count(*) FROM persona.similar_items($1, $2)", "products", None)
