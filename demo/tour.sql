-- From purchases to portraits: a grocer's year of 2,469 households, in SQL alone.
-- A line that begins with "-- ##" begins a step; the comment under it says what the step is for.

-- ## Features of each household
-- Any query is a data set. Recency, frequency and monetary value are one mergeable aggregate; the rest of the picture is
-- what is in the basket: its size, the share of each department, own brand and discounts.
CREATE EXTENSION pg_persona;

CREATE TABLE journey.baskets AS
SELECT household_id, basket_id, min(transaction_timestamp) AS bought_at, sum(sales_value) AS spend,
       sum(coupon_disc) AS coupon_discount, sum(retail_disc) AS shelf_discount
FROM journey.transactions
GROUP BY household_id, basket_id;

CREATE TABLE journey.household_features AS
SELECT household_id,
       persona.recency(r, '2018-01-02') AS recency_days,
       persona.frequency(r) AS baskets,
       persona.monetary(r) AS spend,
       persona.mean_amount(r) AS basket_value,
       fresh / spend AS fresh_share, meat / spend AS meat_share, household_goods / spend AS household_goods_share,
       own_brand / spend AS own_brand_share, discount / spend AS discount_share
FROM (SELECT household_id, persona.rfm(bought_at, spend) AS r FROM journey.baskets GROUP BY household_id) AS rfm
JOIN (SELECT household_id,
             sum(sales_value) AS spend,
             coalesce(sum(sales_value) FILTER (WHERE department IN ('PRODUCE', 'SALAD BAR', 'FLORAL')), 0) AS fresh,
             coalesce(sum(sales_value) FILTER (WHERE department LIKE '%MEAT%' OR department LIKE 'SEAFOOD%'), 0) AS meat,
             coalesce(sum(sales_value) FILTER (WHERE department IN ('DRUG GM', 'COSMETICS')), 0) AS household_goods,
             coalesce(sum(sales_value) FILTER (WHERE brand = 'Private'), 0) AS own_brand,
             sum(retail_disc) AS discount
      FROM journey.transactions LEFT JOIN journey.products USING (product_id)
      GROUP BY household_id HAVING sum(sales_value) > 0) AS mix USING (household_id);

SELECT count(*) AS households, round(avg(recency_days)::numeric, 1) AS recency_days, round(avg(baskets), 1) AS baskets,
       round(avg(spend)::numeric) AS spend, round(avg(own_brand_share)::numeric, 3) AS own_brand_share
FROM journey.household_features;

-- The customary segments by recency, frequency and monetary value, each household among all the others.
SELECT (s).segment, count(*) AS households, round(avg((s).monetary)) AS mean_spend
FROM (SELECT persona.rfm_segment(r, '2018-01-02') OVER () AS s
      FROM (SELECT persona.rfm(bought_at, spend) AS r FROM journey.baskets GROUP BY household_id) AS households) AS scored
GROUP BY 1 ORDER BY 3 DESC;

-- ## Standardise
-- A summary says what there is, and a scaler is read off it. Columns bind by name: their order never matters.
SELECT feature, n, round(mean::numeric, 2) AS mean, round(stddev_pop::numeric, 2) AS sd, round(min::numeric, 2) AS min,
       round(max::numeric, 2) AS max
FROM (SELECT persona.feature_stats(f) AS stats FROM (SELECT recency_days, baskets, spend, own_brand_share
                                                     FROM journey.household_features) AS f) AS summary,
     persona.feature_stats_rows(stats);

WITH scaler AS (SELECT persona.standard_scaler(f) AS s FROM (SELECT recency_days, baskets, spend FROM journey.household_features) AS f)
SELECT household_id, (SELECT array_agg(round(z::numeric, 2)) FROM unnest(persona.scale(s, f)) AS z) AS standardised
FROM journey.household_features AS f, scaler ORDER BY household_id LIMIT 3;

-- ## Segment
-- K-means over all nine features, standardised. The labels go into a table that every refit keeps up to date.
SELECT segment, size, round(share::numeric, 3) AS share, label
FROM persona.fit_segments('households', 'journey.household_features', key => 'household_id', k => 5,
                          save_to => 'journey.household_segment', seed => 1, n_init => 10);

-- What sets each segment apart: the features furthest from the average household, in standard deviations.
SELECT segment, string_agg(format('%s %s', feature, to_char(difference, 'SG0.0')), ', ' ORDER BY abs(difference) DESC) AS profile
FROM (SELECT *, row_number() OVER (PARTITION BY segment ORDER BY abs(difference) DESC) AS place
      FROM persona.segment_profile('households')) AS p
WHERE place <= 3 GROUP BY segment ORDER BY segment;

-- People may name a segment; the name stays with it through refits. Here the biggest spenders get one.
SELECT persona.name_segment('households', segment, 'big spenders')
FROM persona.segment_profile('households') WHERE feature = 'spend' ORDER BY difference DESC LIMIT 1;

-- ## Convert
-- Did a household that was sent a campaign redeem a coupon? Only what was known before the campaign began is used. The
-- campaigns of October and later are held out, so the figures are honest: a fit on the past, judged on the future.
CREATE TABLE journey.campaign_targets AS
WITH offers AS (SELECT DISTINCT campaign_id, product_id FROM journey.coupons),
sent AS (SELECT campaign_id, household_id, campaign_type, start_date FROM journey.campaigns JOIN journey.campaign_descriptions USING (campaign_id)),
shopped AS (
    SELECT campaign_id, household_id, start_date - max(bought_at)::date AS recency_days, count(*) AS baskets,
           sum(spend) AS spend, sum(coupon_discount) AS coupon_discount,
           count(*) FILTER (WHERE coupon_discount > 0) AS coupon_baskets
    FROM sent JOIN journey.baskets USING (household_id)
    WHERE bought_at < start_date AND bought_at >= start_date - 90
    GROUP BY campaign_id, household_id, start_date),
