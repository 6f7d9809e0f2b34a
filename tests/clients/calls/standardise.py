"""Descriptions, summaries, scalers, encodings, splits, and what customers did."""

import datetime

from clients.calls import call

AS_OF = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.date(2026, 1, 1)

# Descriptions and summaries
call("describe a table", "SELECT * FROM persona.describe($1)", "customers")
call("describe a query, bins and top as integers", "SELECT column_name, histogram, top_values, top_counts FROM persona.describe($1, $2, $3)",
     "SELECT spend, converted FROM customers WHERE days_since < 30", 5, 2)
call("describe in the list of columns", "SELECT persona.describe('customers')")
call("summary as rows", "SELECT (persona.feature_stats_rows(persona.feature_stats(v))).* FROM (SELECT spend, orders FROM customers) AS v")
call("summary of arrays", "SELECT r.* FROM (SELECT persona.feature_stats(ARRAY[spend, orders]) AS s FROM customers) AS t, persona.feature_stats_rows(s) AS r")
call("summaries, merged", """SELECT persona.mean(s), persona.stddev_pop(s), persona.stddev_samp(s), persona.skewness(s), persona.kurtosis(s)
    FROM (SELECT persona.rollup(s) AS s FROM (SELECT persona.feature_stats(ARRAY[spend, orders]) AS s FROM customers GROUP BY id % 7) AS days) AS merged""")
call("a summary as it is", "SELECT stats::text, quantiles::text FROM fitted")
call("quantiles, q as a float", "SELECT persona.quantile(quantiles, $1), persona.median(quantiles) FROM fitted", 0.9)
call("quantiles, q as NULL", "SELECT persona.quantile(quantiles, $1) FROM fitted", None)
call("quantiles of rows", "SELECT persona.quantile(persona.feature_quantiles(v), $1) FROM (SELECT spend, orders FROM customers) AS v", 0.25)
call("bins, n as an integer", "SELECT b.* FROM fitted, persona.quantile_bins(quantiles, $1) AS b", 4)

# Scalers
SCALERS = ["standard_scaler(stats)", "minmax_scaler(stats)", "maxabs_scaler(stats)", "robust_scaler(quantiles)", "log1p_scaler(quantiles)",
           "yeo_johnson_scaler(quantiles)", "quantile_scaler(quantiles)"]
call("every scaler, an array of floats", "SELECT " + ", ".join(f"persona.scale(persona.{one}, ${n}) AS s{n}" for n, one in enumerate(SCALERS, 1)) + " FROM fitted",
     *([[100.0, 5.0]] * len(SCALERS)))
call("scale an array with a NULL", "SELECT persona.scale(scaler, $1) FROM fitted", [100.0, None])
call("scale an array of integers", "SELECT persona.scale(scaler, $1) FROM fitted", [100, 5], literal="SELECT persona.scale(scaler, ARRAY[100, 5]::float8[]) FROM fitted")
call("scale NULL", "SELECT persona.scale(scaler, $1) FROM fitted", None, literal="SELECT NULL FROM fitted")
call("scale an array given as text", "SELECT persona.scale(scaler, $1) FROM fitted", "{100,5}", literal="SELECT persona.scale(scaler, ARRAY[100, 5]::float8[]) FROM fitted")
call("scale JSON", "SELECT persona.scale(scaler, $1) FROM fitted", {"spend": 100, "orders": 5},
     literal="SELECT persona.scale(scaler, ARRAY[100, 5]::float8[]) FROM fitted")
call("scale rows", "SELECT persona.scale(scaler, c) FROM customers AS c, fitted WHERE id = $1", 7)
call("scale a row of untyped numbers", "SELECT persona.scale(scaler, r) FROM fitted, (SELECT $1 AS orders, $2 AS spend) AS r", 5, 100.5)
call("scale a row with an untyped NULL", "SELECT persona.scale(scaler, r) FROM fitted, (SELECT $1 AS orders, $2 AS spend) AS r", 5, None,
     literal="SELECT persona.scale(scaler, ARRAY[NULL, 5]::float8[]) FROM fitted")
