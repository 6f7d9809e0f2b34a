"""What all of the project's scripts share: where things are, what is pinned, and how a command is run.

Python's standard library only, so that it runs before anything is installed.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
DOWNLOADS = CACHE / "downloads"
PINS = json.loads((ROOT / "scripts" / "pins.json").read_text())
# What the tests run on, and what they run on with `make test-all`; the first is the one whose golden outputs are the common ones.
SERVERS, ALL_SERVERS = ("18", "15"), ("18", "17", "16", "15")
BEGAN = time.monotonic()


class Trouble(Exception):
    """Something that the person at the keyboard has to know or do; printed without a traceback."""


def say(text):
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)


def extension_version():
    found = re.search(r'^version\s*=\s*"([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    return found.group(1)


def pg_config(server):
    """The pg_config of the server that `make setup` unpacked."""
    return ROOT / ".pg" / server / "bin" / "pg_config"


def pg_config_value(config, option):
    return subprocess.run([str(config), option], check=True, capture_output=True, text=True).stdout.strip()


def run(command, timeout=600, quiet=False, check=True, **options):
    """Runs a command with a time limit, and ends its whole process group (and nothing else) when that is over.

    With `quiet` the output is kept, and shown only when the command fails.
    """
    command = [str(part) for part in command]
    if quiet:
        options.update(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    child = subprocess.Popen(command, start_new_session=True, **options)
    try:
        output, _ = child.communicate(timeout=timeout)
    except BaseException as cause:
        end_group(child)
        if isinstance(cause, subprocess.TimeoutExpired):
            raise Trouble(f"{' '.join(command)}\n  ran past its limit of {timeout} s and was ended") from None
        raise
    if check and child.returncode != 0:
        raise Trouble(f"{' '.join(command)}\n  ended with status {child.returncode}" + (f":\n{output}" if output else ""))
    return subprocess.CompletedProcess(command, child.returncode, output)


def run_with_input(command, text, timeout=600, check=True, **options):
    """As `run`, with `text` as its input; returns what it printed, errors in their place between the results."""
    child = subprocess.Popen([str(part) for part in command], start_new_session=True, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    try:
        output, _ = child.communicate(text, timeout=timeout)
    except BaseException as cause:
        end_group(child)
        if isinstance(cause, subprocess.TimeoutExpired):
            raise Trouble(f"{' '.join(map(str, command))}\n  ran past its limit of {timeout} s and was ended") from None
        raise
    if check and child.returncode != 0:
        raise Trouble(f"psql ended with status {child.returncode}:\n{output}")
    return output


def end_group(child):
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def wheel(pin_name):
    """The path of a pinned wheel, downloaded once and checked against its sha256."""
    pin = PINS["wheels"][pin_name]
    path = DOWNLOADS / pin["file"]
    if path.exists() and sha256(path) == pin["sha256"]:
        return path
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    say(f"downloading {pin['name']} {pin['version']}")
    platform = ["--python-version", pin.get("python", "3.11"), "--platform", "manylinux_2_28_x86_64", "--platform", "any"]
    for attempt in range(3):
        done = run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *platform]
            + ["-d", DOWNLOADS, f"{pin['name']}=={pin['version']}"],
            timeout=600,
            quiet=True,
            check=attempt == 2,
        )
        if done.returncode == 0:
            break
        say("the download failed; once more")
    if not path.exists() or sha256(path) != pin["sha256"]:
        raise Trouble(f"{path} is not the file that scripts/pins.json names (sha256 {pin['sha256']})")
    return path


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def venv(name):
    """The Python of a virtual environment with the pinned packages of that name, made once under .cache."""
    home = CACHE / f"venv-{name}"
    stamp = home / "pins.txt"
    wanted = "\n".join([sys.version, *PINS["venvs"][name]])
    if stamp.exists() and stamp.read_text() == wanted:
        return home / "bin" / "python"
    say(f"making the Python environment {home.relative_to(ROOT)} ({', '.join(PINS['venvs'][name])})")
    shutil.rmtree(home, ignore_errors=True)
    run([sys.executable, "-m", "venv", home], timeout=180, quiet=True)
    run(
        [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--only-binary=:all:", *PINS["venvs"][name]],
        timeout=1200,
        quiet=True,
    )
    stamp.write_text(wanted)
    return home / "bin" / "python"


def main(body):
    """Runs a script's body: a Trouble is printed plainly, an interrupt ends our children and us."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(body())
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
