"""Keys of citext: a publication, its history and a profile treat as one key what citext takes for equal, wherever the type lives."""

from lib.needs import needs

# Where the extension is: in the search_path, outside of it, and under a name that needs quotes.
PLACES = {"public": "public", "apart": "apart", "odd": '"Od""d schema"'}


def data(session, place):
    # Of both spellings of each address one or the other is in the source; every other table asks by the other one.
    session.query(f"""
        DROP EXTENSION IF EXISTS citext CASCADE; CREATE SCHEMA IF NOT EXISTS {place}; CREATE EXTENSION citext SCHEMA {place};
        DROP TABLE IF EXISTS people, asked, labels, scores, offers, moves, taken CASCADE;
        CREATE TABLE people AS SELECT ('User' || i || '@x.org')::{place}.citext AS email, i % 7 AS a, i % 3 AS b, i % 7 > 3 AS y FROM generate_series(1, 200) i;
        CREATE TABLE asked AS SELECT upper(email::text)::{place}.citext AS email FROM people;
        CREATE TABLE taken AS SELECT ('User' || i % 40)::{place}.citext AS email, ('Item' || i % 13 * (i % 3))::{place}.citext AS item FROM generate_series(1, 400) i""")


def same(session, place, table, key="email"):
    """How many who are asked for otherwise than they are written there are in the table."""
    return session.scalar(f"SELECT count(DISTINCT t.{key}) FROM {table} t JOIN asked a ON a.email OPERATOR({place}.=) t.{key}")


def test_a_publication_has_one_row_of_equal_keys(cluster):
    needs(cluster, "citext")
    for place in PLACES.values():
        with cluster.connect() as session:
            for model in ("seg", "sco", "rec"):
                if session.scalar(f"SELECT count(*) FROM persona.models WHERE model = '{model}'"):
                    session.query(f"SELECT persona.drop_model('{model}')")
            data(session, place)
            session.query("SELECT FROM persona.fit_segments('seg', 'SELECT email, a, b FROM people', 'email', 3, save_to => 'labels')")
            session.query("SELECT persona.publish('seg', 'labels', history_table => 'moves')")
            session.query("SELECT FROM persona.fit_scorer('sco', 'people', 'y', features => '{a,b}'); SELECT persona.publish('sco', 'scores', 'people', 'email')")
            session.query("SELECT FROM persona.fit_recommender('rec', 'taken', 'email', 'item', holdout => 0); SELECT persona.publish('rec', 'offers', n => 3)")
            for table, column in (("labels", "email"), ("scores", "email"), ("offers", "email"), ("offers", "item"), ("moves", "email")):
                assert session.scalar(f"SELECT atttypid::regtype::oid = '{place}.citext'::regtype::oid FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attname = '{column}'"), (place, table, column)
            assert same(session, place, "labels") == same(session, place, "scores") == same(session, place, "moves") == 200
            # All addresses are written otherwise, one moves, one goes and one comes: what is equal stays where it is.
            session.query(f"UPDATE people SET email = lower(email::text)::{place}.citext; UPDATE people SET a = 6 - a WHERE email::text = 'user7@x.org';"
                          f"DELETE FROM people WHERE email::text = 'user8@x.org'; INSERT INTO people SELECT 'New@x.org', 1, 1, true")
            found = session.rows("SELECT inserted, updated, deleted FROM persona.publish('seg', 'labels', history_table => 'moves')")
            assert found == [(1, 1, 1)], (place, found)
            found = session.rows("SELECT inserted, deleted FROM persona.publish('sco', 'scores')")
            assert found == [(1, 1)], (place, found)
            session.query("UPDATE taken SET email = lower(email::text), item = upper(item::text)")
            assert session.scalar("SELECT persona.refit('rec', force => true)") == 2
            assert session.scalar("SELECT count(DISTINCT email) FROM offers") == 40
            # A change is of one customer, also where he went and came back under another spelling.
            session.query(f"INSERT INTO people SELECT 'USER8@x.org', 1, 1, true; SELECT persona.publish('seg', 'labels', history_table => 'moves')")
            changes = session.rows("SELECT key, from_segment IS NULL, to_segment IS NULL FROM persona.segment_changes('seg') WHERE lower(key) IN ('user7@x.org', 'user8@x.org') ORDER BY changed_at, 1")
            expected = [("User7@x.org", False, False), ("User8@x.org", False, True)]
            assert changes == expected, (place, changes)
            for spelling in ("User3@x.org", "USER3@X.ORG", "user3@x.org"):
                assert session.scalar(f"SELECT count(*) FROM persona.profile('{spelling}')") == 2, (place, spelling)
            assert session.scalar("SELECT count(*) FROM persona.profile('USER3')") == 1
            # A refit writes them again, from any search_path.
            session.query("SET search_path = ''; SELECT persona.refit('seg', force => true), persona.refit('sco', force => true)")
            session.query("RESET search_path")
            assert same(session, place, "labels") == same(session, place, "scores") == 200, place
            session.query("SELECT persona.drop_model('seg'), persona.drop_model('sco'), persona.drop_model('rec')")


