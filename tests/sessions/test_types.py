"""What a column's type means: two values that are equal in SQL are one, what has a meaning is read, and what is left out is said."""

from lib.needs import needs

# Types whose values tell a customer's class, and how they are made of the class 0 or 1 and of the row's number.
TELLING = {
    "char(12)": "repeat(chr(97 + y), 3)", "bpchar": "chr(97 + y)", "name": "'n' || y", "\"char\"": "chr(97 + y)",
    "money": "(y * 10 + i % 7)::money", "interval": "(y * 40 + i % 7) * interval '1 day'", "time": "time '01:00' + (y * 9 + i % 7) * interval '1 hour'",
    "timetz": "timetz '01:00+02' + (y * 9 + i % 7) * interval '1 hour'", "spaced": "chr(97 + y)", "money_domain": "(y * 10)::money",
}


def test_a_type_that_has_a_meaning_is_read(cluster):
    check_read(cluster, "CREATE DOMAIN spaced AS char(5); CREATE DOMAIN money_domain AS money", TELLING)


def test_citext_is_read(cluster):
    needs(cluster, "citext")
    check_read(cluster, "CREATE EXTENSION citext", {"citext": "CASE i % 2 WHEN 0 THEN upper(chr(97 + y)) ELSE chr(97 + y) END"})


def check_read(cluster, setup, telling):
    with cluster.connect() as session:
        session.query(setup)
        for idx, (type_name, made) in enumerate(telling.items()):
            session.query(f"CREATE TABLE told_{idx} AS SELECT i, y, ({made})::{type_name} AS tells FROM (SELECT i, i * 7 % 11 % 2 AS y FROM generate_series(1, 400) i) v")
            session.notices.clear()
            session.query(f"SELECT FROM persona.fit_scorer('told_{idx}', 'SELECT y, tells FROM told_{idx}', 'y')")
            assert not session.notices, (type_name, session.notices)
            auc = session.scalar(f"SELECT persona.roc_auc(y = 1, persona.score('told_{idx}', t)) FROM told_{idx} t")
            assert auc == 1, f"{type_name}: {auc}"


def test_what_is_left_out_is_said(cluster):
    with cluster.connect() as session:
        session.query("CREATE TABLE odd AS SELECT i AS id, i % 2 AS y, i % 5 AS a, 'x' AS b, to_jsonb(i) AS c, point(i, i) AS d FROM generate_series(1, 100) i")
        session.query("SELECT FROM persona.fit_scorer('odd', 'SELECT y, a, b, c, d FROM odd', 'y')")
        assert 'columns "c" (jsonb), "d" (point) are left out' in session.notices[0]["M"], session.notices
        session.notices.clear()
        session.query("SELECT FROM persona.fit_segments('odd_groups', 'SELECT id, a, b FROM odd', 'id', 2)")
        assert 'column "b" (text) is left out' in session.notices[0]["M"], session.notices
        session.notices.clear()
        # What is named, or named to be used, is no news.
        session.query("SELECT FROM persona.fit_scorer('odd2', 'odd', 'y', features => '{a}'); SELECT FROM persona.fit_segments('odd_groups2', 'odd', 'id', 2, features => '{a}')")
        assert not session.notices, session.notices


def test_char_of_any_length_is_its_text(cluster):
    """In a target, a feature, a key, an encoder and a row that is scored; as varchar or text of another table says the same."""
    with cluster.connect() as session:
        session.query("""CREATE TABLE wide AS SELECT ('c' || i)::char(8) AS id, (CASE i % 2 WHEN 0 THEN 'yes' ELSE 'no' END)::char(9) AS answer,
                (CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END)::char(4) AS kind, i % 5 AS n FROM generate_series(1, 200) i;
            CREATE TABLE plain AS SELECT rtrim(id) AS id, rtrim(answer) AS answer, rtrim(kind) AS kind, n FROM wide""")
        for table in ("wide", "plain"):
            session.query(f"SELECT FROM persona.fit_scorer('{table}', 'SELECT answer, kind, n FROM {table}', 'answer')")
        for table in ("wide", "plain"):
            same = session.scalar(f"SELECT count(*) FROM {table} t WHERE persona.score('wide', t) = persona.score('plain', t) AND persona.predict('wide', t)->>'label' = rtrim(t.answer)")
            assert same == 200, (table, same)
        assert session.rows("SELECT DISTINCT jsonb_object_keys(persona.predict('wide', t)->'probabilities') FROM wide t ORDER BY 1") == [("no",), ("yes",)]
        session.query("SELECT FROM persona.fit_segments('wide_keys', 'SELECT id, n FROM wide', 'id', 2, save_to => 'wide_labels')")
        assert session.scalar("SELECT count(*) FROM wide_labels l JOIN wide w ON w.id = l.id") == 200
        assert session.scalar("SELECT count(*) FROM wide_labels l JOIN plain p ON p.id = l.id") == 200
        assert session.scalar("SELECT persona.categories(kind)::text FROM wide") == session.scalar("SELECT persona.categories(kind)::text FROM plain")
        assert session.scalar("SELECT persona.categories(kind::varchar(9))::text FROM wide") == session.scalar("SELECT persona.categories(kind)::text FROM plain")
        described = "SELECT top_values::text FROM persona.describe('{}') WHERE column_name = 'kind'"
        assert session.scalar(described.format("wide")) == session.scalar(described.format("plain")) == "{a,b}"


