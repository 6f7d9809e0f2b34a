"""The processes of a test's server, read from /proc: the scorer, its supervisor, what they hold."""

import hashlib
import os
import signal
import time
from pathlib import Path


def wait_until(what, condition, seconds=10):
    """Polls until the condition gives something true, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def children():
    """Parent to children, of every process there is."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name may hold spaces and brackets; the state and the parent follow the last bracket.
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found.setdefault(int(parent), []).append(int(entry.name))
    return found


def descendants(pid):
    family, found, new = children(), [], [pid]
    while new:
        new = [child for parent in new for child in family.get(parent, [])]
        found += new
    return found


def name(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def title(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def onnx_processes(cluster):
    return [pid for pid in descendants(cluster.process.pid) if name(pid) == "persona-onnx"]


def supervisors(cluster):
    return [pid for pid in descendants(cluster.process.pid) if "persona onnx supervisor" in title(pid)]


def is_alive(pid):
    """Whether any thread of it is: the first may be gone while the others still hold the sockets. They are counted, for a list
    of threads that end can miss one that does not."""
    state, threads = (status_of(f"/proc/{pid}/status", name) for name in ("State", "Threads"))
    return state is not None and not (state in "ZX" and threads in (None, "0", "1"))


def is_busy_with(cluster, model):
    """Whether the scorer loads or runs that model, by the file in which it says so."""
    try:
        slots = (cluster.data / "pg_persona" / "onnx.slots").read_bytes()
    except OSError:
        return False
    wanted = hashlib.sha256(model).digest()
    return any(slots[at] == 1 and slots[at + 16 : at + 48] == wanted for at in range(0, len(slots), 48))


def descriptors(pid):
    """Number to what it is open on: a path, socket:[inode] or pipe:[inode]."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = os.readlink(entry)
        except OSError:
            continue
    return found


def socket_table(pid, family):
    """The lines of /proc/PID/net/FAMILY, each as its words."""
    try:
        return [line.split() for line in Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]]
    except OSError:
        return []


def status_of(path, name):
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(name + ":"):
                return line.split()[1]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def anonymous_memory(pid):
    """Bytes that are the process's own, without files that are mapped into it."""
    return int(status_of(f"/proc/{pid}/status", "RssAnon")) * 1024


def peak_memory(pid):
    """Bytes that the process had in memory at most."""
    return int(status_of(f"/proc/{pid}/status", "VmHWM")) * 1024


def tasks_of(pid):
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []


def threads_of(pid):
    # The kernel takes a moment to bury a thread that was joined.
    for _ in range(20):
        count = len(tasks_of(pid))
        if count <= 1:
            break
        time.sleep(0.01)
    return count


def own_files(pid):
    """Open files other than tables, which PostgreSQL keeps open as it likes."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            pass
    return sorted(one for one in found if "/base/" not in one and "/global/" not in one and "/pg_wal/" not in one)


def blocked_signals(pid, task):
    mask = status_of(f"/proc/{pid}/task/{task}/status", "SigBlk")
    return None if mask is None else int(mask, 16)


def all_blocked(mask):
    """All but KILL and STOP, which nobody can block, and those that the C library keeps for itself (32 and 33)."""
    return all(mask >> (number - 1) & 1 for number in range(1, 32) if number not in (signal.SIGKILL, signal.SIGSTOP))