def test_a_type_that_takes_the_place_of_citext_runs_nothing(cluster):
    """A publication knows its key's type by name: another role's type of that name is not made values of."""
    needs(cluster, "citext")
    with cluster.connect() as session:
        data(session, "apart")
        session.query("SELECT FROM persona.fit_scorer('sco', 'people', 'y', features => '{a,b}'); SELECT persona.publish('sco', 'scores', 'SELECT email::text AS email, a, b FROM people', 'email');"
                      "SELECT persona.drop_model('sco'); DROP TABLE scores; SELECT FROM persona.fit_scorer('sco', 'people', 'y', features => '{a,b}'); SELECT persona.publish('sco', 'scores', 'people', 'email')")
        session.query("ALTER EXTENSION citext SET SCHEMA public; CREATE DOMAIN apart.citext AS text CHECK (value <> 'user5@x.org')")
        error = session.error("SELECT persona.publish('sco', 'scores', 'SELECT 1 AS email, 2 AS a, 1 AS b, true AS y', 'email')")
        assert error.sqlstate == "42804", error
        error = session.error("SELECT persona.refit('sco', force => true)")
        assert error.sqlstate in ("42704", "42804") and "scores" in error.message and error.hint, error
        # The key's type is looked up again where it is published again.
        session.query("SELECT persona.publish('sco', 'scores', 'people', 'email'); SELECT persona.refit('sco', force => true)")
        session.query("DROP DOMAIN apart.citext; SELECT persona.drop_model('sco')")


def test_a_recommender_is_measured_on_keys_of_the_other_type(cluster):
    """A source of citext against a model of text, and the other way round: read as the model's keys are."""
    needs(cluster, "citext")
    with cluster.connect() as session:
        data(session, "public")
        session.query("CREATE OR REPLACE VIEW written AS SELECT email::text, item::text FROM taken; CREATE OR REPLACE VIEW upper AS SELECT upper(email::text) AS email, upper(item::text) AS item FROM taken;"
                      "SELECT FROM persona.fit_recommender('of_text', 'written', 'email', 'item', holdout => 0); SELECT FROM persona.fit_recommender('of_citext', 'taken', 'email', 'item', holdout => 0)")
        session.query("CREATE OR REPLACE VIEW more AS SELECT email, ('Item' || i)::citext AS item FROM (SELECT DISTINCT email FROM taken) t, generate_series(0, 26, 2) i")
        session.query("CREATE OR REPLACE VIEW more_text AS SELECT email::text, item::text FROM more; CREATE OR REPLACE VIEW more_upper AS SELECT upper(email::text) AS email, upper(item::text) AS item FROM more")
        ask = "SELECT n_users, n_unknown_users, ndcg FROM persona.evaluate_recommender('{}', '{}')"
        expected = session.rows(ask.format("of_text", "more_text"))
        assert expected[0][0] > 0 and expected[0][1] == 0
        for model, source in (("of_text", "more"), ("of_citext", "more"), ("of_citext", "more_text"), ("of_citext", "more_upper")):
            assert session.rows(ask.format(model, source)) == expected, (model, source)
        # To a model of texts another spelling is somebody else.
        assert session.rows(ask.format("of_text", "more_upper"))[0][:2] == (0, 40)
