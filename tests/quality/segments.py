"""What scikit-learn and faiss reach where our segments are judged, and the inertia of ours by numpy; runs in the venv of the benchmarks.

`segments.py COMMAND REQUEST` prints JSON; the request is JSON too, and names the rows as `path`, `features` and `standardise`.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

warnings.simplefilter("ignore")


def read(path, features, standardise):
    """The rows, and where and how far apart they are in the space of the fit: mean and population sd, or nothing."""
    points = pd.read_csv(path)[features].to_numpy(float)
    if not standardise:
        return points, 0.0, 1.0
    mean, spread = points.mean(axis=0), points.std(axis=0)
    spread[spread == 0] = 1
    return (points - mean) / spread, mean, spread


def best(k, starts, **rows):
    """Inertia of the best of so many starts, each run to its end."""
    import faiss

    points, *_ = read(**rows)
    theirs = KMeans(k, n_init=starts, max_iter=300, tol=0, random_state=1).fit(points)
    model = faiss.Kmeans(points.shape[1], k, niter=300, nredo=starts, seed=1, max_points_per_centroid=len(points), min_points_per_centroid=1)
    model.train(np.ascontiguousarray(points, np.float32))
    return {"scikit-learn": float(theirs.inertia_), "faiss": total(points, model.centroids.astype(float))}


def seeds(k, count, **rows):
    """Inertia of one start for each of so many seeds."""
    points, *_ = read(**rows)
    return [float(KMeans(k, n_init=1, max_iter=300, tol=0, random_state=seed).fit(points).inertia_) for seed in range(count)]


def inertia(centroids, **rows):
    """Inertia of each set of centroids in a file, in original units."""
    points, mean, spread = read(**rows)
    return [total(points, (np.asarray(one, float) - mean) / spread) for one in json.loads(Path(centroids).read_text())]


def weighted(weights, start, path, features, **_):
    """Inertia of a fit from centroids in original units, standardised; the rows weigh what the expression says."""
    frame = pd.read_csv(path)
    points, weight = frame[features].to_numpy(float), frame.eval(weights).to_numpy(float)
    mean = np.average(points, axis=0, weights=weight)
    spread = np.sqrt(np.average((points - mean) ** 2, axis=0, weights=weight))
    start = (np.asarray(start, float) - mean) / spread
    model = KMeans(len(start), init=start, n_init=1, max_iter=1000, tol=0, algorithm="lloyd")
    return float(model.fit((points - mean) / spread, sample_weight=weight).inertia_)


def total(points, centres):
    parts = (points[first : first + 10_000] for first in range(0, len(points), 10_000))
    return float(sum(np.min([((part - centre) ** 2).sum(axis=1) for centre in centres], axis=0).sum() for part in parts))


print(json.dumps({"best": best, "seeds": seeds, "inertia": inertia, "weighted": weighted}[sys.argv[1]](**json.loads(sys.argv[2]))))
