"""Texts of the code go to clients of any encoding, so they are ASCII: `make lint` allows no others outside of comments and tests."""

import re

from house import ROOT, Trouble, say

# A page is ASCII when it is finished.
PAGES = "algo/report"


def check():
    say("texts that not every client can read")
    found = []
    for file in sorted((ROOT / "src").rglob("*.rs")):
        path = file.relative_to(ROOT / "src").as_posix()
        if path.startswith(PAGES) or "tests" in path:
            continue
        code = file.read_text().split("#[cfg(test)]\nmod tests")[0]
        for number, line in enumerate(code.splitlines(), 1):
            if not line.isascii() and not re.sub(r"//.*", "", line).isascii():
                found.append(f"src/{path}:{number}: {line.strip()}")
    if found:
        raise Trouble("not ASCII:\n  " + "\n  ".join(found))