bought AS (
    SELECT campaign_id, household_id, count(DISTINCT product_id) AS offered_products_bought
    FROM sent JOIN journey.transactions USING (household_id) JOIN offers USING (campaign_id, product_id)
    WHERE transaction_timestamp < start_date AND transaction_timestamp >= start_date - 90
    GROUP BY campaign_id, household_id)
SELECT campaign_id, household_id, campaign_type, income, household_size,
       coalesce(recency_days, 91) AS recency_days, coalesce(baskets, 0) AS baskets, coalesce(spend, 0) AS spend,
       coalesce(coupon_discount, 0) AS coupon_discount, coalesce(coupon_baskets, 0) AS coupon_baskets,
       coalesce(offered_products_bought, 0) AS offered_products_bought,
       (SELECT count(*) FROM journey.coupon_redemptions AS r
        WHERE r.household_id = sent.household_id AND r.redemption_date < start_date) AS redeemed_before,
       start_date >= '2017-10-01' AS is_later,
       EXISTS (SELECT FROM journey.coupon_redemptions AS r
               WHERE r.household_id = sent.household_id AND r.campaign_id = sent.campaign_id) AS redeemed
FROM sent LEFT JOIN shopped USING (campaign_id, household_id) LEFT JOIN bought USING (campaign_id, household_id)
LEFT JOIN journey.demographics USING (household_id);

SELECT is_later, count(*) AS sent, round(avg(redeemed::int), 3) AS redeemed FROM journey.campaign_targets GROUP BY is_later ORDER BY 1;

SELECT positive, n_train, n_holdout, round(roc_auc::numeric, 3) AS roc_auc, round(log_loss::numeric, 4) AS log_loss
FROM persona.fit_scorer('redeems', 'SELECT * FROM journey.campaign_targets', target => 'redeemed',
                        features => '{campaign_type,income,household_size,recency_days,baskets,spend,coupon_discount,coupon_baskets,offered_products_bought,redeemed_before}',
                        holdout_column => 'is_later');

-- Beside it, what recency alone would give on the same held-out campaigns.
SELECT round(persona.roc_auc(redeemed, -recency_days)::numeric, 3) AS roc_auc_of_recency_alone
FROM journey.campaign_targets WHERE is_later;

-- Scores, natively: about a microsecond a row.
SELECT household_id, campaign_id, round(persona.score('redeems', t)::numeric, 4) AS probability, redeemed
FROM journey.campaign_targets AS t WHERE is_later ORDER BY 3 DESC LIMIT 5;

-- ## The same scores through ONNX Runtime
-- The fitted pipeline exports as one ONNX graph with one named input per column, and a graph from anywhere imports. It runs
-- in a process of its own: a crash there is an error in a query, never a restart of the database.
SELECT length(persona.export_onnx('redeems')) AS bytes;
SELECT * FROM persona.import_onnx('redeems_onnx', persona.export_onnx('redeems'));
SELECT count(*) AS rows, max(abs(native - onnx)) < 1e-5 AS equal
FROM (SELECT persona.score('redeems', t) AS native, persona.score_batch('redeems_onnx', t) OVER () AS onnx
      FROM journey.campaign_targets AS t) AS both_ways;
SELECT * FROM persona.providers();

-- ## Recommend
-- What else would a household like? Products that the same households buy, with the reason; product types keep it readable.
CREATE TABLE journey.household_types AS
SELECT household_id, product_type, count(*) AS times
FROM journey.transactions JOIN journey.products USING (product_id)
WHERE product_type IS NOT NULL GROUP BY household_id, product_type;

SELECT n_users, n_items, round(ndcg_at_10::numeric, 3) AS ndcg_at_10, round(recall_at_10::numeric, 3) AS recall_at_10
FROM persona.fit_recommender('next_types', 'journey.household_types', user_column => 'household_id', item_column => 'product_type');

SELECT rank, item, round(score::numeric, 3) AS score, because_of FROM persona.recommend('next_types', '1') ORDER BY rank;
SELECT similar_item, round(similarity::numeric, 3) AS similarity FROM persona.similar_items('next_types', 'BABY DIAPERS', 5);

-- ## Publish, and one household's portrait
-- What the models say goes into tables, by difference, and a refit writes only what changed.
CREATE VIEW journey.next_campaign AS
SELECT DISTINCT ON (household_id) * FROM journey.campaign_targets ORDER BY household_id, campaign_id DESC;
SELECT * FROM persona.publish('redeems', 'journey.household_redeems', 'SELECT * FROM journey.next_campaign', key => 'household_id');
SELECT * FROM persona.publish('next_types', 'journey.household_next', n => 5);

SELECT model, kind, answer FROM persona.profile('1');

-- ## Refit
-- Some households have bought again, and the segments are fitted again: they start from the live ones, so they keep their
-- numbers and names, and only the households that moved are written.
CREATE TABLE journey.before AS SELECT household_id, segment FROM journey.household_segment;
UPDATE journey.household_features SET recency_days = 0, baskets = baskets + 20, spend = spend + 900 WHERE household_id % 20 = 0;
SELECT persona.refit('households') AS version;
SELECT count(*) AS households, count(*) FILTER (WHERE now_in.segment <> was_in.segment) AS moved
FROM journey.before AS was_in JOIN journey.household_segment AS now_in USING (household_id);
SELECT model, kind, active_version, n_rows, fitted_at::date AS fitted FROM persona.models ORDER BY model;
