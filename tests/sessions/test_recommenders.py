"""Recommenders beside arithmetic of our own: keys that are equal in SQL, what a holdout measures, and what to have again."""

import math
import struct
from collections import Counter, defaultdict

from lib.needs import needs
from lib.stops import stop

# A type of keys, three writings of one key and one of another, and a text that asks for the first.
KEYS = {
    "numeric": ["5", "5.0", "5.00", "6", "5.000"],
    "amount": ["5", "5.0", "5.00", "6", "05"],
    "numeric(12,2)": ["5", "5.0", "5.00", "6", "5"],
    "double precision": ["0", "-0", "0.0", "1e20", "-0.0"],
    "real": ["0.1", "0.1000000001", "1e-1", "0.2", "0.10"],
    "character(8)": ["ab", "ab ", "ab   ", "ac", "ab  "],
    "code": ["ab", "ab ", "ab   ", "ac", "ab  "],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}",
             "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC999C0B4EF8BB6D6BB9BD380A11"],
    "boolean": ["true", "t", "yes", "false", "on"],
    "date": ["2024-01-02", "2024-1-2", "20240102", "2024-01-03", "January 2, 2024"],
    "timestamp": ["2024-01-02 12:00", "2024-01-02T12:00:00", "20240102 120000", "0044-03-15 12:00 BC", "Jan 2 12:00:00 2024"],
    "timestamptz": ["2024-01-02 12:00+00", "2024-01-02 13:00+01", "2024-01-02T12:00:00Z", "infinity", "2024-01-02 07:00:00-05"],
    "time": ["12:00", "12:00:00", "12:00 PM", "12:00:00.5", "120000"],
    "interval": ["1 day", "24:00:00", "24 hours", "-1 mon 2 days", "1440 minutes"],
    "jsonb": ['{"a": 1.0}', '{"a":1.00}', '{"a": 1}', '{"a": "1.0"}', '{ "a" : 1.000 }'],
    "numeric[]": ["{1.0,2}", "{1,2.0}", "{1.00,2.00}", "{1,NULL}", "{ 1 , 2 }"],
    "numrange": ["[1.0,2)", "[1,2.0)", "[1.00,2.00)", "(,2)", "[ 1, 2)"],
    "inet": ["10.0.0.1", "10.0.0.1/32", "10.0.0.1", "10.0.0.1/8", "10.0.0.1/32"],
}
KEYS_OF_CITEXT = {"citext": ["Ann", "ANN", "ann", "Bob", "aNN"], "email": ["Ann", "ANN", "ann", "Bob", "aNN"]}
TYPES = "CREATE DOMAIN amount AS numeric; CREATE DOMAIN code AS character(8)"
TYPES_OF_CITEXT = "CREATE EXTENSION citext; CREATE DOMAIN email AS citext"


def test_keys_that_are_equal_in_sql_are_one_user_and_one_item(cluster):
    check_keys(cluster, TYPES, KEYS)


def test_keys_of_citext_that_are_equal_in_sql_are_one_user_and_one_item(cluster):
    needs(cluster, "citext")
    check_keys(cluster, TYPES_OF_CITEXT, KEYS_OF_CITEXT)


