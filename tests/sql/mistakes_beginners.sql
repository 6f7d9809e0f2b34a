-- What beginners do wrong, and what they are told: the thing, its name, and what to type.
\set VERBOSITY default
\set SHOW_CONTEXT errors
CREATE TABLE customers AS
SELECT id::bigint, 'name ' || id AS name, (ARRAY['Delft', 'Graz', 'Lyon'])[1 + id % 3] AS city, (20 + id % 97 + 200 * (id % 3 = 0)::int)::float8 AS spend,
       1 + id % 12 AS orders, timestamptz '2025-01-01 12:00+00' + id * interval '1 hour' AS signed_up, (id % 3 = 0 OR id % 7 = 1) AS converted,
       id % 3 AS grade, NULL::float8 AS nothing, 5.0::float8 AS five, CASE WHEN id = 7 THEN 'Infinity'::float8 ELSE id % 11 END AS wild,
       ARRAY[id % 5, id % 7]::float8[] AS embedding, jsonb_build_object('visits', id % 4) AS extra, (id % 50)::text AS visits_text
FROM generate_series(1, 200) AS id;
CREATE TABLE bought AS
SELECT id % 20 AS user_id, id * id % 17 AS item_id, 1 + id % 3 AS quantity, date '2025-01-01' + id / 20 AS bought_on FROM generate_series(1, 400) AS id;
CREATE TABLE "Customers 2025" AS SELECT id, spend AS "Spend", orders AS "Orders" FROM customers;
CREATE SCHEMA shop;
CREATE TABLE shop.visitors AS SELECT id, spend, orders FROM customers;
CREATE TABLE empty (id bigint, spend float8, converted boolean);
SELECT FROM persona.fit_segments('segments', 'SELECT id, spend, orders FROM customers', 'id', 3);
SELECT FROM persona.fit_scorer('conversion', 'SELECT spend, orders, city, converted FROM customers', 'converted');
SELECT FROM persona.fit_recommender('products', 'bought');
CREATE TABLE fitted AS
SELECT (SELECT persona.standard_scaler(v) FROM (SELECT spend, orders FROM customers) AS v) AS scaler,
       (SELECT persona.kmeans(v, 3) FROM (SELECT spend, orders FROM customers) AS v) AS clusters;
CREATE ROLE mistaken_analyst;
GRANT SELECT ON customers TO mistaken_analyst;

-- Models and their names
-- 1. A model's name is misspelt.
SELECT persona.score('convertion', c) FROM customers AS c LIMIT 1;
-- 2. A model of another kind.
SELECT persona.score('segments', c) FROM customers AS c LIMIT 1;
-- 3. Segments are asked of a scorer.
SELECT persona.segment('conversion', c) FROM customers AS c LIMIT 1;
-- 4. Items are asked of segments.
SELECT * FROM persona.recommend('segments', 7);
-- 5. The model is NULL.
SELECT * FROM persona.fit_segments(NULL, 'customers', 'id', 3);
-- 6. The name is empty.
SELECT * FROM persona.fit_segments('', 'customers', 'id', 3);
-- 7. The name is too long.
SELECT * FROM persona.fit_segments(repeat('a_long_name_', 30), 'customers', 'id', 3);
-- 8. The model's name is an identifier, as a table's.
SELECT persona.score(conversion, c) FROM customers AS c LIMIT 1;
-- 9. The model's name in double quotes.
SELECT persona.score("conversion", c) FROM customers AS c LIMIT 1;
-- 10. A name that another kind of model has.
SELECT * FROM persona.fit_segments('conversion', 'SELECT id, spend FROM customers', 'id', 3);
-- 11. A version that there is not.
SELECT persona.activate('segments', 9);
-- 12. The active version is dropped.
SELECT persona.drop_version('segments', 1);
-- 13. The model is not published, and its history is asked for.
SELECT * FROM persona.segment_changes('segments');
-- 14. Somebody without a right to the model.
SET ROLE mistaken_analyst;
SELECT persona.score('conversion', c) FROM customers AS c LIMIT 1;
-- 15. Somebody without a right to the table.
SELECT * FROM persona.fit_recommender('mine', 'bought');
RESET ROLE;
-- 16. Somebody who may use the model, and refits it.
SELECT persona.grant_model('conversion', 'mistaken_analyst');
SET ROLE mistaken_analyst;
SELECT persona.refit('conversion');
-- 17. Somebody who may use the model, and fits into it.
SELECT * FROM persona.fit_scorer('conversion', 'SELECT spend, converted FROM customers', 'converted');
RESET ROLE;
-- 18. A role that there is not.
SELECT persona.grant_model('conversion', 'analist');
-- 19. A right that there is not.
SELECT persona.grant_model('conversion', 'mistaken_analyst', 'select');
-- 20. Nothing may be written here.
BEGIN READ ONLY;
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend FROM customers', 'id', 3);
ROLLBACK;
-- 21. A procedure in a SELECT.
SELECT persona.refit_job('segments');
-- 22. A procedure in a transaction.
BEGIN;
CALL persona.refit_job('segments');
ROLLBACK;
-- 23. A scorer's table, without the rows to score.
SELECT * FROM persona.publish('conversion', 'customer_score');
-- 24. A table that has rows already.
SELECT * FROM persona.publish('segments', 'bought');
-- 25. A function without its schema.
SELECT score('conversion', c) FROM customers AS c LIMIT 1;