def test_citext_is_the_text_that_it_is_written_as(cluster):
    """A model that was fitted on one of the types answers for the other as for its own."""
    needs(cluster, "citext")
    with cluster.connect() as session:
        session.query("""CREATE EXTENSION citext;
            CREATE TABLE plain_rows AS SELECT i AS id, (ARRAY['Web', 'Mail', 'SHOP'])[1 + i % 3] AS c, i % 5 AS n, CASE WHEN i % 3 = 1 OR i % 7 = 0 THEN 'Yes' ELSE 'No' END AS y FROM generate_series(1, 300) i;
            CREATE TABLE folding_rows AS SELECT id, c::citext AS c, n, y::citext AS y FROM plain_rows""")
        for table in ("plain_rows", "folding_rows"):
            session.query(f"SELECT FROM persona.fit_scorer('{table}', 'SELECT c, n, y FROM {table}', 'y', positive => 'Yes')")
        same = "SELECT count(*) FROM plain_rows p JOIN folding_rows f USING (id) WHERE persona.score('{0}', p) = persona.score('{1}', f)"
        for fitted, asked in (("plain_rows", "plain_rows"), ("folding_rows", "folding_rows"), ("plain_rows", "folding_rows")):
            assert session.scalar(same.format(fitted, asked)) == 300, (fitted, asked)
        assert session.scalar("SELECT roc_auc FROM persona.evaluate('plain_rows', 'folding_rows', 'y')") == session.scalar("SELECT roc_auc FROM persona.evaluate('folding_rows', 'plain_rows', 'y')")


def test_money_intervals_and_times_are_the_numbers_that_sql_makes_of_them(cluster):
    with cluster.connect() as session:
        session.query("""SET TimeZone = 'Asia/Kolkata';
            CREATE TABLE times (i integer, passed interval, at time, zoned timetz, paid money);
            INSERT INTO times VALUES (1, '1 year 2 months 3 days 04:05:06.789', '23:59:59.999999', '00:00:01+14', '-12.34'), (2, '-1 month', '24:00', '23:00-11', '92233720368547758.07'),
                (3, NULL, NULL, NULL, NULL), (4, '100000 years', '00:00', '12:00', '0.01')""")
        # Of times of day the mean is one, to the microsecond.
        sums = dict(session.rows("""SELECT column_name, n * CASE column_name WHEN 'at' THEN extract(epoch FROM mean_text::time) WHEN 'zoned' THEN extract(epoch FROM mean_text::timetz)
                                    ELSE mean END::float8 FROM persona.describe('times')"""))
        for column, by_sql in {"passed": "extract(epoch FROM passed)", "at": "extract(epoch FROM at)", "zoned": "extract(epoch FROM zoned)", "paid": "paid::numeric"}.items():
            expected = session.scalar(f"SELECT sum({by_sql})::float8 FROM times")
            assert abs(sums[column] - expected) <= (3e-6 if column in ("at", "zoned") else 1e-12 * abs(expected)), (column, sums[column], expected)
        # A row is read as a column is.
        stats = session.scalar("SELECT persona.mean(persona.feature_stats(r))::text FROM (SELECT passed, at, zoned, paid FROM times WHERE i = 1) r")
        by_sql = session.rows("SELECT extract(epoch FROM passed)::float8, extract(epoch FROM at)::float8, extract(epoch FROM zoned)::float8, paid::numeric::float8 FROM times WHERE i = 1")[0]
        assert [float(one) for one in stats.strip("{}").split(",")] == [float(one) for one in by_sql], (stats, by_sql)
        assert session.scalar("SELECT max_text FROM persona.describe('times') WHERE column_name = 'at'") == "24:00:00"