def check_keys(cluster, types, keys):
    with cluster.connect() as session:
        session.query(types)
        for type_name, (first, second, third, other, asked) in keys.items():
            assert session.scalar(f"SELECT '{first}'::{type_name} = '{second}'::{type_name} AND '{first}'::{type_name} = '{third}'::{type_name}"), type_name
            session.query(f"DROP TABLE IF EXISTS had; CREATE TABLE had (user_id {type_name}, item_id {type_name})")
            # One user has all; the other has another item, too, so that there is something to offer.
            session.query(f"INSERT INTO had VALUES ('{first}', '{first}'), ('{second}', '{first}'), ('{third}', '{second}'), ('{other}', '{third}'), ('{other}', '{other}')")
            found = session.rows("SELECT n_users, n_items FROM persona.fit_recommender('m', 'had', holdout => 0)")
            assert found == [(2, 2)], (type_name, found)
            (shown,) = session.rows(f"SELECT item, because_of, is_popular FROM persona.recommend('m', '{asked}'::text, 1)")
            assert session.scalar(f"SELECT '{shown[0]}'::{type_name} = '{other}'::{type_name}"), (type_name, shown)
            assert shown[2] is False and session.scalar(f"SELECT '{shown[1]}'::{type_name} = '{first}'::{type_name}"), (type_name, shown)
            assert session.rows(f"SELECT is_popular FROM persona.recommend_for('m', ARRAY['{asked}'], 1)") == [(False,)], type_name
            assert session.scalar(f"SELECT count(*) FROM persona.similar_items('m', '{asked}'::text)") == 1, type_name
            # The rows of a source in another writing are those of the model's users.
            found = session.rows(f"SELECT n_users, n_unknown_users, ndcg FROM persona.evaluate_recommender('m', $$SELECT '{asked}'::text AS user_id, '{other}'::{type_name} AS item_id$$)")
            assert found == [(1, 0, 1.0)], (type_name, found)
            # Everyone's pages, in a table whose keys join with those of the source.
            session.query("SELECT FROM persona.save_recommendations('m', save_to => 'pages', n => 2)")
            joined = session.scalar(f"SELECT count(DISTINCT p.user_id) FROM pages AS p JOIN had AS h ON h.user_id = p.user_id::{type_name}")
            assert joined == session.scalar("SELECT count(DISTINCT user_id) FROM pages"), type_name
            before = session.scalar("SELECT sha256 FROM persona.model_versions WHERE model = 'm' AND version = 1")
            session.query(f"UPDATE had SET user_id = '{second}' WHERE user_id = '{first}'")
            session.query("SELECT persona.refit('m')")
            if type_name not in KEYS_OF_CITEXT:
                assert session.scalar("SELECT sha256 FROM persona.model_versions WHERE model = 'm' AND version = 2") == before, type_name
            session.query("SELECT persona.drop_model('m'); DROP TABLE pages")


def test_keys_hang_on_no_setting_of_a_session(cluster):
    """Times and spans of a model that was fitted in one zone and style are known in another, and a refit there changes nothing."""
    with cluster.connect() as session:
        # Not Asia/Kolkata, whose IST is Israel to PostgreSQL before 18: what a time is written as there is another time.
        settings = [("Asia/Dhaka", "German", "sql_standard"), ("UTC", "ISO", "postgres"), ("America/New_York", "SQL, MDY", "iso_8601")]
        session.query("CREATE TABLE had AS SELECT '2024-01-31 22:30+00'::timestamptz + i % 7 * interval '5 hours' AS user_id, i * i % 11 * interval '11 hours' AS item_id FROM generate_series(1, 40) AS i")
        pages, first = None, True
        for zone, style, spans in settings:
            session.query(f"SET timezone = '{zone}'; SET datestyle = '{style}'; SET intervalstyle = '{spans}'")
            session.query("SELECT FROM persona.fit_recommender('m', 'had', holdout => 0)" if first else "SELECT persona.refit('m')")
            found = session.rows("SELECT user_key, item, because_of, is_popular FROM persona.recommend_all('m', 3) ORDER BY user_key, rank")
            assert pages in (None, found) and len({user for user, *_ in found}) == 7, zone
            pages, first = found, False
            known = session.scalar("SELECT count(*) FROM (SELECT DISTINCT user_id FROM had) AS u, LATERAL persona.recommend('m', u.user_id::text, 1) AS r WHERE NOT r.is_popular")
            assert known == 7, (zone, known)
            assert session.scalar("SELECT count(*) FROM (SELECT DISTINCT item_id FROM had) AS i WHERE EXISTS (SELECT FROM persona.similar_items('m', i.item_id::text))") == \
                session.scalar("SELECT count(DISTINCT item_id) FROM had"), zone
        assert session.scalar("SELECT count(DISTINCT sha256) FROM persona.model_versions WHERE model = 'm'") == 1
        # A text that is no such time is nobody's, and no error.
        assert session.rows("SELECT is_popular FROM persona.recommend('m', 'yesterday''s'::text, 1)") == [(True,)]


