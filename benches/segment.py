"""k-means alone, from the same centroids on the same points: beside scikit-learn and faiss, and beside the machine's own limit."""

import json
import subprocess

from frame import Row, interleave, seconds
from house import CACHE, ROOT

DATA = CACHE / "bench"
# Rows, features, and how many times faster than each peer.
SHAPES = [(1_000_000, 8, 5), (1_000_000, 32, 3), (200_000, 128, 1.2)]
ITERATIONS = 20


class Lloyd:
    """benches/lloyd.rs, built once a run."""

    def __init__(self):
        built = subprocess.run(["cargo", "bench", "--bench", "lloyd", "--no-run", "--message-format=json"], cwd=ROOT, check=True,
                               stdout=subprocess.PIPE, text=True).stdout
        artefacts = [json.loads(line) for line in built.splitlines()]
        self.program = next(one["executable"] for one in artefacts if one.get("executable"))

    def ask(self, *arguments):
        printed = subprocess.run([self.program, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout
        return [float(number) for number in printed.split()]


def shapes(bench):
    """(kind, rows, features, k, bar, points, centroids), the points made once a run."""
    DATA.mkdir(parents=True, exist_ok=True)
    points, centroids = DATA / "points.f32", DATA / "centroids.f32"
    for rows, features, bar in SHAPES:
        for kind in ("mixture", "uniform"):
            for k in (8, 64, 256):
                bench.peer.ask("make_points", kind=kind, rows=rows, features=features, k=k, points=str(points), centroids=str(centroids))
                yield kind, rows, features, k, bar, points, centroids


def compute(bench):
    """So many iterations from the same start on two threads."""
    program = Lloyd()
    one, two, bandwidth = program.ask("peak")
    for kind, rows, features, k, bar, points, centroids in shapes(bench):
        ours, peers = {}, {}

        def ask_ours():
            took, ours["inertia"], ours["iterations"] = program.ask(points, centroids, features, ITERATIONS)
            return took

        def ask(library):
            def measure():
                peers[library] = bench.peer.ask("lloyd", library=library, points=str(points), centroids=str(centroids), features=features, max_iter=ITERATIONS)
                return peers[library]["seconds"]
            return measure

        took = interleave({"ours": ask_ours, **{library: ask(library) for library in ("scikit-learn", "faiss")}}, 3, warm_up=False)
        multiply_adds = rows * k * features * (ours["iterations"] + 1) / took["ours"] / 1e9
        share = f"{multiply_adds / two:.0%} of {two:.0f} G multiply-adds/s"
        for library in ("scikit-learn", "faiss"):
            name = f"{ITERATIONS} iterations, {kind} {rows // 1000} k x {features}, k = {k}"
            yield Row(name, f"{seconds(took['ours'])} ({share})", f"{library} {seconds(took[library])}", took[library] / took["ours"], bar, at_most=False)
            yield Row(f"{name}: inertia", f"{ours['inertia']:.6g}", f"{library} {peers[library]['inertia']:.6g}",
                      ours["inertia"] / peers[library]["inertia"], 1.0005)


def converge(bench):
    """To the same tolerance, from the same start, on two threads."""
    program = Lloyd()
    for kind, rows, features, k, _, points, centroids in shapes(bench):
        if (features, k) != (8, 64):
            continue
        ours = {}

        def ask_ours():
            took, ours["inertia"], ours["iterations"] = program.ask(points, centroids, features, 300, 1e-4)
            return took

        def peer():
            ours["peer"] = bench.peer.ask("lloyd", library="scikit-learn", points=str(points), centroids=str(centroids), features=features, max_iter=300, tol=1e-4)
            return ours["peer"]["seconds"]

        took = interleave({"ours": ask_ours, "peer": peer}, 3, warm_up=False)
        yield Row(f"to tolerance 1e-4, {kind} {rows // 1000} k x {features}, k = {k}, {ours['iterations']:.0f} and {ours['peer']['iterations']} iterations",
                  seconds(took["ours"]), f"scikit-learn {seconds(took['peer'])}", took["peer"] / took["ours"], 8 if kind == "mixture" else 4, at_most=False)


BARS = [compute, converge]
