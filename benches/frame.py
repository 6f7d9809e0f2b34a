"""The frame of the benchmarks: ratios to peers, measured in turn within one run, so that a busy machine touches both alike."""

import datetime
import os
import platform
import statistics
import subprocess
import time
from dataclasses import dataclass

import house


@dataclass
class Row:
    """One line of the table. `ratio` is as the bar states it; `at_most` says which side of the bar is good."""

    what: str
    ours: str
    peer: str
    ratio: float
    bar: float
    at_most: bool = True

    @property
    def met(self):
        return self.ratio <= self.bar if self.at_most else self.ratio >= self.bar

    def cells(self):
        sign = "≤" if self.at_most else "≥"
        return [self.what, self.ours, self.peer, f"{self.ratio:.3g}", f"{sign} {self.bar:g}", "yes" if self.met else "**no**"]


# Measures of a fraction of a second are taken so many times more often.
SHORT = 5
HEAD = ["what", "ours", "peer", "ratio", "bar", "met"]


def interleave(measures, repeats, warm_up=True, average=statistics.median):
    """Median seconds of each measure, or another average: all of them once, then all again, so that no drift falls on one alone.

    A measure may return its own seconds (a peer that times itself); otherwise its call is timed. The first round warms up
    caches and is not counted, unless each round takes so long that it would not show.
    """
    seconds = {name: [] for name in measures}
    first_counted = 1 if warm_up and repeats > 1 else 0
    for turn in range(repeats + first_counted):
        for name, measure in measures.items():
            began = time.perf_counter()
            own = measure()
            took = own if isinstance(own, float) else time.perf_counter() - began
            if turn >= first_counted:
                seconds[name].append(took)
    return {name: average(all_of_them) for name, all_of_them in seconds.items()}


def seconds(value):
    return f"{value:.3f} s" if value >= 0.1 else f"{value * 1000:.1f} ms"


def table(rows):
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GB, {platform.system()} {platform.release()}"


def write_results(path, rows, failures, servers, repeats):
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=house.ROOT, capture_output=True, text=True).stdout.strip()
    text = [
        "# Benchmark results",
        "",
        "Written by `make bench`; see `benches/run.py` for what is measured. Compare the ratios, not the times: both sides were",
        f"measured in turn in one run (median of {repeats}, of five times as many for what takes a fraction of a second).",
        "",
        f"{datetime.date.today():%Y-%m-%d}, revision {revision}, {servers}, on {machine()}; load average at the end",
        f"{os.getloadavg()[0]:.1f}.",
        "",
        table(rows),
        "",
        *(f"- Not measured: {name}: {why}" for name, why in failures),
    ]
    path.write_text("\n".join(text).rstrip() + "\n")