def test_keys_of_two_types_find_each_other(cluster):
    """A model of whole numbers is asked with numerics, and one of numerics with whole numbers."""
    with cluster.connect() as session:
        session.query("CREATE TABLE had AS SELECT i % 7 AS user_id, i * i % 11 AS item_id FROM generate_series(1, 40) AS i")
        session.query("SELECT FROM persona.fit_recommender('whole', 'had', holdout => 0)")
        session.query("SELECT FROM persona.fit_recommender('decimal', 'SELECT (user_id || ''.00'')::numeric AS user_id, item_id::numeric(8, 3) AS item_id FROM had', holdout => 0)")
        pages = "SELECT user_key, item, score, rank, because_of FROM persona.recommend_all('{}', 5) ORDER BY user_key, rank"
        assert session.rows(pages.format("whole")) == session.rows(pages.format("decimal"))
        asked = "SELECT item, rank FROM persona.recommend('{}', {}, 3) ORDER BY rank"
        wanted = session.rows(asked.format("whole", "'3'::text"))
        for model in ("whole", "decimal"):
            assert session.rows(asked.format(model, "3.00::text")) == wanted
            assert session.rows(f"SELECT n_unknown_users FROM persona.evaluate_recommender('{model}', 'SELECT 3.00 AS user_id, 99.0 AS item_id')") == [(0,)]


def test_a_label_table_has_one_row_for_keys_that_are_equal(cluster):
    check_label_table(cluster, TYPES, KEYS)


def test_a_label_table_has_one_row_for_keys_of_citext_that_are_equal(cluster):
    needs(cluster, "citext")
    check_label_table(cluster, TYPES_OF_CITEXT, KEYS_OF_CITEXT)


def check_label_table(cluster, types, keys):
    """Keys of segments: two writings of one are a duplicate, and a numeric is a key as any other."""
    with cluster.connect() as session:
        session.query(types)
        for type_name, (first, second, _, other, _) in keys.items():
            if type_name in ("double precision", "real", "uuid"):
                continue
            rows = f"SELECT '%s'::{type_name} AS id, 1.0 AS x UNION ALL SELECT '{other}', 2.0"
            source = rows % first + f" UNION ALL SELECT '{second}'::{type_name}, 9.0"
            error = session.error(f"SELECT FROM persona.fit_segments('s', $${source}$$, 'id', 2, save_to => 'labels')")
            assert error.sqlstate == "23505" and "more than once" in error.message, (type_name, error)
            session.query(f"SELECT FROM persona.fit_segments('s', $${rows % second}$$, 'id', 2, save_to => 'labels')")
            # The same key, written otherwise, is the same row.
            session.query(f"CREATE TABLE again AS {rows % second}")
            assert session.scalar(f"SELECT count(*) FROM labels AS l JOIN again AS a ON l.id::{type_name} = a.id") == 2, type_name
            changed = session.rows("SELECT inserted, deleted FROM persona.publish('s', 'labels', 'SELECT * FROM again', key => 'id')")
            assert changed == [(0, 0)], (type_name, changed)
            session.query("SELECT persona.drop_model('s'); DROP TABLE labels, again")


MASK = (1 << 64) - 1
WEYL = 0x9E3779B97F4A7C15


def mixed(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def shuffled(cells, seed, stream):
    """As the fit shuffles a user's items."""
    key, cells = mixed(mixed(seed & MASK) ^ (stream * WEYL & MASK)), list(cells)
    for count, last in enumerate(range(len(cells) - 1, 0, -1)):
        draw = mixed((key + (count + 1) * WEYL) & MASK)
        other = draw * (last + 1) >> 64
        cells[last], cells[other] = cells[other], cells[last]
    return cells


def n_train(n, share):
    return min(max(math.floor(n * (1 - share) + 0.5), min(n, 1)), n)


def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]


class Popular:
    """The items by the number of their users, over {user: {item: weight}}."""

    def __init__(self, histories):
        self.popularity = Counter(item for history in histories.values() for item in history)
        self.popular = sorted(self.popularity, key=lambda item: (-self.popularity[item], item))

    def ranked(self, scores, history, n):
        """By score, then what is popular."""
        ranked = sorted((item for item in scores if item not in history and scores[item] > 0), key=lambda item: (-scores[item], -self.popularity[item], item))
        return (ranked + [item for item in self.popular_page(history, None) if item not in scores])[:n]

    def popular_page(self, history, n):
        return [item for item in self.popular if item not in history][:n]


