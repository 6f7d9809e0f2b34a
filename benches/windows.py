"""Window functions beside the built-in avg over the same window."""

from frame import Row, interleave, seconds


def windows(bench):
    def over(function):
        return lambda: bench.sql(f"SELECT sum(z) FROM (SELECT {function}(a) OVER () AS z FROM mixture) AS q") and None

    took = interleave({"peer": over("avg"), **{name: over(f"persona.{name}") for name in ("zscore", "minmax", "robust")}}, bench.repeats)
    for name in ("zscore", "minmax"):
        yield Row(f"{name}(a) OVER ()", seconds(took[name]), f"avg(a) OVER () {seconds(took['peer'])}", took[name] / took["peer"], 1.3)
    yield Row("robust(a) OVER ()", seconds(took["robust"]), f"avg(a) OVER () {seconds(took['peer'])}", took["robust"] / took["peer"], 2.5)


BARS = [windows]
