"""Rooms of the source, folders and files beside them: none import each other in a circle, and few have `unsafe`. `make lint` checks it."""

import re

from house import ROOT, Trouble, say

# Where the rooms are, and whether each file in a room counts by itself.
HOUSES = {"algo": False, "onnx": False, "pg": False, "pg/sys": True, "pg/types": True, "pg/rows": True, "algo/segment": True, "algo/score": False}
# Where `unsafe` may be: the plumbing that knows PostgreSQL's memory, vector instructions, mapped files, and the calls of the system.
UNSAFE = ("pg/sys/", "pg/types/", "pg/rows/", "algo/score/boosted_trees/ahead.rs", "algo/segment/engine/carry.rs", "algo/segment/engine/kernel.rs", "algo/segment/engine/kernel/x86.rs",
          "algo/standardise/observe.rs", "algo/store.rs", "onnx/process/system.rs")
IS_UNSAFE = re.compile(r"\bunsafe\s*(?:\{|\(|fn\b|impl\b|extern\b|trait\b)|\bunsafe_code\b")
PATH = re.compile(r"\b((?:crate|super)(?:::\w+)*)(?:::\{([^}]*)\})?")


def check():
    say("rooms that import each other")
    circles = [f"src/{house}: {' <-> '.join(circle)}" for house, by_file in HOUSES.items() for circle in circles_of(house, by_file)]
    if circles:
        raise Trouble("rooms import each other:\n  " + "\n  ".join(circles))
    say("rooms with unsafe code")
    found = [f"src/{path}: {line.strip()}" for path, line in unsafe_lines() if not path.startswith(UNSAFE)]
    if found:
        raise Trouble("unsafe outside of the plumbing:\n  " + "\n  ".join(found))


def unsafe_lines():
    for file in sorted((ROOT / "src").rglob("*.rs")):
        for line in re.sub(r"//[^\n]*", "", file.read_text()).splitlines():
            if IS_UNSAFE.search(line):
                yield file.relative_to(ROOT / "src").as_posix(), line


def circles_of(house, by_file):
    modules = modules_of(ROOT / "src" / house)
    room = "/".join if by_file else lambda module: module[0]
    imports = {room(module): set() for module in modules if module}
    for module, text in modules.items():
        for path in imported(text):
            other = resolved(path, module, house, modules)
            if module and other and room(other) != room(module) and module[:len(other)] != other:
                imports[room(module)].add(room(other))
    return circles_in(imports)


def modules_of(folder):
    """The text of each module, without comments and tests, by its path below the folder."""
    modules = {}
    for file in sorted(folder.rglob("*.rs")):
        path = file.relative_to(folder).with_suffix("").parts
        if "tests" not in path:
            text = file.read_text().split("#[cfg(test)]\nmod tests")[0]
            modules[path[:-1] if path[-1] == "mod" else path] = re.sub(r"//[^\n]*", "", text)
    return modules


def imported(text):
    for match in PATH.finditer(text):
        base = match[1].split("::")
        for rest in re.split(r",(?![^{]*\})", match[2] or ""):
            yield [*base, *filter(None, rest.strip().split("::"))]


def resolved(path, module, house, modules):
    """The module in this house that a path leads into, or None."""
    if path[0] == "crate":
        at = house.split("/")
        if path[1:len(at) + 1] != at:
            return None
        path = path[len(at) + 1:]
    else:
        n_up = sum(1 for part in path if part == "super")
        path = [*module[:len(module) - n_up], *path[n_up:]]
    found = (tuple(path[:n]) for n in range(len(path), 0, -1) if tuple(path[:n]) in modules)
    return next(found, None)


def circles_in(imports):
    """Sets of rooms each of which is reached from each other."""
    def reached(room):
        seen, todo = set(), [room]
        while todo:
            for other in imports[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        return seen

    reach = {room: reached(room) for room in imports}
    circles = {tuple(sorted({room} | {other for other in reach[room] if room in reach[other]})) for room in imports if room in reach[room]}
    return sorted(circles)