class Nearest(Popular):
    """item_knn over {user: {item: weight}}, with whole weights."""

    def __init__(self, histories, neighbors, shrinkage):
        super().__init__(histories)
        users_of = defaultdict(dict)
        for user in sorted(histories):
            for item, weight in histories[user].items():
                users_of[item][user] = weight
        norm = {item: math.sqrt(sum(weight * weight for weight in users.values())) for item, users in users_of.items()}
        shrunk = {item: norm[item] * math.sqrt(shrinkage / self.popularity[item]) for item in users_of}
        self.near = {}
        for item, users in users_of.items():
            dots = defaultdict(float)
            for user, weight in users.items():
                for other, other_weight in histories[user].items():
                    dots[other] += weight * other_weight
            found = {other: single(dot / (norm[item] * norm[other] + shrunk[item] * shrunk[other])) for other, dot in dots.items() if other != item}
            best = sorted(found, key=lambda other: (-found[other], -self.popularity[other], other))[:neighbors]
            self.near[item] = {other: found[other] for other in best}

    def page(self, history, n):
        scores = defaultdict(float)
        for had in sorted(history):
            for item, near in self.near.items():
                if had in near:
                    scores[item] += history[had] * near[had]
        return self.ranked(scores, history, n)


class Alike(Popular):
    """user_knn over {user: {item: weight}}, with whole weights."""

    def __init__(self, histories, neighbors, shrinkage):
        super().__init__(histories)
        self.histories, self.neighbors, self.shrinkage = histories, neighbors, shrinkage

    def length(self, history):
        norm = math.sqrt(sum(weight * weight for weight in history.values()))
        return norm, norm * math.sqrt(self.shrinkage / len(history))

    def page(self, history, n):
        norm, shrunk = self.length(history)
        similar = {}
        for user, other in self.histories.items():
            dot = sum(weight * other[item] for item, weight in history.items() if item in other)
            if dot:
                other_norm, other_shrunk = self.length(other)
                similar[user] = single(dot / (norm * other_norm + shrunk * other_shrunk))
        scores, speaking = defaultdict(float), Counter()
        for user in sorted(similar, key=lambda user: (-similar[user], user)):
            for item in self.histories[user]:
                if speaking[item] < self.neighbors:
                    speaking[item] += 1
                    scores[item] += similar[user]
        return self.ranked(scores, history, n)


def measured(histories, taken, k=10, neighbors=10, shrinkage=3.0, learner=Nearest):
    """The figures of a holdout: what was learned from, and what its users took."""
    model = learner(histories, neighbors, shrinkage)
    new = {user: items - set(histories.get(user, {})) for user, items in taken.items()}
    known = sorted(user for user, items in new.items() if items and histories.get(user))
    pages = {user: model.page(histories[user], k) for user in known}
    popular = {user: model.popular_page(histories[user], k) for user in known}

    def mean(figure, pages):
        return sum(figure(pages[user], new[user]) for user in known) / len(known)

    def ndcg(page, wanted):
        gain = sum(1 / math.log2(place + 2) for place, item in enumerate(page) if item in wanted)
        return gain / sum(1 / math.log2(place + 2) for place in range(min(k, len(wanted))))

    def hits(page, wanted):
        return sum(item in wanted for item in page)

    def average_precision(page, wanted):
        return sum(hits(page[: place + 1], wanted) / (place + 1) for place, item in enumerate(page) if item in wanted) / min(k, len(wanted))

    return {
        "n_test_users": len(known), "n_unknown_users": sum(1 for user, items in taken.items() if items and not histories.get(user)),
        "ndcg_at_10": mean(ndcg, pages), "precision_at_10": mean(lambda page, wanted: hits(page, wanted) / k, pages),
        "recall_at_10": mean(lambda page, wanted: hits(page, wanted) / len(wanted), pages), "map_at_10": mean(average_precision, pages),
        "coverage_at_10": len({item for page in pages.values() for item in page}) / len(model.popularity), "popular_ndcg_at_10": mean(ndcg, popular),
    }


def check_figures(found, wanted):
    for name, value in wanted.items():
        assert abs(found[name] - value) < 1e-9, (name, found[name], value)


PARAMETERS = """parameters => '{"neighbors": 10, "shrinkage": 3}'"""

# Purchases in which the items of a user go together, and users come and go: user, item, quantity, time.
PURCHASES = """
    CREATE TABLE purchases AS
    SELECT u AS user_id, (u % 4 * 10 + h % (12 + u % 9)) % 47 AS item_id, 1 + h % 3 AS quantity, timestamptz '2026-01-01' + t * interval '1 hour' AS at
    FROM generate_series(1, 90) AS u, generate_series(1, 25) AS n,
         LATERAL (SELECT abs(hashint8extended(u * 1000 + n, 7) % 1000003) AS h, abs(hashint8extended(u * 1000 + n, 8) % 5000) + u % 10 * 300 AS t) AS draw
"""


