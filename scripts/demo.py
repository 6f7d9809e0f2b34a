"""The demo: `make demo`. Sets everything up, loads a grocer's year, and runs demo/tour.sql step by step.

The server that it starts stays, so that one can go on with psql; `make demo` again begins from fresh data.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests"), str(Path(__file__).resolve().parent.parent / "demo")]

import build
import house
import load
import setup
from house import CACHE, ROOT, Trouble, say
from lib import cluster as clusters

SERVER = "18"
SETTINGS = {
    "listen_addresses": "''",
    "shared_buffers": "'256MB'",
    "work_mem": "'64MB'",
    "maintenance_work_mem": "'256MB'",
    "max_wal_size": "'4GB'",
    "synchronous_commit": "off",
    "timezone": "'UTC'",
    "jit": "off",
}
# Where a step of the tour ended, in psql's output.
END_OF_STEP = "@@ end of step"
STEP_LIMIT = 900


def body():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tour", default=ROOT / "demo" / "tour.sql", type=Path, help="another script to run instead")
    parser.add_argument("--no-build", action="store_true", help="use what is installed")
    parser.add_argument("--stop", action="store_true", help="only stop the demo's server")
    arguments = parser.parse_args()
    if arguments.stop:
        stop(home_directory())
        return 0
    setup.setup((SERVER,))
    if not arguments.no_build:
        build.build([house.pg_config(SERVER)])
        build.install(house.pg_config(SERVER))
    home = home_directory()
    start(home)
    fill(home)
    psql = psql_command(home, "demo")
    took = tour(arguments.tour, psql)
    farewell(took, psql, home)
    return 0


def tree():
    """The server's files, where the user that it runs as can read them."""
    home = ROOT / ".pg" / SERVER
    if clusters.reachable(home / "bin" / "postgres"):
        return home
    copy = fallback_directory() / "server"
    say(f"the user that PostgreSQL runs as cannot read {home}: copying it to {copy}")
    house.run(["rm", "-rf", copy], quiet=True)
    house.run(["cp", "-a", home, copy], quiet=True)
    return copy


def fallback_directory():
    path = Path("/var/tmp") / f"pg_persona-demo-{zlib.crc32(str(ROOT).encode()):08x}"
    path.mkdir(mode=0o755, exist_ok=True)
    return path


def home_directory():
    """The demo cluster's directory: under .cache, or under /var/tmp where the server's user cannot go there."""
    home = CACHE / "demo-cluster"
    if not clusters.reachable(ROOT / ".pg" / SERVER / "bin" / "postgres"):
        home = fallback_directory() / "cluster"
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    clusters.give_to_ordinary_user(home)
    return home


def socket_directory(home):
    # A Unix socket's path has at most 107 bytes.
    if len(str(home)) < 80:
        return home
    path = Path(tempfile.gettempdir()) / f"persona-demo-{zlib.crc32(str(home).encode()):08x}"
    path.mkdir(mode=0o755, exist_ok=True)
    clusters.give_to_ordinary_user(path)
    return path


def pg_ctl(home, *arguments, check=True):
    return clusters.as_ordinary_user([tree_of(home) / "bin" / "pg_ctl", "-D", home / "data", "-s", "-w", *arguments], check=check,
                                     output=home / "pg_ctl.log")


_tree = {}


def tree_of(home):
    if home not in _tree:
        _tree[home] = tree()
    return _tree[home]


def stop(home):
    """Ends the demo's own server, if it runs: the process that its directory's postmaster.pid names, after a second look."""
    pid_file = home / "data" / "postmaster.pid"
    if not pid_file.exists():
        return
    pid, directory = pid_file.read_text().splitlines()[:2]
    try:
        if directory != str(home / "data") or Path(f"/proc/{pid}/comm").read_text().strip() != "postgres":
            return
        os.kill(int(pid), signal.SIGINT)
    except (FileNotFoundError, ProcessLookupError):
        return
    deadline = time.monotonic() + 60
    while pid_file.exists():
        if time.monotonic() > deadline:
            raise Trouble(f"the demo's server (process {pid}) does not stop")
        time.sleep(0.05)


