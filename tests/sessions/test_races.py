"""Sessions that fit, refit, activate and read one model at the same time."""

import time

from lib import models
from lib.models import MODELS, activate, expect
from lib.pgwire import ServerError
from lib.processes import wait_until
from lib.tally import long, told


def test_a_statement_sees_one_version(cluster):
    check_one_version_is_seen(cluster, 100)


@long
def test_a_statement_sees_one_version_of_1000_activations(cluster):
    check_one_version_is_seen(cluster, 1000)


def check_one_version_is_seen(cluster, n_activations):
    """Of each of three models, while sixteen sessions read them without a pause."""
    whole = {
        "seg": "SELECT count(*) FILTER (WHERE persona.segment('seg', c) = 3) FROM customers c",
        "sco": "SELECT round(sum(persona.score('sco', c))::numeric, 6)::text FROM customers c",
        "rec": "SELECT count(*) FILTER (WHERE r.item > 1000) FROM events e, persona.recommend('rec', e.user_id, 3) r",
    }
    with cluster.connect() as owner, cluster.sessions(16) as readers:
        models.make_models(owner, 4000, 100)
        pure = {model: set() for model in MODELS}
        for version in (1, 2):
            for model in MODELS:
                activate(owner, model, version)
                pure[model].add(owner.scalar(whole[model]))
        assert all(len(answers) == 2 for answers in pure.values()), pure
        seen, asked, done, n_answers = {model: set() for model in MODELS}, {}, 0, 0
        while done < n_activations or asked:
            for number, reader in enumerate(readers):
                model = MODELS[number % 3]
                if reader in asked and reader.ready():
                    seen[asked.pop(reader)].add(reader.fetch()[-1].scalar())
                    n_answers += 1
                if reader not in asked and done < n_activations:
                    reader.send(whole[model])
                    asked[reader] = model
            done += 1
            for model in MODELS:
                activate(owner, model, 1 + done % 2)
            # As often as not in the middle of a read.
            time.sleep(0.004)
        for model in MODELS:
            mixed = seen[model] - pure[model]
            assert not mixed, f"{model}: mixed answers {mixed}; pure are {pure[model]}"
            assert seen[model] == pure[model], f"{model}: no change came while it was read"
        assert n_answers > n_activations, f"{n_answers} answers to {n_activations} activations"
        told(f"{n_answers} answers during {done} activations of each model, none mixed")


def test_racing_fits_and_refits_are_ordered_or_skipped(cluster):
    check_races(cluster, 48)


@long
def test_1000_racing_pairs_are_ordered_or_skipped(cluster):
    check_races(cluster, 1000)


def check_races(cluster, n_pairs):
    """Every other dozen is held at its source, so that both are sure to be at it when the first goes on: of two refits one wins."""
    with cluster.connect() as first, cluster.connect() as second, cluster.connect() as gate:
        models.make_data(first, 300, 40)
        for model in MODELS:
            models.fit(first, model, 1)
        version, n_skipped = {model: 1 for model in MODELS}, 0
        for round in range(n_pairs):
            model, held = MODELS[round % 3], round // 12 % 2 == 1
            fit = models.FIT[model].format(k=2, wanted="true", shift=0)
            refit = f"SELECT persona.refit('{model}')"
            pair = [(fit, fit), (fit, refit), (refit, refit), (refit, fit)][round // 3 % 4]
            if held:
                gate.query("BEGIN; LOCK TABLE customers, events IN ACCESS EXCLUSIVE MODE")
            for session, statement in zip((first, second), pair):
                session.notices.clear()
                session.send(statement)
            if held:
                if pair == (refit, refit):
                    wait_until("one of two refits skips", lambda: first.ready() or second.ready())
                gate.query("COMMIT")
            wins = 0
            for session, statement in zip((first, second), pair):
                answers = session.fetch()[-1].rows
                if statement == refit and answers == [(None,)]:
                    assert any("skipped" in notice["M"] for notice in session.notices), session.notices
                else:
                    wins += 1
            assert wins == 1 if held and pair == (refit, refit) else wins >= 1, f"{wins} of {pair} won"
            version[model] += wins
            n_skipped += 2 - wins
            newest = first.scalar(f"SELECT max(version) FROM persona.model_versions WHERE model = '{model}'")
            assert newest == version[model], f"{model}: {version[model]} fits were done, but the newest version is {newest}"
        found = first.rows("SELECT model, version FROM persona.model_versions")
        assert len(found) == len(set(found)), "a version is there twice"
    assert "deadlock detected" not in cluster.log.read_text(errors="replace")
    told(f"{n_pairs} pairs: {sum(version.values()) - 3} fits were done, {n_skipped} refits skipped")


def test_racing_first_fits_make_one_model(cluster):
    with cluster.sessions(4) as sessions:
        models.make_data(sessions[0], 300, 40)
        for number in range(5):
            for session in sessions:
                session.send(f"SELECT FROM persona.fit_segments('new{number}', 'customers', 'id', 2, features => '{{spend}}')")
            for session in sessions:
                session.fetch()
            found = sessions[0].rows(f"SELECT version FROM persona.model_versions WHERE model = 'new{number}' ORDER BY 1")
            assert found == [(1,), (2,), (3,), (4,)], found


def test_refit_while_another_refits_skips_with_a_notice(cluster):
    with cluster.connect() as first, cluster.connect() as second:
        models.make_models(first)
        for model in MODELS:
            first.query("BEGIN")
            assert first.scalar(f"SELECT persona.refit('{model}')") == 3
            second.notices.clear()
            assert second.scalar(f"SELECT persona.refit('{model}')") is None
            assert any("skipped" in notice["M"] for notice in second.notices), second.notices
            first.query("COMMIT")
            assert second.scalar(f"SELECT persona.refit('{model}')") == 4


def test_a_fit_that_waited_in_repeatable_read_fails_cleanly(cluster):
    with cluster.connect() as first, cluster.connect() as second:
        models.make_models(first)
        for model in MODELS:
            second.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM customers")
            first.query("BEGIN")
            models.fit(first, model, 2)
            second.send(models.FIT[model].format(k=2, wanted="true", shift=0))
            assert not second.ready(0.3), "the second fit did not wait"
            first.query("COMMIT")
            try:
                second.fetch()
            except ServerError as error:
                assert error.sqlstate in ("40001", "23505"), error
            else:
                raise AssertionError("a fit under an old snapshot went through")
            second.query("ROLLBACK")
            expect(second, model, 2, "after the race")
