"""The peers' side of the benchmarks: what one would do today in Python. Runs in the venv with numpy, pandas and scikit-learn.

Reads one JSON request a line, answers with one JSON line; it stays up, so that imports are in nobody's time.
"""

import base64
import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd

COLUMNS = list("abcdefgh")


def mixture(rows, seed=1):
    """An overlapping Gaussian mixture of 64 in eight dimensions, its tails log-normal."""
    random = np.random.default_rng(seed)
    centres = random.normal(0, 2.0, (64, len(COLUMNS)))
    spreads = random.uniform(0.5, 1.5, (64, len(COLUMNS)))
    chosen = random.integers(0, 64, rows)
    points = centres[chosen] + spreads[chosen] * random.normal(size=(rows, len(COLUMNS)))
    tail = random.random(rows) < 0.05
    points[tail] += np.sign(points[tail]) * random.lognormal(0.5, 0.8, (tail.sum(), len(COLUMNS)))
    return points


def uniform(rows, seed=2):
    return np.random.default_rng(seed).random((rows, len(COLUMNS)))


def make_data(path, kind, rows):
    points = {"mixture": mixture, "uniform": uniform}[kind](rows)
    frame = pd.DataFrame(points, columns=COLUMNS)
    frame.insert(0, "id", np.arange(1, rows + 1))
    # A conversion that depends on four of the columns, for the scorers.
    logit = points @ np.array([0.6, -0.4, 0.3, 0.2, 0, 0, 0, 0]) - 1
    frame["converted"] = (np.random.default_rng(3).random(rows) < 1 / (1 + np.exp(-logit))).astype(int)
    frame.to_csv(path, index=False)


def fetch(psql, table, columns=COLUMNS):
    """COPY out, parsed by pandas: the usual way of a table into Python."""
    source = f"COPY (SELECT {', '.join(columns)} FROM {table}) TO STDOUT (FORMAT csv)"
    with subprocess.Popen([*psql, "-q", "-c", source], stdout=subprocess.PIPE) as pipe:
        return pd.read_csv(pipe.stdout, header=None, names=columns)


def fetch_with_key(psql, table, columns):
    frame = fetch(psql, table, ["id", *columns])
    return frame["id"], frame[columns]


def write(psql, table, frame):
    """COPY of a frame into a table that is there."""
    with subprocess.Popen([*psql, "-q", "-c", f"COPY {table} FROM STDIN (FORMAT csv)"], stdin=subprocess.PIPE, text=True) as pipe:
        frame.to_csv(pipe.stdin, index=False, header=False)


def standard_scale(psql, table, columns, into):
    from sklearn.preprocessing import StandardScaler

    began = time.perf_counter()
    keys, frame = fetch_with_key(psql, table, columns)
    scaled_frame = pd.DataFrame(StandardScaler().fit_transform(frame), columns=columns)
    scaled_frame.insert(0, "id", keys)
    write(psql, into, scaled_frame)
    return {"seconds": time.perf_counter() - began}


def describe(psql, table):
    """COPY out, parsed, and what pandas says of numbers and of texts."""
    began = time.perf_counter()
    with subprocess.Popen([*psql, "-q", "-c", f"COPY {table} TO STDOUT (FORMAT csv, HEADER)"], stdout=subprocess.PIPE) as pipe:
        loaded = pd.read_csv(pipe.stdout)
    loaded.describe(include="all")
    return {"seconds": time.perf_counter() - began}


def kmeans(psql, table, k, seed, max_iter, labels_into=None):
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import StandardScaler

    began = time.perf_counter()
    if labels_into:
        keys, frame = fetch_with_key(psql, table, COLUMNS)
    else:
        frame = fetch(psql, table)
    points = StandardScaler().fit_transform(frame).astype(np.float32)
    model = KMeans(k, n_init=1, random_state=seed, max_iter=max_iter, tol=0).fit(points)
    if labels_into:
        write(psql, labels_into, pd.DataFrame({"id": keys, "segment": model.labels_ + 1}))
    took = time.perf_counter() - began
    return {"seconds": took, "inertia": float(model.inertia_), "iterations": int(model.n_iter_)}


