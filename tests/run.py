"""Runs the tests: `make test`. Ends with the line `N passed, N failed[, N skipped]`.

First the pure Rust tests, which need no server, and those of the ONNX process from outside; then, for each PostgreSQL, a build, an install, and against temporary clusters
the golden SQL, the catalogue's checks, README.md's SQL and the tests with several sessions.
"""

import argparse
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "scripts"), str(Path(__file__).resolve().parent)]

import build
import house
import setup
from house import ROOT, say
from lib import catalog, golden, readme, sessions
from lib.cluster import Cluster
from lib.tally import Tally

PURE_LIMIT, PURE_LONG_LIMIT = 1500, 7200


def body():
    arguments = parse()
    tally = Tally()

    def wanted(name):
        return not arguments.filter or any(re.search(pattern, name) for pattern in arguments.filter)

    servers = [server for server in house.ALL_SERVERS if (server in arguments.only if arguments.only else arguments.all or server in house.SERVERS)]
    if (not arguments.only or "pure" in arguments.only) and (not arguments.filter or "pure" in arguments.filter):
        pure(tally, arguments.long)
    if servers:
        setup.setup(tuple(servers))
    for server in servers:
        on_server(server, tally, wanted, arguments)
    return tally.close()


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=["pure", *house.ALL_SERVERS], help="only this server, or only the pure tests")
    parser.add_argument("--all", action="store_true", help="on every supported server")
    parser.add_argument("--filter", action="append", metavar="REGEX", help="only tests whose name matches: sql/scale, test_cancel, catalog, readme")
    parser.add_argument("--accept", action="store_true", help="write what the golden tests printed as what is expected")
    parser.add_argument("--long", action="store_true", help="also the long tests")
    parser.add_argument("--no-build", action="store_true", help="use what is installed")
    return parser.parse_args()


def pure(tally, long):
    # Properties that do not say how many cases they want are tried on 256, or in the long form on 10,000.
    cargo_test("cargo test (pure; no PostgreSQL)", tally, [], ["--include-ignored"] if long else [], long, {"PROPTEST_CASES": "10000"} if long else None)
    try:
        setup.onnxruntime()
    except house.Trouble as trouble:
        tally.fail("ONNX Runtime for the tests of the ONNX process", trouble)
        return
    # The rest of the library has just been tested.
    cargo_test("cargo test (the ONNX process; no PostgreSQL)", tally, ["--features", "onnx-runtime", "--lib", "--test", "onnx_process"],
               ["--skip", "algo::", "--skip", "wire::", "--skip", "as_a_foreigner", "--skip", "measure"], long, {"PERSONA_ONNXRUNTIME": str(setup.ONNXRUNTIME)})


def cargo_test(title, tally, options, test_options, long, environment=None):
    say(title)
    command = ["cargo", "test", *options, *(["--", *test_options] if test_options else [])]
    began = time.monotonic()
    # The compiler's progress goes straight to the terminal; the tests' own lines are read.
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
                             env=os.environ | (environment or {}))
    limit = threading.Timer(PURE_LONG_LIMIT if long else PURE_LIMIT, house.end_group, [child])
    limit.start()
    output, passed, failed = [], 0, 0
    try:
        for line in child.stdout:
            output.append(line.rstrip())
            found = re.match(r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", line)
            if found:
                counts = [int(one) for one in found.groups()]
                tally.add_counts(*counts)
                passed, failed = passed + counts[0], failed + counts[1]
        status = child.wait()
    except BaseException:
        house.end_group(child)
        raise
    finally:
        limit.cancel()
    if failed:
        print("\n".join(output[-120:]))
        tally.failures += [(line.split()[1], "") for line in output if line.startswith("test ") and line.endswith("FAILED")]
    elif status != 0:
        tally.fail(title, "\n".join(output[-60:]) or f"ended with status {status}")
    say(f"{title}: {passed} passed, {failed} failed, in {time.monotonic() - began:.0f} s")


def on_server(server, tally, wanted, arguments):
    config = house.pg_config(server)
    try:
        if not arguments.no_build:
            build.build([config])
            build.install(config)
        say(f"PostgreSQL {server}: starting a temporary cluster")
        cluster = Cluster(server).start()
    except (house.Trouble, AssertionError) as trouble:
        tally.fail(f"{server} build, install and start", trouble)
        return
    try:
        say(f"PostgreSQL {server}: golden SQL")
        golden.run(cluster, tally, wanted, arguments.accept)
        say(f"PostgreSQL {server}: catalogue and README")
        catalog.run(cluster, tally, wanted)
        readme.run(cluster, tally, wanted)
        problems = sessions.log_problems(cluster)
        if problems:
            tally.fail(f"{server} the server's log", problems)
    finally:
        cluster.remove()
    say(f"PostgreSQL {server}: several sessions")
    sessions.run(server, tally, wanted, arguments.long)


if __name__ == "__main__":
    house.main(body)
