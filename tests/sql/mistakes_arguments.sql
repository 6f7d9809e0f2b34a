-- What beginners write as arguments, and what they are told: the thing, its name, and what to type.
\set VERBOSITY default
\set SHOW_CONTEXT errors
CREATE TABLE customers AS
SELECT id::bigint, (ARRAY['Delft', 'Graz', 'Lyon'])[1 + id % 3] AS city, (20 + id % 97 + 200 * (id % 3 = 0)::int)::float8 AS spend,
       1 + id % 12 AS orders, (id % 3 = 0 OR id % 7 = 1) AS converted, id % 3 AS grade, true AS always
FROM generate_series(1, 200) AS id;
CREATE TABLE bought AS
SELECT id % 20 AS user_id, id * 7 % 37 AS item_id, 'i' || id * 7 % 37 AS title, 1 + id % 3 AS quantity, date '2025-01-01' + id / 20 AS bought_on
FROM generate_series(1, 400) AS id;
CREATE TABLE purchases AS
SELECT id % 50 AS customer, timestamptz '2025-01-01' + id * interval '7 hours' AS bought_at, (5 + id * 13 % 40)::float8 AS amount FROM generate_series(1, 500) AS id;
SELECT FROM persona.fit_segments('segments', 'SELECT id, spend, orders FROM customers', 'id', 3);
SELECT FROM persona.fit_scorer('conversion', 'SELECT spend, orders, city, converted FROM customers', 'converted');
SELECT FROM persona.fit_recommender('products', 'bought');
SELECT FROM persona.fit_recommender('titles', 'bought', item_column => 'title');

-- Segments
-- 1. No segments.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend FROM customers', 'id', 0);
-- 2. More segments than rows.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend FROM customers LIMIT 5', 'id', 10);
-- 3. More segments than distinct rows.
SELECT count(*) FROM persona.fit_segments('few', 'SELECT id, grade FROM customers', 'id', 5);
-- 4. The arguments in the wrong order.
SELECT * FROM persona.fit_segments('new', 'id', 'customers', 3);
-- 5. k in the place of the key.
SELECT * FROM persona.fit_segments('new', 'customers', 3);
-- 6. k as a text.
SELECT * FROM persona.fit_segments('new', 'customers', 'id', 'three');
-- 7. An argument that there is not.
SELECT * FROM persona.fit_segments('new', 'customers', 'id', n_clusters => 3);
-- 8. = instead of =>.
SELECT * FROM persona.fit_segments('new', 'customers', 'id', k = 3);
-- 9. A scaling that there is not.
SELECT * FROM persona.fit_segments('new', 'customers', 'id', 3, scaling => 'zscore');
-- 10. A metric that there is not.
SELECT * FROM persona.fit_segments('new', 'customers', 'id', 3, metric => 'manhattan');
-- 11. Weights of a column that there is not.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend, orders FROM customers', 'id', 3, weights => '{"spent": 2}');
-- 12. Weights that are no object.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend, orders FROM customers', 'id', 3, weights => '[2, 1]');
-- 13. A weight that is a text.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend, orders FROM customers', 'id', 3, weights => '{"spend": "2"}');
-- 14. k_max below k_min.
SELECT * FROM persona.choose_k('SELECT spend, orders FROM customers', 6, 2);
-- 15. An option of kmeans that there is not.
SELECT persona.kmeans(v, 3, '{"iterations": 10}') FROM (SELECT spend, orders FROM customers) AS v;
-- 16. An option of kmeans of another type.
SELECT persona.kmeans(v, 3, '{"seed": "one"}') FROM (SELECT spend, orders FROM customers) AS v;
-- 17. JSON with single quotes within.
SELECT persona.kmeans(v, 3, '{''seed'': 1}') FROM (SELECT spend, orders FROM customers) AS v;
-- 18. An existing table that is not the model's.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend FROM customers', 'id', 3, save_to => 'bought');
-- 19. Weights of rows in a column of texts.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend, city FROM customers', 'id', 3, weight_column => 'city');
-- 20. The key among the features.
SELECT * FROM persona.fit_segments('of_key', 'SELECT id, spend FROM customers', 'id', 3, features => '{id,spend}');
-- 21. A segment that there is not gets a name.
SELECT persona.name_segment('segments', 9, 'regulars');

