"""The test harness: temporary clusters, a small client, and the checks that `tests/run.py` runs."""
