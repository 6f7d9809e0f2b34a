"""One row a call, as a web page asks: how many calls a second, beside a statement that fetches the row alone.

pgbench asks through one client with prepared statements; once alone, and once beside a writer whose commits keep each snapshot
from being that of the call before.
"""

import contextlib
import re
import threading
import time

from frame import Row, interleave
from lib import models

SECONDS = 1
CALLS = {
    "segment": "SELECT persona.segment('seg', c) FROM customers c WHERE id = :id",
    "score": "SELECT persona.score('sco', c) FROM customers c WHERE id = :id",
    "recommend": "SELECT * FROM persona.recommend('rec', :user, 10)",
    "similar_items": "SELECT * FROM persona.similar_items('rec', :item, 10)",
}
BARE = "SELECT c FROM customers c WHERE id = :id"
WRITES_A_SECOND = 1000


def one_row(bench):
    cluster = bench.cluster
    with cluster.connect(made(cluster)) as session:
        models.make_models(session)
        session.query("ANALYZE; CREATE TABLE written AS SELECT 0 AS n")
    script = cluster.directory / "one_row.sql"

    def seconds_a_call(statement):
        def measure():
            script.write_text(f"\\set id random(1, 1000)\n\\set user random(1, 100)\n\\set item random(1, 40)\n{statement};\n")
            script.chmod(0o644)
            said = cluster.tool("pgbench", "-n", "-M", "prepared", "-T", SECONDS, "-c", 1, "-f", script, "one_row").stdout
            return 1 / float(re.search(r"tps = ([\d.]+)", said).group(1))

        return measure

    measures = {"bare": seconds_a_call(BARE)} | {name: seconds_a_call(statement) for name, statement in CALLS.items()}
    for where, bar, beside in (("", 0.5, contextlib.nullcontext()), (f", beside {WRITES_A_SECOND} commits a second", 0.4, writer(cluster))):
        with beside:
            took = interleave(measures, bench.repeats)
        for name in CALLS:
            yield Row(f"{name} of one row a call{where}", f"{1 / took[name]:.0f} a second", f"the row alone {1 / took['bare']:.0f} a second",
                      took["bare"] / took[name], bar, at_most=False)


def made(cluster):
    before = cluster.database
    cluster.create_database("one_row")
    cluster.database = before
    return "one_row"


@contextlib.contextmanager
def writer(cluster):
    ended = threading.Event()

    def write():
        with cluster.connect("one_row") as session:
            began, n = time.monotonic(), 0
            while not ended.is_set():
                session.query("UPDATE written SET n = n + 1")
                n += 1
                time.sleep(max(0, began + n / WRITES_A_SECOND - time.monotonic()))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


BARS = [one_row]
