"""Curves of a scorer by its name: for those who may read it, and a table of that name is nobody else's."""

from lib.models import make_data

SCORER = "SELECT FROM persona.fit_scorer('churn', 'customers', 'bought', features => '{spend,visits}')"
CURVES = (
    "roc_curve('churn')",
    "pr_curve('churn')",
    "lift_table('churn')",
    "calibration('churn')",
    "confusion('churn')",
    "profit_curve('churn', 2, 1)",
    "threshold_for('churn', 0.1)",
)


def test_a_scorer_s_name_stands_for_its_holdout_for_those_who_may_read_it(cluster):
    with cluster.connect() as admin:
        make_data(admin, 300, 40)
        admin.query(SCORER)
        admin.query(
            "CREATE ROLE user_of_churn LOGIN; CREATE ROLE reader_of_churn LOGIN; CREATE ROLE stranger_to_churn LOGIN"
        )
        admin.query(
            "SELECT persona.grant_model('churn', 'user_of_churn', 'use'), persona.grant_model('churn', 'reader_of_churn', 'read')"
        )
        admin.query("GRANT USAGE ON SCHEMA persona TO user_of_churn, reader_of_churn, stranger_to_churn")
        for curve in CURVES:
            assert admin.scalar(f"SELECT count(*) FROM persona.{curve}") > 0
        with cluster.connect(user="reader_of_churn") as reader:
            for curve in CURVES:
                assert reader.scalar(f"SELECT count(*) FROM persona.{curve}") > 0
        with cluster.connect(user="user_of_churn") as user:
            for curve in CURVES:
                assert user.error(f"SELECT * FROM persona.{curve}").sqlstate == "42501"
        with cluster.connect(user="stranger_to_churn") as stranger:
            for curve in CURVES:
                assert stranger.error(f"SELECT * FROM persona.{curve}").sqlstate == "42P01"
            # Of a model that one does not see nothing is told: the name is that of one's own table.
            stranger.query(
                "CREATE TEMP TABLE churn AS SELECT i % 2 = 0 AS label, i::float8 AS score FROM generate_series(1, 10) AS i"
            )
            assert stranger.scalar("SELECT sum(n)::int FROM persona.lift_table('churn')") == 10


def test_a_model_of_another_kind_hides_no_table(cluster):
    with cluster.connect() as admin:
        make_data(admin, 300, 40)
        admin.query("SELECT FROM persona.fit_segments('scored', 'customers', 'id', 2)")
        admin.query("CREATE TABLE scored AS SELECT true AS label, 0.5 AS score")
        assert admin.scalar("SELECT sum(n)::int FROM persona.lift_table('scored')") == 1
