"""The file of persona.activity: on a full disk, and after sessions that did not end by themselves."""

import os
import signal
import struct
import subprocess

from lib import models
from lib.cluster import give_to_ordinary_user
from lib.processes import wait_until
from lib.tally import Skip

EXPECTS_CRASH = True
LONG_FIT = "SELECT FROM persona.fit_segments('long', 'SELECT g AS id, random() AS a, random() AS b FROM generate_series(1, 3000000) g', 'id', 50, n_init => 5)"
SLOT, SLOTS = 512, 128


def times_ready(cluster):
    return cluster.log.read_text(errors="replace").count("database system is ready to accept connections")


def test_fits_go_on_unseen_on_a_full_disk(cluster):
    """A store into a hole of a mapped file on a full disk is SIGBUS, which restarts every session."""
    place = cluster.data / "pg_persona"
    place.mkdir(exist_ok=True)
    give_to_ordinary_user(place)
    options = f"size=16k,mode=700,uid={place.stat().st_uid},gid={place.stat().st_gid}"
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True).returncode != 0:
        raise Skip("a small file system cannot be mounted here")
    try:
        with cluster.connect() as session:
            models.make_models(session, 200, 30)
            for statement in ("SELECT FROM persona.choose_k('SELECT spend, visits FROM customers', 2, 3)", "SELECT persona.refit('seg')",
                              "SELECT * FROM persona.describe('customers')", "SELECT * FROM persona.recommend_all('rec')",
                              "SELECT persona.kmeans(ARRAY[spend, visits], 3) FROM customers"):
                assert session.rows(statement), statement
            assert session.scalar("SELECT count(*) FROM persona.activity") == 0
        assert "terminated by signal" not in cluster.log.read_text(errors="replace")
    finally:
        cluster.stop()
        subprocess.run(["umount", place], check=True)
        cluster.start()


def test_a_file_with_holes_is_filled(cluster):
    """As an earlier release left it."""
    file = cluster.data / "pg_persona" / "activity"
    file.parent.mkdir(exist_ok=True)
    give_to_ordinary_user(file.parent)
    with open(file, "wb") as made:
        made.truncate(SLOT * SLOTS)
    give_to_ordinary_user(file)
    with cluster.connect() as session:
        models.make_data(session, 100, 20)
        session.query("SELECT FROM persona.choose_k('SELECT spend, visits FROM customers', 2, 3)")
    assert file.stat().st_blocks * 512 >= SLOT * SLOTS


def test_who_left_without_a_word_is_not_shown(cluster):
    file = cluster.data / "pg_persona" / "activity"
    with cluster.connect() as fitting, cluster.connect() as looking:
        fitting.send(LONG_FIT)
        wait_until("the fit is shown", lambda: looking.scalar("SELECT count(*) FROM persona.activity WHERE model = 'long'") == 1, 20)
        left = bytearray(file.read_bytes())
        pid = looking.scalar("SELECT pid FROM persona.activity")
        starts = times_ready(cluster)
        os.kill(pid, signal.SIGKILL)
    wait_until("the server is back", lambda: times_ready(cluster) > starts, 20)
    # By now the number is that of another process of this server: of the very session that looks.
    for stop in (False, True):
        if stop:
            cluster.restart()
        with cluster.connect() as looking:
            own = looking.scalar("SELECT pg_backend_pid()")
            for slot in range(SLOTS):
                if struct.unpack_from("<I", left, slot * SLOT)[0]:
                    struct.pack_into("<I", left, slot * SLOT, own)
            with open(file, "r+b") as written:
                written.write(left)
            assert looking.scalar("SELECT count(*) FROM persona.activity") == 0, "a ghost"
            # Such slots are free.
            with cluster.sessions(2) as sessions:
                for number, session in enumerate(sessions):
                    session.send(LONG_FIT.replace("'long'", f"'long_{number}'"))
                wait_until("both are shown", lambda: looking.scalar("SELECT count(*) FROM persona.activity") == 2, 20)
                for session in sessions:
                    session.cancel()
                for session in sessions:
                    try:
                        session.fetch()
                    except Exception as error:
                        assert getattr(error, "sqlstate", "") == "57014", error