call("unscale an array", "SELECT persona.unscale(scaler, $1) AS of_array, persona.unscale(scaler, r) AS of_row FROM fitted, (SELECT 1.5 AS spend, 0.5 AS orders) AS r", [1.5, 0.5])
call("unscale NULL", "SELECT persona.unscale(scaler, $1) FROM fitted", None, literal="SELECT NULL FROM fitted")
call("a scaler as it is, there and back", "SELECT persona.scale(scaler::text::persona.scaler, $1) FROM fitted", [100.0, 5.0])
call("a scaler to a range", "SELECT persona.scale(persona.minmax_scaler(stats, $1, $2), $3) FROM fitted", -1.0, 1.0, [100.0, 5.0])
call("a scaler to a range of integers", "SELECT persona.scale(persona.minmax_scaler(stats, $1, $2), $3) FROM fitted", -1, 1, [100.0, 5.0])
call("a scaler, its word as text", "SELECT persona.scale(persona.quantile_scaler(quantiles, $1), $2) FROM fitted", "normal", [100.0, 5.0])
call("impute", "SELECT persona.impute($1, persona.median(quantiles)) FROM fitted", [None, 3.0])
call("impute with an array", "SELECT persona.impute($1, $2)", [None, 3.0], [1.0, 2.0])
call("outliers", "SELECT persona.iqr_outliers($1, quantiles, $2), persona.zscore_outliers($3, stats, $4) FROM fitted", [9999.0, 3.0], 1.5, [9999.0, 3.0], 3.0)
call("outliers, defaults and NULL", "SELECT persona.iqr_outliers($1, quantiles), persona.zscore_outliers($2, stats) FROM fitted", None, None,
     literal="SELECT NULL, NULL FROM fitted")
call("windows", """SELECT id, persona.zscore(spend) OVER w, persona.minmax(spend) OVER w, persona.robust(spend) OVER w, persona.winsorize(spend, $1, $2) OVER w
    FROM customers WINDOW w AS (PARTITION BY converted) ORDER BY id LIMIT 3""", 0.05, 0.95)

# Encodings
call("categories", "SELECT persona.category_names(c), persona.category_counts(c), persona.most_frequent(c) FROM (SELECT persona.categories(channel) AS c FROM channels) AS t")
call("categories, at most so many", "SELECT persona.category_names(persona.categories(channel, $1)) FROM channels", 2)
call("categories of varchar, merged", """SELECT persona.category_names(persona.rollup(c))
    FROM (SELECT persona.categories(channel::varchar) AS c FROM channels GROUP BY customer % 3) AS t""")
call("one_hot and ordinal of a text", "SELECT persona.one_hot(levels, $1), persona.ordinal(levels, $2) FROM fitted", "web", "mail")
call("one_hot and ordinal of NULL", "SELECT persona.one_hot(levels, $1), persona.ordinal(levels, $2) FROM fitted", None, None)
call("one_hot and ordinal of a column", "SELECT customer, persona.one_hot(levels, channel), persona.ordinal(levels, channel) FROM channels, fitted ORDER BY customer LIMIT $1", 5)
call("one_hot of an integer", "SELECT persona.one_hot(c, $1) FROM (SELECT persona.categories(customer % 3) AS c FROM channels) AS t", 2)
call("encode a target", "SELECT persona.encode_target(encoder, $1) AS later, persona.encode_target(encoder, $2, $3) AS in_training FROM fitted", "web", "web", "7")
call("encode a target, NULL", "SELECT persona.encode_target(encoder, $1) AS later, persona.encode_target(encoder, $2, $3) AS in_training FROM fitted", None, None, "7")
call("fit a target encoder with options", "SELECT persona.encode_target(persona.target_encoder(channel, converted::int, customer::text, $1), 'web') FROM channels", {"folds": 3})
call("hash_features", "SELECT persona.hash_features($1, $2)", ["channel=web", "customer=7"], 16)
call("hash_features, NULL among the texts", "SELECT persona.hash_features($1, $2)", ["channel=web", None], 8)
call("cycles", "SELECT persona.hour_cycle($1), persona.weekday_cycle($2), persona.month_cycle($3), persona.cyclic($4, $5)", AS_OF, AS_OF, AS_OF, 3.0, 12.0,
     literal="""SELECT persona.hour_cycle(timestamptz '2026-01-01 00:00+00'), persona.weekday_cycle(timestamptz '2026-01-01 00:00+00'),
         persona.month_cycle(timestamptz '2026-01-01 00:00+00'), persona.cyclic(3, 12)""")
call("cycles of a time as text, integers", "SELECT persona.hour_cycle($1), persona.cyclic($2, $3)", "2025-01-01 23:30+00", 3, 12, is_untyped=True)
call("cycles of NULL", "SELECT persona.hour_cycle($1), persona.weekday_cycle($2), persona.month_cycle($3)", None, None, None)
call("interactions and polynomial", "SELECT persona.interactions($1), persona.polynomial($2)", [2.0, 3.0, 5.0], [2.0, 3.0])

# Splits
call("fold and keep of an integer", "SELECT persona.fold($1, $2), persona.keep($3, $4)", 7, 5, 7, 0.5)
call("fold and keep of a text", "SELECT persona.fold($1, $2, $3), persona.keep($4, $5, $6)", "seven", 5, 1, "seven", 0.5, 1)
call("fold and keep of NULL", "SELECT persona.fold($1, $2), persona.keep($3, $4)", None, 5, None, 0.5)
call("fold of a column, by name", "SELECT persona.fold(customer, k => $1, seed => $2) AS fold, count(*) FROM channels GROUP BY 1 ORDER BY 1", 5, 1)
call("copies", "SELECT converted, sum(n) FROM (SELECT *, persona.copies(converted) OVER (ORDER BY customer) AS n FROM channels) AS t GROUP BY 1 ORDER BY 1")

