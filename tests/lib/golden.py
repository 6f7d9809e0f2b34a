"""Golden SQL tests: each tests/sql/NAME.sql goes through psql in a database of its own, and what psql prints must be NAME.out.

NAME.15.out, where it exists, holds what PostgreSQL 15 prints instead, and so for the other servers. `--accept` writes what was printed.
"""

import difflib
import time
from concurrent.futures import ThreadPoolExecutor

import house
from lib.cluster import psql_environment

SQL, EXPECTED = house.ROOT / "tests" / "sql", house.ROOT / "tests" / "expected"
OUTPUT = house.CACHE / "test-output"
DEFAULT_SERVER = house.SERVERS[0]
TIME_LIMIT = 300


def run(cluster, tally, wanted, accept):
    files = [path for path in sorted(SQL.glob("*.sql")) if wanted(f"sql/{path.stem}")]
    (OUTPUT / cluster.server).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=2) as pool:
        for done in [pool.submit(run_file, cluster, tally, path, accept) for path in files]:
            done.result()


def run_file(cluster, tally, path, accept):
    name, began = f"{cluster.server} sql/{path.stem}", time.monotonic()
    try:
        printed = psql_output(cluster, path)
    except house.Trouble as trouble:
        tally.fail(name, trouble)
        return
    seconds = time.monotonic() - began
    (OUTPUT / cluster.server / f"{path.stem}.out").write_text(printed)
    if accept:
        accept_output(cluster.server, path.stem, printed)
    expected = expected_file(cluster.server, path.stem)
    if not expected.exists():
        tally.fail(name, f"{expected.relative_to(house.ROOT)} is missing; look at the output and run with --accept", seconds)
    elif expected.read_text() == printed:
        tally.ok(name, seconds)
    else:
        tally.fail(name, difference(expected, printed), seconds)


def psql_output(cluster, path):
    database = f"sql_{path.stem}"
    with cluster.connect("postgres") as connection:
        connection.query(f'CREATE DATABASE "{database}" TEMPLATE persona_template')
    # From standard input, so that messages carry no file name and line number.
    command = [*cluster.psql_command(database), "-a", "-q", "-v", "ON_ERROR_STOP=0"]
    printed = house.run_with_input(command, path.read_text(), timeout=TIME_LIMIT, check=False, env=psql_environment(), cwd=SQL)
    with cluster.connect("postgres") as connection:
        connection.query(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
    return printed


def own_file(server, stem):
    return EXPECTED / f"{stem}.{server}.out"


def expected_file(server, stem):
    own = own_file(server, stem)
    return own if own.exists() else EXPECTED / f"{stem}.out"


def accept_output(server, stem, printed):
    common, own = EXPECTED / f"{stem}.out", own_file(server, stem)
    if server == DEFAULT_SERVER or not common.exists():
        common.write_text(printed)
    elif common.read_text() == printed:
        own.unlink(missing_ok=True)
    else:
        own.write_text(printed)


def difference(expected, printed):
    lines = difflib.unified_diff(expected.read_text().splitlines(), printed.splitlines(), str(expected.relative_to(house.ROOT)),
                                 "printed", lineterm="", n=2)
    return "\n".join(list(lines)[:80])