def test_the_figures_of_a_random_holdout_are_those_of_the_same_split_computed_outside(cluster):
    with cluster.connect() as session:
        session.query(PURCHASES)
        for share, seed, weighted in ((0.2, 0, False), (0.35, 42, True), (0.5, -7, False)):
            weight = "sum(quantity)" if weighted else "1"
            whole = defaultdict(dict)
            for user, item, quantity in session.rows(f"SELECT user_id, item_id, {weight}::bigint FROM purchases GROUP BY user_id, item_id"):
                whole[user][item] = quantity
            train, taken = {}, {}
            for code, user in enumerate(sorted(whole)):
                cells = shuffled(sorted(whole[user]), seed, code)
                n = n_train(len(cells), share)
                train[user], taken[user] = {item: whole[user][item] for item in cells[:n]}, set(cells[n:])
            named = ", weight_column => 'quantity'" if weighted else ""
            (found,) = session.query(f"SELECT * FROM persona.fit_recommender('m', 'purchases', holdout => {share}, seed => {seed}, {PARAMETERS}{named})").dicts()
            check_figures(found, measured(train, taken))
            # Asked about the rows of its fit, the model gives the figures of its holdout: it has learned from the rest alone.
            (again,) = session.query("SELECT * FROM persona.evaluate_recommender('m', 'purchases')").dicts()
            check_figures(again, {"n_users": found["n_test_users"], "ndcg": found["ndcg_at_10"], "recall": found["recall_at_10"], "popular_ndcg": found["popular_ndcg_at_10"]})


def test_user_knn_is_the_same_formula_computed_outside(cluster):
    with cluster.connect() as session:
        session.query(PURCHASES)
        for weighted in (False, True):
            histories = defaultdict(dict)
            for user, item, quantity in session.rows(f"SELECT user_id, item_id, {'sum(quantity)' if weighted else '1'}::bigint FROM purchases GROUP BY user_id, item_id"):
                histories[user][item] = quantity
            named = ", weight_column => 'quantity'" if weighted else ""
            session.query(f"SELECT FROM persona.fit_recommender('all', 'purchases', algorithm => 'user_knn', holdout => 0, {PARAMETERS}{named})")
            model = Alike(histories, 10, 3.0)
            for user, items in session.rows("SELECT user_key::integer, array_agg(item::integer ORDER BY rank) FROM persona.recommend_all('all', 15) GROUP BY 1"):
                found = [int(item) for item in items.strip("{}").split(",")] if isinstance(items, str) else items
                assert found == model.page(histories[user], 15), (user, found)
            for basket in ([3], [3, 14, 25], [40, 41, 999]):
                known = {item: 1 for item in basket if item in model.popularity}
                found = [row[0] for row in session.rows(f"SELECT item FROM persona.recommend_for('all', ARRAY{basket}::bigint[], 15)")]
                assert found == model.page(known, 15), (basket, found)
            # And so are the figures of a holdout by time.
            cut = "(SELECT at FROM purchases ORDER BY at OFFSET (SELECT round(count(*) * 0.7)::bigint - 1 FROM purchases) LIMIT 1)"
            train, taken = defaultdict(dict), defaultdict(set)
            for user, item, quantity in session.rows(f"SELECT user_id, item_id, {'sum(quantity)' if weighted else '1'}::bigint FROM purchases WHERE at <= {cut} GROUP BY user_id, item_id"):
                train[user][item] = quantity
            for user, item in session.rows(f"SELECT user_id, item_id FROM purchases GROUP BY user_id, item_id HAVING min(at) > {cut}"):
                taken[user].add(item)
            (found,) = session.query(f"SELECT * FROM persona.fit_recommender('m', 'purchases', time_column => 'at', algorithm => 'user_knn', holdout => 0.3, {PARAMETERS}{named})").dicts()
            check_figures(found, measured(train, taken, learner=Alike))
            session.query("SELECT persona.drop_model(model) FROM persona.models")


