"""Temporary PostgreSQL clusters: a private directory, a Unix socket only, no fsync, and never as root.

PostgreSQL refuses to run as root, so as root every server process becomes `nobody`. One initdb per version is made
a run; each cluster is a copy of it.
"""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import house
from lib import pgwire

SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "'64MB'",
    "max_connections": "60",
    "max_wal_size": "'2GB'",
    "log_line_prefix": "'%m [%p] %e '",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "datestyle": "'ISO, YMD'",
    "lc_messages": "'C'",
    "jit": "off",
}
TEMPLATE_DATABASE = "persona_template"

_area = None
_templates = {}
_running = set()


def ordinary_user():
    """Keyword arguments that make subprocess drop root: PostgreSQL will not run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def give_to_ordinary_user(path):
    if os.geteuid() == 0:
        user = ordinary_user()
        os.chown(path, user["user"], user["group"])


def area():
    """This run's private directory, owned by the user that the servers run as."""
    global _area
    if _area is None:
        _area = Path(tempfile.mkdtemp(prefix="persona-"))
        give_to_ordinary_user(_area)
        atexit.register(_clean_up)
    return _area


def _clean_up():
    for cluster in list(_running):
        cluster.stop(mode="immediate")
    shutil.rmtree(_area, ignore_errors=True)


def as_ordinary_user(command, timeout=120, check=True, environment=None, output=None):
    """Runs a program as the user that the servers run as. One that leaves a daemon behind needs `output`, a file: a pipe
    that the daemon inherits would never end."""
    home = {"HOME": str(area()), "PATH": "/usr/bin:/bin", "LC_ALL": "C", "TMPDIR": str(area())}
    options = {"timeout": timeout, "check": check, "cwd": area(), "env": home | (environment or {})}
    if output is None:
        return house.run(command, quiet=True, **options, **ordinary_user())
    with open(output, "w") as file:
        done = house.run(command, stdout=file, stderr=file, **(options | {"check": False}), **ordinary_user())
    if check and done.returncode != 0:
        raise house.Trouble(f"{' '.join(map(str, command))} failed:\n{Path(output).read_text()}")
    return done


def as_the_server(work):
    """What `work` says, run in a process of the server's own user: others are not served."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            user = ordinary_user()
            if user:
                os.setgroups([])
                os.setgid(user["group"])
                os.setuid(user["user"])
            said = "ok " + str(work())
        except BaseException:
            said = traceback.format_exc()
        os.write(write, said.encode()[:60_000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    assert said.startswith("ok "), said
    return said[3:]


def reachable(path):
    """Whether the user that the servers run as can run a program that lies there."""
    try:
        return as_ordinary_user([path, "--version"], check=False).returncode == 0
    except (PermissionError, FileNotFoundError):
        return False


def server_tree(server):
    """Where the server's programs can be run from: .pg/NN, or a copy of it where the checkout is not open to others."""
    home = house.ROOT / ".pg" / server
    if reachable(home / "bin" / "postgres"):
        return home
    copy = area() / f"pg{server}"
    if not copy.exists():
        house.say(f"the user that PostgreSQL runs as cannot read {home}: copying it to {copy}")
        shutil.copytree(home, copy, symlinks=True)
    return copy