# Recency, frequency, monetary value
READERS = ["recency", "customer_age", "purchase_span"]
FIGURES = ["frequency", "repeat_days", "monetary", "mean_amount", "repeat_amount"]
call("rfm, readers at a time", f"SELECT {', '.join(f'persona.{one}(rfm, ${n})' for n, one in enumerate(READERS + FIGURES, 1))} FROM rfms WHERE customer = 7", *([AS_OF] * 8))
call("rfm, readers at a date", f"SELECT {', '.join(f'persona.{one}(rfm, ${n}::date)' for n, one in enumerate(READERS + FIGURES, 1))} FROM rfms WHERE customer = 7", *([DAY] * 8))
# A second argument of purchase_span that is a text is the unit.
call("rfm, readers at a text", f"SELECT {', '.join(f'persona.{one}(rfm, as_of => ${n})' for n, one in enumerate(READERS + FIGURES, 1))} FROM rfms WHERE customer = 7",
     *(["2026-01-01"] * 8), is_untyped=True)
call("rfm, readers at NULL", f"SELECT {', '.join(f'persona.{one}(rfm, ${n})' for n, one in enumerate(READERS, 1))} FROM rfms WHERE customer = 7", None, None, None,
     literal="SELECT NULL, NULL, NULL FROM rfms WHERE customer = 7")
call("rfm, readers without a time", f"SELECT persona.purchase_span(rfm), {', '.join(f'persona.{one}(rfm)' for one in FIGURES)} FROM rfms WHERE customer = $1", 7)
call("rfm, unit and refunds as texts", "SELECT persona.recency(rfm, $1, $2, $3) FROM rfms WHERE customer = 7", AS_OF, "day", "net")
call("rfm, time zone as text", "SELECT persona.repeat_days(persona.rfm(bought_at, amount, $1)) FROM purchases WHERE customer = 7", "Europe/Berlin")
call("rfm, time zone as NULL", "SELECT persona.repeat_days(persona.rfm(bought_at, amount, $1)) FROM purchases WHERE customer = 7", None,
     literal="SELECT persona.repeat_days(persona.rfm(bought_at, amount, NULL)) FROM purchases WHERE customer = 7")
call("rfm of dates, merged", """SELECT persona.frequency(persona.rollup(r)), persona.monetary(persona.rollup(r, $1))
    FROM (SELECT persona.rfm(bought_at::date, amount) AS r FROM purchases WHERE customer < 5 GROUP BY customer) AS t""", "UTC")
call("rfm scores, spread out", "SELECT customer, (persona.rfm_segment(rfm, $1) OVER ()).* FROM rfms ORDER BY customer LIMIT 5", AS_OF)
call("rfm scores, as one value", "SELECT customer, persona.rfm_segment(rfm, $1::date, $2) OVER () FROM rfms ORDER BY customer LIMIT 5", DAY, 10)
call("rfm scores at a text", "SELECT customer, persona.rfm_segment(rfm, $1) OVER () FROM rfms ORDER BY customer LIMIT 5", "2026-01-01", is_untyped=True)

# Behaviour
call("behaviour, features at a time", "SELECT f.* FROM behaviours, persona.features(behaviour, $1) AS f WHERE customer = 7", AS_OF)
call("behaviour, features at a date, kinds as texts", "SELECT f.* FROM behaviours, persona.features(behaviour, $1::date, $2) AS f WHERE customer = 7", DAY, ["view", "cart"])
call("behaviour, kinds as NULL", "SELECT count(*) FROM behaviours, persona.features(behaviour, $1, $2) AS f", AS_OF, None)
call("behaviour as an array", "SELECT customer, persona.behaviour_vector(behaviour, $1, $2, missing => $3) FROM behaviours ORDER BY 1 LIMIT 2", AS_OF, ["view", "purchase"], 0)
call("behaviour as an array, kinds as a text", "SELECT persona.behaviour_vector(behaviour, $1, $2) FROM behaviours ORDER BY customer LIMIT 2", "2026-01-01", "{view,purchase}", is_untyped=True)
call("names of behaviour", "SELECT persona.behaviour_feature_names($1)", ["view", "cart", "purchase"])
call("columns of an array", "SELECT persona.array_columns($1, $2)", "features", ["days", "mean gap"])
call("behaviour, merged", """SELECT count(*), min(value) FROM persona.features((SELECT persona.rollup(b) FROM
    (SELECT persona.behaviour(event, happened_at, amount, $1) AS b FROM events GROUP BY customer) AS t), as_of => $2)""", "Europe/Berlin", AS_OF)
