-- Recommend: who had what -> what to offer next. Keys are bigint or text: the bigint forms return bigint items.

CREATE FUNCTION persona.fit_recommender(
    model text, source text, user_column text DEFAULT 'user_id', item_column text DEFAULT 'item_id',
    weight_column text DEFAULT NULL, time_column text DEFAULT NULL, algorithm text DEFAULT 'item_knn',
    parameters jsonb DEFAULT '{}', holdout double precision DEFAULT 0.2,
    seed bigint DEFAULT 0, activate boolean DEFAULT true, publish boolean DEFAULT true,
    refit_on_all boolean DEFAULT false, keep_versions bigint DEFAULT NULL)
RETURNS TABLE (
    version integer, n_users bigint, n_items bigint, n_events bigint, n_test_users bigint,
    ndcg_at_10 double precision, precision_at_10 double precision, recall_at_10 double precision,
    map_at_10 double precision, coverage_at_10 double precision, popular_ndcg_at_10 double precision,
    n_unknown_users bigint, refit_on_all boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 1
AS 'MODULE_PATHNAME', 'fit_recommender_wrapper';
COMMENT ON FUNCTION persona.fit_recommender(text, text, text, text, text, text, text, jsonb,
    double precision, bigint, boolean, boolean, boolean, bigint) IS
    'fits a recommender on who had what: the one that was measured, of the training rows, or refit_on_all. persona.algorithms '
    'lists algorithms and their parameters';

CREATE FUNCTION persona.evaluate_recommender(
    model text, source text, user_column text DEFAULT NULL, item_column text DEFAULT NULL,
    weight_column text DEFAULT NULL, n bigint DEFAULT 10)
RETURNS TABLE (
    n_users bigint, ndcg double precision, precision_mean double precision, recall double precision,
    map double precision, coverage double precision, popular_ndcg double precision, n_unknown_users bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 1
AS 'MODULE_PATHNAME', 'evaluate_recommender_wrapper';
COMMENT ON FUNCTION persona.evaluate_recommender(text, text, text, text, text, bigint) IS
    'how well a recommender ranks what known users of a source took that it has not learned from. Keys are read as those of the fit: of a '
    'model of citext in any case, of a model of text as they are written';

CREATE FUNCTION persona.recommend(
    model text, customer bigint, n bigint DEFAULT 10, exclude_seen boolean DEFAULT true)
RETURNS TABLE (item bigint, score double precision, rank integer, because_of bigint, is_popular boolean)
LANGUAGE c STABLE PARALLEL SAFE COST 10000 ROWS 10
AS 'MODULE_PATHNAME', 'recommend_bigint_wrapper';
COMMENT ON FUNCTION persona.recommend(text, bigint, bigint, boolean) IS
    'the best items for a user; scores rank one user''s items and cannot be compared between users';

CREATE FUNCTION persona.recommend(
    model text, customer text, n bigint DEFAULT 10, exclude_seen boolean DEFAULT true)
RETURNS TABLE (item text, score double precision, rank integer, because_of text, is_popular boolean)
LANGUAGE c STABLE PARALLEL SAFE COST 10000 ROWS 10
AS 'MODULE_PATHNAME', 'recommend_text_wrapper';
COMMENT ON FUNCTION persona.recommend(text, text, bigint, boolean) IS
    'the best items for a user of any type of key, cast to text; items are returned as text';

CREATE FUNCTION persona.recommend_for(
    model text, items bigint[], n bigint DEFAULT 10, exclude_given boolean DEFAULT true)
RETURNS TABLE (item bigint, score double precision, rank integer, because_of bigint, is_popular boolean)
LANGUAGE c STABLE PARALLEL SAFE COST 10000 ROWS 10
AS 'MODULE_PATHNAME', 'recommend_for_bigint_wrapper';
COMMENT ON FUNCTION persona.recommend_for(text, bigint[], bigint, boolean) IS
    'the best items for a visitor who has these items: a basket, or a history that the model has not seen';

CREATE FUNCTION persona.recommend_for(
    model text, items text[], n bigint DEFAULT 10, exclude_given boolean DEFAULT true)
RETURNS TABLE (item text, score double precision, rank integer, because_of text, is_popular boolean)
LANGUAGE c STABLE PARALLEL SAFE COST 10000 ROWS 10
AS 'MODULE_PATHNAME', 'recommend_for_text_wrapper';
COMMENT ON FUNCTION persona.recommend_for(text, text[], bigint, boolean) IS
    'the best items for a visitor who has these items, of any type of key, cast to text';

CREATE FUNCTION persona.recommend_for(
    model text, items text, n bigint DEFAULT 10, exclude_given boolean DEFAULT true)
RETURNS TABLE (item text, score double precision, rank integer, because_of text, is_popular boolean)
LANGUAGE sql STABLE PARALLEL SAFE COST 10000 ROWS 10
BEGIN ATOMIC
    SELECT r.item, r.score, r.rank, r.because_of, r.is_popular FROM persona.recommend_for(model, items::text[], n, exclude_given) AS r;
END;
COMMENT ON FUNCTION persona.recommend_for(text, text, bigint, boolean) IS
    'the same for items that are an array written as text: ''{10,11}'', as drivers send one of no type';

CREATE FUNCTION persona.recommend_all(model text, n bigint DEFAULT 10, exclude_seen boolean DEFAULT true)
RETURNS TABLE (user_key text, item text, score double precision, rank integer, because_of text, is_popular boolean)
LANGUAGE c STABLE PARALLEL RESTRICTED COST 1000000 ROWS 100000
AS 'MODULE_PATHNAME', 'recommend_all_wrapper';
COMMENT ON FUNCTION persona.recommend_all(text, bigint, boolean) IS
    'the best items for every user of the model, as rows';

CREATE FUNCTION persona.save_recommendations(
    model text, save_to text, n bigint DEFAULT 10, exclude_seen boolean DEFAULT true)
RETURNS TABLE (n_rows bigint, inserted bigint, updated bigint, deleted bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 1
AS 'MODULE_PATHNAME', 'save_recommendations_wrapper';
COMMENT ON FUNCTION persona.save_recommendations(text, text, bigint, boolean) IS
    'writes the best items for every user of the model into a table, by difference, keys in their own type';

CREATE FUNCTION persona.similar_items(model text, item bigint, n bigint DEFAULT 10)
RETURNS TABLE (similar_item bigint, similarity double precision, rank integer)
LANGUAGE c STABLE PARALLEL SAFE COST 1000 ROWS 10
AS 'MODULE_PATHNAME', 'similar_items_bigint_wrapper';
COMMENT ON FUNCTION persona.similar_items(text, bigint, bigint) IS
    'the items that the same users have, most similar first, of a model of item_knn; no row for an item that it does not know';

CREATE FUNCTION persona.similar_items(model text, item text, n bigint DEFAULT 10)
RETURNS TABLE (similar_item text, similarity double precision, rank integer)
LANGUAGE c STABLE PARALLEL SAFE COST 1000 ROWS 10
AS 'MODULE_PATHNAME', 'similar_items_text_wrapper';
COMMENT ON FUNCTION persona.similar_items(text, text, bigint) IS
    'the items that the same users have, of any type of key, cast to text';
