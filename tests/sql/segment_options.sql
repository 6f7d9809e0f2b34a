-- The options of the aggregates kmeans and gaussian_mixture: what is declared, what is refused.
CREATE TABLE cloud AS SELECT i, (i * 7919 % 101)::float8 AS x, (i % 13)::float8 AS y FROM generate_series(1, 200) AS i;
SELECT algorithm, parameter, type, default_value, range FROM persona.algorithms WHERE kind = 'segments';

-- Given or not, a default is the same; NULL gives none.
SELECT persona.kmeans(ARRAY[x, y], 3)::text = persona.kmeans(ARRAY[x, y], 3, '{"seed": 0, "max_iterations": 100, "n_init": 1, "seeding": "auto", "scaling": "none", "metric": "euclidean"}')::text AS kmeans,
       persona.kmeans(ARRAY[x, y], 3)::text = persona.kmeans(ARRAY[x, y], 3, NULL)::text AS of_null,
       persona.gaussian_mixture(ARRAY[x, y], 2)::text = persona.gaussian_mixture(ARRAY[x, y], 2, '{"covariance": "full", "regularization": 1e-6, "tolerance": 0.001, "max_iterations": 100, "seed": 0}')::text AS mixture,
       persona.kmeans(ARRAY[x, y], 3, '{"seed": 9223372036854775807}') IS NOT NULL AS seeds
FROM cloud;

-- Refused.
SELECT persona.kmeans(ARRAY[x], 2, '{"max_iterations": 0}') FROM cloud;
\echo :SQLSTATE
SELECT persona.kmeans(ARRAY[x], 2, '{"max_iterations": 2147483648}') FROM cloud;
SELECT persona.kmeans(ARRAY[x], 2, '{"n_init": 1.5}') FROM cloud;
SELECT persona.kmeans(ARRAY[x], 2, '{"seed": 9223372036854775808}') FROM cloud;
SELECT persona.kmeans(ARRAY[x], 2, '{"seed": 1e400}') FROM cloud;
SELECT persona.kmeans(ARRAY[x], 2, '{"seeding": null}') FROM cloud;
SELECT persona.kmeans(ARRAY[x], 2, '{"metric": "Cosine"}') FROM cloud;
SELECT persona.kmeans(ARRAY[x], 2, '{"tolerance": 1}') FROM cloud;
\echo :SQLSTATE
SELECT persona.kmeans(ARRAY[x], 2, '1') FROM cloud;
\echo :SQLSTATE
SELECT persona.kmeans(ARRAY[x], 2, '[{"seed": 1}]') FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], 2, '{"regularization": 1000001}') FROM cloud;
\echo :SQLSTATE
SELECT persona.gaussian_mixture(ARRAY[x], 2, '{"tolerance": "0"}') FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], 2, '{"tolerance": -1e400}') FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], 2, '{"scaling": "none"}') FROM cloud;
\echo :SQLSTATE
SELECT persona.gaussian_mixture(ARRAY[x], 2, '{"weight_column": "y"}') FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], 2, '"full"') FROM cloud;