def test_a_question_that_takes_long_can_be_stopped(cluster):
    with cluster.connect() as session:
        session.query("""CREATE TABLE taken AS SELECT u AS user_id, (u * 7919 + i * (1 + u % 13)) % 5000 AS item_id FROM generate_series(1, 3000) AS u, generate_series(1, 300) AS i""")
        session.query("""SELECT FROM persona.fit_recommender('m', 'taken', algorithm => 'user_knn', parameters => '{"neighbors": 10000}', holdout => 0)""")
        for ask in ("recommend('m', 1, 10000)", "recommend_for('m', (SELECT array_agg(item_id::bigint) FROM taken WHERE user_id < 30), 10000)", "recommend_all('m', 100)"):
            late = [stop(session, f"SELECT count(*) FROM persona.{ask}", after, by_timeout) for after in (0.02, 0.08) for by_timeout in (True, False)]
            assert any(one is not None for one in late), f"{ask} has ended before it could be stopped"
            assert all(one is None or one <= 0.5 for one in late), f"{ask}: {late}"
        # An interrupt that ends nothing changes nothing.
        alone = session.rows("SELECT item, score FROM persona.recommend('m', 1, 10000)")
        with cluster.connect() as other:
            session.send("SELECT item, score FROM persona.recommend('m', 1, 10000)")
            for _ in range(20):
                other.query(f"SELECT pg_log_backend_memory_contexts({session.pid})")
            assert session.fetch()[-1].rows == alone


def test_the_figures_of_a_holdout_by_time_are_those_of_a_split_in_sql(cluster):
    with cluster.connect() as session:
        session.query(PURCHASES)
        # Users who come after the cut, and pairs that come back after it.
        session.query("INSERT INTO purchases SELECT 500 + i % 9, i % 13, 1, '2026-12-01' FROM generate_series(1, 40) AS i")
        session.query("INSERT INTO purchases SELECT user_id, item_id, 2, at + interval '300 days' FROM purchases WHERE item_id % 5 = 0 AND user_id < 500")
        for share, weighted in ((0.2, False), (0.4, True)):
            cut = f"(SELECT at FROM purchases ORDER BY at OFFSET (SELECT round(count(*) * {1 - share})::bigint - 1 FROM purchases) LIMIT 1)"
            weight = "sum(quantity)" if weighted else "1"
            train, taken = defaultdict(dict), defaultdict(set)
            for user, item, quantity in session.rows(f"SELECT user_id, item_id, {weight}::bigint FROM purchases WHERE at <= {cut} GROUP BY user_id, item_id"):
                train[user][item] = quantity
            for user, item in session.rows(f"SELECT user_id, item_id FROM purchases GROUP BY user_id, item_id HAVING min(at) > {cut}"):
                taken[user].add(item)
            wanted = measured(train, taken)
            assert wanted["n_unknown_users"] > 0
            named = ", weight_column => 'quantity'" if weighted else ""
            options = f"{PARAMETERS}{named}"
            (found,) = session.query(f"SELECT * FROM persona.fit_recommender('m', 'purchases', time_column => 'at', holdout => {share}, {options})").dicts()
            check_figures(found, wanted)
            # What is like what is learned from the past alone, unless all rows are asked for.
            session.query(f"SELECT FROM persona.fit_recommender('past', $$SELECT * FROM purchases WHERE at <= {cut}$$, holdout => 0, {options})")
            session.query(f"SELECT FROM persona.fit_recommender('all', 'purchases', time_column => 'at', holdout => {share}, refit_on_all => true, {options})")
            session.query(f"SELECT FROM persona.fit_recommender('whole', 'purchases', time_column => 'at', holdout => 0, {options})")
            alike = "SELECT i, s.* FROM generate_series(0, 46) AS i, LATERAL persona.similar_items('{}', i) AS s ORDER BY i, rank"
            assert session.rows(alike.format("m")) == session.rows(alike.format("past")) != session.rows(alike.format("whole"))
            assert session.rows(alike.format("all")) == session.rows(alike.format("whole"))
            # Whatever it has learned from, nobody is offered what he has.
            for model in ("m", "all"):
                assert session.rows(f"SELECT r.user_key, r.item FROM persona.recommend_all('{model}', 5) AS r JOIN purchases AS p ON p.user_id = r.user_key::bigint AND p.item_id = r.item::bigint") == []
            session.query("SELECT persona.drop_model(model) FROM persona.models")


def test_a_refit_keeps_what_the_model_learns_from(cluster):
    with cluster.connect() as session:
        session.query(PURCHASES)
        for on_all in (False, True):
            made = session.rows(f"SELECT refit_on_all FROM persona.fit_recommender('m', 'purchases', refit_on_all => {on_all})")
            assert made == [(on_all,)]
            session.query("SELECT persona.refit('m')")
            kept = session.rows("SELECT parameters ->> 'refit_on_all', metrics ->> 'learned_from_all', sha256 FROM persona.model_versions WHERE model = 'm'")
            assert len(kept) == 2 and kept[0] == kept[1] and kept[0][:2] == (str(on_all).lower(),) * 2, kept
            session.query("SELECT persona.drop_model('m')")


