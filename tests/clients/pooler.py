"""A pgbouncer in transaction mode in front of the cluster, with one session of the server for all clients."""

import subprocess
import time
from pathlib import Path

import house
from clients.clients import debian
from lib.cluster import give_to_ordinary_user, ordinary_user

PROGRAM = Path("/usr/sbin/pgbouncer")
PORT = 6432
SETTINGS = """
[databases]
{database} = host={directory} port={port} user=postgres
[pgbouncer]
unix_socket_dir = {folder}
listen_port = {listen}
auth_type = any
pool_mode = transaction
default_pool_size = 1
"""

_process = None


def started(cluster):
    """Where it listens."""
    global _process
    debian(PROGRAM, "pgbouncer")
    folder = cluster.directory / "pooler"
    if _process is None:
        folder.mkdir()
        give_to_ordinary_user(folder)
        (folder / "pgbouncer.ini").write_text(
            SETTINGS.format(database=cluster.database, directory=cluster.directory, port=cluster.port, folder=folder, listen=PORT))
        with open(folder / "log", "w") as log:
            _process = subprocess.Popen([PROGRAM, folder / "pgbouncer.ini"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                        **ordinary_user())
        deadline = time.monotonic() + 10
        while not (folder / f".s.PGSQL.{PORT}").exists():
            if _process.poll() is not None or time.monotonic() > deadline:
                raise house.Trouble(f"pgbouncer does not start:\n{(folder / 'log').read_text()}")
            time.sleep(0.02)
    return {"host": str(folder), "port": PORT}


def stop():
    if _process is not None:
        house.end_group(_process)