-- Scorers
-- 22. A target that is not in the source.
SELECT * FROM persona.fit_scorer('new', 'SELECT spend, converted FROM customers', 'conversion');
-- 23. A target with three classes.
SELECT * FROM persona.fit_scorer('new', 'SELECT spend, grade FROM customers', 'grade');
-- 24. A target with one class.
SELECT * FROM persona.fit_scorer('new', 'SELECT spend, always FROM customers', 'always');
-- 25. A target that is a number.
SELECT * FROM persona.fit_scorer('new', 'SELECT orders, spend FROM customers', 'spend');
-- 26. A target alone, without features.
SELECT * FROM persona.fit_scorer('new', 'SELECT converted FROM customers', 'converted');
-- 27. A positive class that there is not.
SELECT * FROM persona.fit_scorer('new', 'SELECT spend, converted FROM customers', 'converted', positive => 'yes');
-- 28. An algorithm that there is not.
SELECT * FROM persona.fit_scorer('new', 'SELECT spend, converted FROM customers', 'converted', 'random_forest');
-- 29. A parameter that there is not.
SELECT * FROM persona.fit_scorer('new', 'SELECT spend, converted FROM customers', 'converted', parameters => '{"C": 1}');
-- 30. A parameter of another type.
SELECT * FROM persona.fit_scorer('new', 'SELECT spend, converted FROM customers', 'converted', parameters => '{"l2": "10"}');
-- 31. A parameter out of its range.
SELECT * FROM persona.fit_scorer('new', 'SELECT spend, converted FROM customers', 'converted', parameters => '{"l2": -1}');
-- 32. JSON that is none.
SELECT * FROM persona.fit_scorer('new', 'SELECT spend, converted FROM customers', 'converted', parameters => 'l2=1');
-- 33. A share in per cent.
SELECT * FROM persona.fit_scorer('new', 'SELECT spend, converted FROM customers', 'converted', holdout => 20);
-- 34. A column of the rows to hold out that is no boolean.
SELECT * FROM persona.fit_scorer('new', 'SELECT spend, orders, converted FROM customers', 'converted', holdout_column => 'orders');
-- 35. The target among the features.
SELECT * FROM persona.fit_scorer('new', 'customers', 'converted', features => '{spend,converted}');
-- 36. A target with a NULL.
SELECT * FROM persona.fit_scorer('new', 'SELECT spend, nullif(grade, 2) = 1 AS good FROM customers', 'good');
-- 37. The target and the source are swapped.
SELECT * FROM persona.fit_scorer('new', 'converted', 'SELECT spend, converted FROM customers');
-- 38. score_batch without OVER ().
SELECT persona.score_batch('conversion', c) FROM customers AS c;
-- 39. Labels that are numbers.
SELECT persona.roc_auc(converted::int, persona.score('conversion', c)) FROM customers AS c;
-- 40. Scores and labels are swapped.
SELECT persona.roc_auc(persona.score('conversion', c), converted) FROM customers AS c;
-- 41. A score that is no probability.
SELECT persona.log_loss(converted, spend) FROM customers;
-- 42. The target is not in what is evaluated.
SELECT * FROM persona.evaluate('conversion', 'SELECT spend, orders, city FROM customers', 'converted');
-- 43. The path of a file instead of a graph's bytes.
SELECT * FROM persona.import_onnx('new', '/tmp/model.onnx');
-- 44. Bytes that are no graph.
SELECT * FROM persona.import_onnx('new', decode('cafe', 'hex'));
-- 45. No bytes.
SELECT * FROM persona.import_onnx('new', ''::bytea);
-- 46. Segments are exported as a graph.
SELECT persona.export_onnx('segments');

-- Recommenders
-- 47. Columns that are called otherwise.
SELECT * FROM persona.fit_recommender('new', 'SELECT user_id AS customer, item_id FROM bought');
-- 48. A column of weights that is not in the source.
SELECT * FROM persona.fit_recommender('new', 'bought', weight_column => 'amount');
-- 49. A column of times that is none.
SELECT * FROM persona.fit_recommender('new', 'bought', time_column => 'title');
-- 50. A customer as a text that is no integer.
SELECT * FROM persona.recommend('products', 'seven');
-- 51. A customer as an integer, where items are texts.
SELECT * FROM persona.recommend('titles', 7);
-- 52. No items.
SELECT * FROM persona.recommend('products', 7, n => 0);
-- 53. One item instead of a basket.
SELECT * FROM persona.recommend_for('products', 4);
-- 54. A basket of integers, where items are texts.
SELECT * FROM persona.recommend_for('titles', ARRAY[1, 4]);
-- Times and windows
-- 55. A time zone that there is not.
SELECT persona.rfm(bought_at, amount, 'Europe/Nowhere') FROM purchases;
-- 56. The amount before the time.
SELECT persona.rfm(amount, bought_at) FROM purchases;
-- 57. A unit that there is not.
SELECT persona.recency(persona.rfm(bought_at, amount), '2026-01-01', 'days') FROM purchases;
-- 58. A window function without OVER.
SELECT persona.zscore(amount) FROM purchases;
-- 59. An aggregate beside a column that is not grouped.
SELECT customer, persona.rfm(bought_at, amount) FROM purchases;
-- 60. rfm_segment without OVER.
SELECT persona.rfm_segment(persona.rfm(bought_at, amount), '2026-01-01') FROM purchases GROUP BY customer;
-- 61. A function without its schema.
SELECT describe('customers');
-- 62. The fold of no folds.
SELECT persona.fold(id, 0) FROM customers LIMIT 1;
-- 63. A setting that there is not.
SET persona.max_memory = '1GB';