def test_a_holdout_that_measures_nothing_says_why(cluster):
    cases = {
        # Times of days, and a fifth of the rows on the last of them.
        "have the last time of the source": "SELECT i % 7 AS user_id, i % 11 AS item_id, date '2026-01-01' + least(i, 20) AS at FROM generate_series(1, 40) AS i",
        "only new users": "SELECT i AS user_id, i % 3 AS item_id, i AS at FROM generate_series(1, 40) AS i",
        "no user has an item that is new to him": "SELECT i % 2 AS user_id, i % 2 AS item_id, i AS at FROM generate_series(1, 40) AS i",
        "no user has items to spare": "SELECT i AS user_id, i AS item_id, NULL AS at FROM generate_series(1, 40) AS i",
    }
    with cluster.connect() as session:
        for reason, source in cases.items():
            named = "" if "NULL" in source else ", time_column => 'at'"
            session.notices.clear()
            found = session.rows(f"SELECT n_test_users, ndcg_at_10, popular_ndcg_at_10 FROM persona.fit_recommender('m', $${source}$${named})")
            assert found == [(0, None, None)], found
            assert any(reason in str(notice) for notice in session.notices), (reason, session.notices)


def test_what_to_have_again_is_what_the_customer_had_most_and_last(cluster):
    """Five staples that everybody has, three one-offs that customer 1 alone has: the staples come first."""
    with cluster.connect() as session:
        session.query("CREATE TABLE bought (user_id int, item_id int, quantity int, at date)")
        session.query("INSERT INTO bought SELECT u, i, CASE u WHEN 1 THEN 10 ELSE 2 END, '2026-06-01' FROM generate_series(1, 30) AS u, generate_series(1, 5) AS i WHERE u = 1 OR (u + i) % 3 > 0")
        session.query("INSERT INTO bought SELECT 1, i, 7, '2026-06-01' FROM generate_series(11, 13) AS i")
        session.query("INSERT INTO bought SELECT 1, 20, 24, '2025-01-01'")
        for scale in (1, 100):
            source = f"SELECT user_id, item_id, quantity * {scale} AS quantity, at FROM bought"
            for options in ("", ", refit_on_all => true", ", holdout => 0"):
                session.query(f"SELECT FROM persona.fit_recommender('m', '{source}', weight_column => 'quantity', time_column => 'at'{options})")
                page = [item for (item,) in session.rows("SELECT item FROM persona.recommend('m', 1, 8, exclude_seen => false) ORDER BY rank")]
                assert sorted(page[:5]) == [1, 2, 3, 4, 5] and sorted(page[5:8]) == [11, 12, 13], (scale, options, page)
                reasons = session.rows("SELECT item, because_of FROM persona.recommend('m', 1, 8, exclude_seen => false)")
                assert all(item == reason for item, reason in reasons), reasons
        # Without weights each row counts: bought ten times is more than bought once.
        session.query("CREATE TABLE lines AS SELECT user_id, item_id FROM bought, generate_series(1, quantity)")
        session.query("SELECT FROM persona.fit_recommender('n', 'lines')")
        page = [item for (item,) in session.rows("SELECT item FROM persona.recommend('n', 1, 9, exclude_seen => false) ORDER BY rank")]
        assert page[0] == 20 and sorted(page[1:6]) == [1, 2, 3, 4, 5], page


def test_one_off_products_are_not_offered_because_one_buyer_had_them(cluster):
    """Customers who share one rare product are not offered the rest of each other's rare products before what goes together."""
    with cluster.connect() as session:
        session.query("CREATE TABLE bought AS SELECT u AS user_id, i AS item_id FROM generate_series(1, 40) AS u, generate_series(1, 3) AS i WHERE (u + i) % 4 > 0")
        session.query("INSERT INTO bought SELECT 100, i FROM generate_series(50, 54) AS i UNION ALL SELECT 101, 50 UNION ALL SELECT 101, 1")
        session.query("SELECT FROM persona.fit_recommender('m', 'bought', holdout => 0)")
        page = [item for (item,) in session.rows("SELECT item FROM persona.recommend('m', 101, 2) ORDER BY rank")]
        assert sorted(page) == [2, 3], page