def dbscan(psql, table, eps, min_points):
    from sklearn.cluster import DBSCAN

    began = time.perf_counter()
    DBSCAN(eps=eps, min_samples=min_points).fit(fetch(psql, table, ["a", "b"]).to_numpy())
    return {"seconds": time.perf_counter() - began}


def gaussian_mixture(psql, table, k):
    from sklearn.mixture import GaussianMixture
    from sklearn.preprocessing import StandardScaler

    began = time.perf_counter()
    GaussianMixture(k, random_state=1).fit(StandardScaler().fit_transform(fetch(psql, table, ["a", "b"])))
    return {"seconds": time.perf_counter() - began}


def make_points(kind, rows, features, k, points, centroids):
    """Standardised f32 points and k starting centroids, as raw files. The mixture overlaps, with log-normal tails."""
    from sklearn.cluster import kmeans_plusplus

    random = np.random.default_rng(features)
    if kind == "mixture":
        chosen = random.integers(0, 64, rows)
        values = random.normal(0, 2.0, (64, features))[chosen] + random.uniform(0.5, 1.5, (64, features))[chosen] * random.normal(size=(rows, features))
        tail = random.random(rows) < 0.05
        values[tail] += np.sign(values[tail]) * random.lognormal(0.5, 0.8, (tail.sum(), features))
    else:
        values = random.random((rows, features))
    values = ((values - values.mean(0)) / values.std(0)).astype(np.float32)
    start, _ = kmeans_plusplus(values[:: max(1, rows // 20_000)], k, random_state=1)
    values.tofile(points)
    np.ascontiguousarray(start, np.float32).tofile(centroids)
    _raw.clear()


_raw = {}


def raw(path, features):
    if path not in _raw:
        _raw[path] = np.fromfile(path, np.float32).reshape(-1, features)
    return _raw[path]


def lloyd(library, points, centroids, features, max_iter, tol=0):
    """Lloyd's iterations from given centroids over a matrix that lies ready; the second of two runs, as ours."""
    values, start = raw(points, features), raw(centroids, features)
    if library == "faiss":
        import faiss

        for _ in range(2):
            model = faiss.Kmeans(features, len(start), niter=max_iter, max_points_per_centroid=len(values), min_points_per_centroid=1)
            began = time.perf_counter()
            model.train(values, init_centroids=start)
            took = time.perf_counter() - began
        return {"seconds": took, "inertia": float(model.index.search(values, 1)[0].sum(dtype=float)), "iterations": max_iter}
    from sklearn.cluster import KMeans

    for _ in range(2):
        began = time.perf_counter()
        model = KMeans(len(start), init=start, n_init=1, max_iter=max_iter, tol=tol).fit(values)
        took = time.perf_counter() - began
    return {"seconds": took, "inertia": float(model.inertia_), "iterations": int(model.n_iter_)}


_points = {}


def scaled(psql, table):
    if table not in _points:
        frame = fetch(psql, table).to_numpy()
        _points[table] = frame, frame.mean(axis=0), frame.std(axis=0)
    return _points[table]


def inertia(psql, table, centroids):
    """The inertia of given centroids (in original units) over the standardised points."""
    points, mean, spread = scaled(psql, table)
    centres = (np.asarray(centroids) - mean) / spread
    total = 0.0
    for start in range(0, len(points), 50_000):
        part = (points[start : start + 50_000] - mean) / spread
        squares = (part**2).sum(1)[:, None] - 2 * part @ centres.T + (centres**2).sum(1)
        total += squares.min(axis=1).sum()
    return {"inertia": float(total)}


_sessions = {}


def export_models(psql, table, rows=100_000):
    """A logistic and a 100-tree boosted model, fitted on part of the table and exported by skl2onnx; kept for `onnx`."""
    import onnxruntime
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    points = scaled(psql, table)[0]
    with subprocess.Popen([*psql, "-q", "-c", f"COPY (SELECT converted FROM {table}) TO STDOUT"], stdout=subprocess.PIPE) as pipe:
        target = pd.read_csv(pipe.stdout, header=None)[0].to_numpy()
    models = {"logistic": LogisticRegression(max_iter=200), "trees": GradientBoostingClassifier(n_estimators=100, max_depth=4, subsample=0.2)}
    exported = {}
    for name, model in models.items():
        model.fit(points[:rows].astype(np.float32), target[:rows])
        # One input per column, so that the graph binds to columns by name.
        inputs = [(column, FloatTensorType([None, 1])) for column in COLUMNS]
        graph = to_named_columns(model, inputs)
        payload = graph.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        _sessions[name] = onnxruntime.InferenceSession(payload, options, providers=["CPUExecutionProvider"])
        exported[name] = base64.b64encode(payload).decode()
    return exported


def to_named_columns(model, inputs):
    from skl2onnx import convert_sklearn
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    frame = pd.DataFrame(np.zeros((2, len(COLUMNS)), np.float32), columns=COLUMNS)
    gather = ColumnTransformer([("numbers", "passthrough", COLUMNS)]).fit(frame)
    return convert_sklearn(Pipeline([("gather", gather), ("model", model)]), initial_types=inputs,
                           options={id(model): {"zipmap": False}}, target_opset=17)


def onnx(psql, table, name):
    """ONNX Runtime over a matrix that lies ready; the table's way into Python is not counted."""
    points = scaled(psql, table)[0].astype(np.float32)
    feeds = {column: np.ascontiguousarray(points[:, place : place + 1]) for place, column in enumerate(COLUMNS)}
    session = _sessions[name]
    began = time.perf_counter()
    probabilities = session.run(None, feeds)[1]
    took = time.perf_counter() - began
    return {"seconds": took, "mean": float(np.mean(probabilities[:, 1]))}


def sample_data(path, name):
    """A data set that scikit-learn carries, as CSV with columns id, f0, f1, …; constant columns stay."""
    from sklearn import datasets

    points = getattr(datasets, f"load_{name}")().data
    frame = pd.DataFrame(points, columns=[f"f{place}" for place in range(points.shape[1])])
    frame.insert(0, "id", np.arange(1, len(points) + 1))
    frame.to_csv(path, index=False)
    return list(frame.columns[1:])


def movielens_split(path, train, test, seed):
    """MovieLens-100K, three quarters of each item's ratings to train and the rest to test."""
    ratings = pd.read_csv(path, sep="\t")
    ratings.columns = [column.split(":")[0] for column in ratings.columns]
    random = np.random.default_rng(seed)
    order = random.permutation(len(ratings))
    shuffled = ratings.iloc[order]
    place = shuffled.groupby("item_id").cumcount()
    size = shuffled.groupby("item_id")["item_id"].transform("size")
    chosen = place < np.round(size * 0.75)
    shuffled[chosen].to_csv(train, index=False)
    shuffled[~chosen].to_csv(test, index=False)


def ranking(recommended, test, n):
    """nDCG, precision and recall at n over the users of the test part. `recommended`: CSV of user_id, item_id, rank."""
    held_out = pd.read_csv(test).groupby("user_id")["item_id"].agg(set)
    lists = pd.read_csv(recommended).sort_values(["user_id", "rank"]).groupby("user_id")["item_id"].agg(list)
    discounts = 1 / np.log2(np.arange(2, n + 2))
    ndcg, precision, recall = [], [], []
    for user, wanted in held_out.items():
        hits = np.array([item in wanted for item in lists.get(user, [])[:n]] + [False] * n)[:n]
        ndcg.append((hits * discounts).sum() / discounts[: min(n, len(wanted))].sum())
        precision.append(hits.sum() / n)
        recall.append(hits.sum() / len(wanted))
    return {"ndcg": float(np.mean(ndcg)), "precision": float(np.mean(precision)), "recall": float(np.mean(recall))}


COMMANDS = {one.__name__: one for one in (make_data, make_points, standard_scale, describe, kmeans, dbscan, gaussian_mixture, lloyd, inertia, export_models, onnx, sample_data, movielens_split, ranking)}


def serve():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": COMMANDS[request.pop("do")](**request)}
        except Exception as cause:
            answer = {"error": f"{type(cause).__name__}: {cause}"}
        print(json.dumps(answer), flush=True)


serve()