class Cluster:
    """One server. `connect()` and `psql()` reach `self.database`, which the runner sets to a fresh one for each test."""

    def __init__(self, server, settings=None, with_extension=True, directory=None):
        self.server, self.tree = server, server_tree(server)
        self.bin = self.tree / "bin"
        self.directory = Path(directory or tempfile.mkdtemp(prefix=f"pg{server}-", dir=area()))
        give_to_ordinary_user(self.directory)
        self.data, self.log = self.directory / "data", self.directory / "server.log"
        self.port, self.process = 5432, None
        self.database = "postgres"
        self.with_extension = with_extension
        if not self.data.exists():
            copy_as_ordinary_user(template(server, with_extension), self.data)
            self.configure(SETTINGS | {"unix_socket_directories": f"'{self.directory}'"} | (settings or {}))

    @property
    def socket(self):
        return self.directory / f".s.PGSQL.{self.port}"

    def configure(self, settings):
        """Appends settings to postgresql.conf; call `reload` or start anew for them to count."""
        with open(self.data / "postgresql.conf", "a") as file:
            for name, value in settings.items():
                file.write(f"{name} = {value}\n")

    def start(self, timeout=60):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", str(self.data)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self.directory,
                env={"HOME": str(self.directory), "PATH": "/usr/bin:/bin", "LC_ALL": "C", "TMPDIR": str(self.directory)},
                **ordinary_user(),
            )
        _running.add(self)
        self.wait_until_ready(timeout)
        return self

    def wait_until_ready(self, timeout=60):
        deadline = time.monotonic() + timeout
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended while starting:\n{self.log_tail()}")
            try:
                pgwire.Connection(self.socket, "postgres", timeout=5).close()
                return
            except (OSError, pgwire.ServerError, pgwire.ConnectionLost, TimeoutError):
                if time.monotonic() > deadline:
                    raise AssertionError(f"the server was not ready in {timeout} s:\n{self.log_tail()}") from None
                time.sleep(0.02)

    def stop(self, mode="fast", timeout=60):
        if self.process is None:
            return
        number = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                house.end_group(self.process)
        self.process = None
        _running.discard(self)

    def restart(self, mode="fast"):
        self.stop(mode)
        return self.start()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def remove(self):
        self.stop(mode="immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    def log_tail(self, lines=30):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def connect(self, database=None, user="postgres", **options):
        return pgwire.Connection(self.socket, database or self.database, user, **options)

    @contextmanager
    def sessions(self, count, database=None, user="postgres"):
        """That many connections at once, closed at the end."""
        connections = [self.connect(database, user) for _ in range(count)]
        try:
            yield connections
        finally:
            for connection in connections:
                connection.close()

    def standby(self):
        """A streaming standby of this server, started, made by pg_basebackup."""
        directory = Path(tempfile.mkdtemp(prefix=f"pg{self.server}-standby-", dir=area()))
        give_to_ordinary_user(directory)
        self.tool("pg_basebackup", "-D", directory / "data", "-R", "-X", "stream", "--checkpoint=fast", "--no-sync")
        twin = Cluster(self.server, with_extension=self.with_extension, directory=directory)
        twin.configure({"unix_socket_directories": f"'{directory}'"})
        twin.database = self.database
        return twin.start()

    def replay_on(self, standby, timeout=30):
        """Waits until the standby has replayed all that is written here."""
        deadline = time.monotonic() + timeout
        with self.connect() as here, standby.connect("postgres") as there:
            end = here.scalar("SELECT pg_current_wal_insert_lsn()")
            # Without synchronous commits the last records may still be in memory; a checkpoint writes them, and one more after them.
            here.query("CHECKPOINT")
            while not there.scalar(f"SELECT pg_last_wal_replay_lsn() >= '{end}'::pg_lsn"):
                assert time.monotonic() < deadline, f"the standby did not replay {end} in {timeout} s:\n{standby.log_tail()}"
                time.sleep(0.02)

    def psql_command(self, database=None, user="postgres"):
        return [str(self.bin / "psql"), "-X", "-h", str(self.directory), "-p", str(self.port), "-U", user,
                "-d", database or self.database]

    def psql(self, sql, database=None, user="postgres", timeout=120, check=True, arguments=()):
        """What psql prints for that input; fails on the first error."""
        command = [*self.psql_command(database, user), "-q", "-v", "ON_ERROR_STOP=1", *arguments]
        return house.run_with_input(command, sql, timeout=timeout, check=check, env=psql_environment(), cwd=area())

    def tool(self, name, *arguments, timeout=120, check=True):
        """Runs another program of this server (pg_dump, pg_restore, pgbench, …) against this cluster."""
        environment = {"PGHOST": str(self.directory), "PGPORT": str(self.port), "PGUSER": "postgres"}
        return as_ordinary_user([self.bin / name, *arguments], timeout=timeout, check=check, environment=environment)

    def create_database(self, name):
        """A fresh database with the extension, made `self.database`."""
        source = f'TEMPLATE "{TEMPLATE_DATABASE}"' if self.with_extension else "TEMPLATE template0"
        with self.connect("postgres") as connection:
            connection.query(f'CREATE DATABASE "{name}" {source}')
        self.database = name
        return name


def psql_environment():
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PGTZ": "UTC", "PGDATESTYLE": "ISO, YMD", "PAGER": "cat",
            "PGAPPNAME": "tests"}


def template(server, with_extension):
    """A stopped data directory to copy: right after initdb, or with the extension in TEMPLATE_DATABASE."""
    key = (server, with_extension)
    if key not in _templates:
        data = area() / f"template-{server}" / "data"
        if not with_extension:
            initdb(server, data)
        else:
            cluster = Cluster(server, with_extension=False, directory=make_directory(f"template-{server}-extension"))
            cluster.start()
            try:
                cluster.psql(f'CREATE DATABASE "{TEMPLATE_DATABASE}"', "postgres")
                cluster.psql("CREATE EXTENSION pg_persona", TEMPLATE_DATABASE)
            finally:
                cluster.stop()
            data = cluster.data
        _templates[key] = data
    return _templates[key]


def make_directory(name):
    path = area() / name
    path.mkdir()
    give_to_ordinary_user(path)
    return path


def initdb(server, data):
    as_ordinary_user(
        [server_tree(server) / "bin" / "initdb", "--no-sync", "--no-locale", "-E", "UTF8", "-A", "trust", "-U", "postgres",
         "-D", data], timeout=120)


def copy_as_ordinary_user(source, target):
    as_ordinary_user(["cp", "-a", "--reflink=auto", source, target], timeout=120)
    # The copied configuration names the template's own socket directory: the last line of a name counts.
    (target / "postmaster.pid").unlink(missing_ok=True)
