"""What clients of any kind meet: settings, encodings, types of views."""


def test_a_setting_that_there_is_not_is_refused(cluster):
    """A word with a letter too few would else be kept for nobody."""
    with cluster.connect() as session:
        session.query("SELECT persona.zscore(1) OVER (); SET persona.threads = 4")
        error = session.error("SET persona.thread = 4")
        assert error.sqlstate == "42602" and "persona.thread" in error.message, error
        assert session.error("SHOW persona.thread").sqlstate == "42704"


def test_texts_of_ours_reach_clients_of_one_byte_a_letter(cluster):
    with cluster.connect() as session:
        session.query("CREATE TABLE visitor AS SELECT i AS id, i % 7 AS visits, NULLIF(i % 5, 0) AS spend FROM generate_series(1, 200) AS i")
        session.query("SELECT FROM persona.fit_segments('visitors', 'SELECT id, visits FROM visitor', 'id', 3); SET client_encoding = 'WIN1252'")
        assert session.scalar("SELECT string_agg(sparkline, ' ' ORDER BY column_name) FROM persona.describe('visitor', bins => 3)").replace(" ", "").isdigit()
        assert session.scalar("SELECT persona.report('visitors')").startswith("<!doctype html>")
        # With a hint.
        error = session.error("SELECT persona.fit_segments('m', 'visitor', 'spend', 2)")
        assert error.sqlstate == "22004" and error.hint, error


def test_a_model_is_reported_whose_version_before_had_other_columns(cluster):
    with cluster.connect() as session:
        session.query("CREATE TABLE rf AS SELECT i AS id, i % 3 * 10.0 AS a, i % 5 AS b, 'c' || i % 2 AS t FROM generate_series(1, 100) AS i")
        # The sources, and whether the rows can be told where the version before had them.
        fits = [("SELECT id, a, b FROM rf", False), ("SELECT id, a FROM rf", False), ("SELECT id, a, t FROM rf", True),
                ("SELECT id, a, a * 2 AS t FROM rf", False), ("SELECT id, a, a * 2 AS t FROM rf", True)]
        for source, is_told in fits:
            features = "'{a,t}'" if "t FROM" in source else "NULL"
            session.query(f"SELECT FROM persona.fit_segments('rf', '{source}', 'id', 3, features => {features})")
            page = session.scalar("SELECT persona.report('rf')")
            assert ("no earlier version" not in page) == is_told, source