-- Sources
-- 26. A table that there is not.
SELECT * FROM persona.fit_segments('new', 'custmers', 'id', 3);
-- 27. A table in another schema, without its name.
SELECT * FROM persona.fit_segments('new', 'visitors', 'id', 3);
-- 28. A table with capital letters, without quotes.
SELECT * FROM persona.fit_segments('new', 'Customers 2025', 'id', 3);
-- 29. A column that there is not.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spent FROM customers', 'id', 3);
-- 30. A query with an error in it.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend, FROM customers', 'id', 3);
-- 31. A query that ends with a semicolon.
SELECT count(*) FROM persona.fit_segments('semicolon', 'SELECT id, spend FROM customers;', 'id', 3);
-- 32. Two queries.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend FROM customers; SELECT 1', 'id', 3);
-- 33. A query that writes.
SELECT * FROM persona.fit_segments('new', 'DELETE FROM customers RETURNING id, spend', 'id', 3);
-- 34. A query that begins with a comment.
SELECT count(*) FROM persona.fit_segments('comment', '-- my customers
SELECT id, spend FROM customers', 'id', 3);
-- 35. A query without FROM.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend', 'id', 3);
-- 36. A quote that is not doubled.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend FROM customers WHERE city = 'Delft'', 'id', 3);
-- 37. A subquery instead of its text.
SELECT * FROM persona.fit_segments('new', (SELECT id, spend FROM customers), 'id', 3);
-- 38. An empty table.
SELECT * FROM persona.fit_segments('new', 'empty', 'id', 3);
-- 39. The same, for a scorer.
SELECT * FROM persona.fit_scorer('new', 'empty', 'converted');

-- Columns and their types
-- 40. The key is not a column of the source.
SELECT * FROM persona.fit_segments('new', 'SELECT spend, orders FROM customers', 'id', 3);
-- 41. The key is not unique.
SELECT * FROM persona.fit_segments('by_city', 'SELECT city, spend FROM customers', 'city', 3);
-- 42. The same, and a table with a row per key.
SELECT * FROM persona.fit_segments('by_city', 'SELECT city, spend FROM customers', 'city', 3, save_to => 'city_segment');
-- 43. The key is NULL in some rows.
SELECT * FROM persona.fit_segments('new', 'SELECT nullif(id, 7) AS id, spend FROM customers', 'id', 3);
-- 44. A text column as a number.
SELECT * FROM persona.fit_segments('new', 'SELECT id, visits_text FROM customers', 'id', 3);
-- 45. A feature that is not in the source.
SELECT * FROM persona.fit_segments('new', 'customers', 'id', 3, features => '{spend,visits}');
-- 46. A column with a capital letter, without it.
SELECT * FROM persona.fit_segments('new', '"Customers 2025"', 'id', 3, features => '{spend}');
-- 47. A time as a feature.
SELECT * FROM persona.fit_segments('of_times', 'SELECT id, signed_up FROM customers', 'id', 3);
-- 48. A time as a feature, by its name.
SELECT * FROM persona.fit_segments('of_times', 'customers', 'id', 3, features => '{spend,signed_up}');
-- 49. JSON as a feature.
SELECT * FROM persona.fit_scorer('new', 'SELECT extra, converted FROM customers', 'converted', features => '{extra}');
-- 50. A column of NULLs alone.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend, nothing FROM customers', 'id', 3);
-- 51. A constant column alone.
SELECT * FROM persona.fit_segments('new', 'SELECT id, five FROM customers', 'id', 3);
-- 52. An infinite value.
SELECT * FROM persona.fit_segments('new', 'SELECT id, wild FROM customers', 'id', 3);
-- 53. Two columns of one name.
SELECT * FROM persona.fit_segments('new', 'SELECT id, spend, orders AS spend FROM customers', 'id', 3);
-- 54. Features in one text, with commas.
SELECT * FROM persona.fit_segments('new', 'customers', 'id', 3, features => 'spend,orders');
-- 55. Arrays whose widths differ.
SELECT persona.kmeans(CASE WHEN id = 7 THEN ARRAY[1, 2, 3] ELSE ARRAY[id, id % 2] END, 3) FROM customers;
-- 56. An array of another width than that of the fit.
SELECT persona.scale(scaler, ARRAY[1, 2, 3]) FROM fitted;
-- 57. Columns instead of an array.
SELECT persona.kmeans(spend, orders, 3) FROM customers;
-- 58. One number instead of an array.
SELECT persona.standard_scaler(spend) FROM customers;
-- 59. A forgotten ROW: columns instead of a row.
SELECT persona.score('conversion', spend, orders, city) FROM customers LIMIT 1;
-- 60. ROW(...), whose columns have no names.
SELECT persona.score('conversion', ROW(spend, orders, city)) FROM customers LIMIT 1;
-- 61. An array instead of a row.
SELECT persona.score('conversion', ARRAY[spend, orders]) FROM customers LIMIT 1;
-- 62. One column instead of the row.
SELECT persona.score('conversion', spend) FROM customers LIMIT 1;
-- 63. A row without one of the columns.
SELECT persona.score('conversion', v) FROM (SELECT spend, orders FROM customers LIMIT 1) AS v;
-- 64. A text where the model knows a number.
SELECT persona.score('conversion', v) FROM (SELECT 'much' AS spend, orders, city FROM customers LIMIT 1) AS v;
-- 65. A number where the model knows a text.
SELECT persona.score('conversion', v) FROM (SELECT spend, orders, grade AS city FROM customers LIMIT 1) AS v;
-- 66. A table's alias that is a column's name, too.
SELECT persona.score('conversion', city) FROM customers AS city LIMIT 1;
-- 67. A name of this SELECT in its WHERE.
SELECT persona.score('conversion', c) AS score FROM customers AS c WHERE score > 0.5;
-- 68. A count instead of the rows.
SELECT persona.score('conversion', count(*)) FROM customers;
-- 69. All columns as features, the key among them.
SELECT n_rows FROM persona.fit_scorer('with_key', 'SELECT id, spend, orders, converted FROM customers', 'converted');
-- 70. FROM is forgotten.
SELECT persona.score('conversion', customers);
-- 71. The star instead of the row.
SELECT persona.score('conversion', c.*) IS NOT NULL AS scored FROM customers AS c LIMIT 1;
SELECT persona.score('conversion', *) FROM customers LIMIT 1;

DROP OWNED BY mistaken_analyst;
DROP ROLE mistaken_analyst;