def start(home):
    """(Re)starts the server, since the extension's library may be new; makes the cluster the first time."""
    stop(home)
    if not (home / "data" / "PG_VERSION").exists():
        say(f"making the demo's cluster in {home}")
        house.run(["rm", "-rf", home / "data"], quiet=True)
        clusters.as_ordinary_user([tree_of(home) / "bin" / "initdb", "--no-sync", "--no-locale", "-E", "UTF8", "-A", "trust",
                                   "-U", "postgres", "-D", home / "data"])
        with open(home / "data" / "postgresql.conf", "a") as file:
            for name, value in (SETTINGS | {"unix_socket_directories": f"'{socket_directory(home)}'"}).items():
                file.write(f"{name} = {value}\n")
    say("starting the demo's server")
    pg_ctl(home, "-l", home / "server.log", "start")


def psql_command(home, database):
    return [str(house.pg_config(SERVER).parent / "psql"), "-X", "-h", str(socket_directory(home)), "-U", "postgres", "-d", database]


def ask(home, database, sql):
    return house.run_with_input([*psql_command(home, database), "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"], sql, timeout=300).strip()


def fill(home):
    """Database `journey` keeps the loaded data; `demo` is made from it anew."""
    load.csv_files()
    pin = house.PINS["wheels"]["journey"]["sha256"]
    if ask(home, "postgres", "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'journey'") != pin:
        ask(home, "postgres", "DROP DATABASE IF EXISTS journey WITH (FORCE);\nCREATE DATABASE journey;")
        load.load(psql_command(home, "journey"))
        ask(home, "postgres", f"COMMENT ON DATABASE journey IS '{pin}'")
    ask(home, "postgres", "DROP DATABASE IF EXISTS demo WITH (FORCE);\nCREATE DATABASE demo TEMPLATE journey STRATEGY file_copy;")


def steps(path):
    """(title, prose, SQL) of each step; `-- ## Title` begins one, comment lines right under it are its prose."""
    found, prose_open = [], False
    for line in path.read_text().splitlines():
        if line.startswith("-- ## "):
            found.append((line[6:].strip(), [], []))
            prose_open = True
        elif not found:
            continue
        elif prose_open and line.startswith("--"):
            found[-1][1].append(line[2:].strip())
        else:
            prose_open = False
            found[-1][2].append(line)
    return found


def tour(path, psql):
    """Runs the steps in one psql session and prints each one's title, output and time; returns (title, seconds)."""
    session = subprocess.Popen([*psql, "-q", "-v", "ON_ERROR_STOP=1", "-P", "pager=off"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                               start_new_session=True, cwd=path.parent, env=os.environ | {"PGOPTIONS": "-c client_min_messages=notice"})
    took = []
    try:
        for number, (title, prose, sql) in enumerate(steps(path), 1):
            print(f"\n{number}. {title}\n{'=' * (len(str(number)) + 2 + len(title))}")
            print("".join(f"{line}\n" for line in prose), flush=True)
            began = time.monotonic()
            run_step(session, title, "\n".join(sql))
            took.append((title, time.monotonic() - began))
            print(f"({took[-1][1]:.1f} s)", flush=True)
        session.stdin.close()
        session.wait(timeout=30)
    finally:
        if session.poll() is None:
            house.end_group(session)
    return took


def run_step(session, title, sql):
    try:
        session.stdin.write(f"{sql}\n\\echo {END_OF_STEP}\n")
        session.stdin.flush()
    except BrokenPipeError:
        pass
    for line in session.stdout:
        if line.rstrip() == END_OF_STEP:
            return
        print(line, end="", flush=True)
    raise Trouble(f"the tour stopped in the step \"{title}\"; psql's message is above")


def farewell(took, psql, home):
    print("\nWhat was shown")
    print("==============")
    width = max(len(title) for title, _ in took)
    for title, seconds in took:
        print(f"  {title.ljust(width)}  {seconds:7.1f} s")
    print(f"  {'all steps'.ljust(width)}  {sum(seconds for _, seconds in took):7.1f} s")
    print("\nAll of it is SQL, in demo/tour.sql. The server goes on running; to look around:\n")
    print(f"  {' '.join(os.path.relpath(word) if word.startswith(str(ROOT)) and number == 0 else word for number, word in enumerate(psql))}")
    print("\nand to stop it:  python3 scripts/demo.py --stop", flush=True)


if __name__ == "__main__":
    house.main(body)
