"""README.md's ```sql blocks, run in their order in one database: what the README shows must work.

A block after a line `<!-- no-test -->` is skipped (it needs something that a test has not, such as the demo's data).
"""

import house

NO_TEST = "<!-- no-test -->"


def blocks(text):
    """(line number, SQL, whether it is skipped) of each ```sql block."""
    found, inside, before = [], None, ""
    for number, line in enumerate(text.splitlines(), 1):
        if inside is None and line.strip() == "```sql":
            inside = (number, [], before == NO_TEST)
        elif inside is not None and line.strip() == "```":
            found.append((inside[0], "\n".join(inside[1]), inside[2]))
            inside = None
        elif inside is not None:
            inside[1].append(line)
        elif line.strip():
            before = line.strip()
            continue
        if line.strip():
            before = line.strip()
    return found


def run(cluster, tally, wanted):
    if not wanted("readme"):
        return
    with cluster.connect("postgres") as connection:
        connection.query("CREATE DATABASE readme TEMPLATE template0")
    for number, sql, skipped in blocks((house.ROOT / "README.md").read_text()):
        name = f"{cluster.server} README.md line {number}"
        if skipped:
            tally.skip(name, "marked no-test")
        else:
            tally.check(name, lambda: cluster.psql(sql, "readme"))
