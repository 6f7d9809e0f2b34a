"""Our scalers beside scikit-learn's on iris, digits, Adult and Online Shoppers; runs in the venv of the benchmarks.

`scale.py data NAME PATH` writes the rows as CSV with columns id, f0, f1, … (nothing if the data set is not at hand) and prints
the columns; one cell in twenty is missing. `scale.py compare PATH OURS` reads what SQL made of them and prints the largest
differences, relative to the value where that is above 1.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits, load_iris
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PowerTransformer, QuantileTransformer, RobustScaler, StandardScaler

warnings.simplefilter("ignore")
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def read(name):
    if name == "iris":
        # Without ties, where rounding decides in scikit-learn's quantiles.
        points = load_iris().data
        return points + 1e-4 * np.random.default_rng(1).permutation(points.size).reshape(points.shape)
    if name == "digits":
        return load_digits().data
    files = {"adult": ("adult.data.gz", None), "shoppers": ("online_shoppers_intention.csv.gz", 0)}
    file, header = files[name]
    if not (BESIDE / file).exists():
        return None
    frame = pd.read_csv(BESIDE / file, header=header, skipinitialspace=True)
    return frame.select_dtypes("number").to_numpy(float)


def data(name, path):
    points = read(name)
    if points is None:
        print("[]")
        return
    points = points.astype(float)
    points[np.random.default_rng(2).random(points.shape) < 0.05] = np.nan
    frame = pd.DataFrame(points, columns=[f"f{place}" for place in range(points.shape[1])])
    frame.insert(0, "id", np.arange(1, len(points) + 1))
    frame.to_csv(path, index=False)
    print(json.dumps(list(frame.columns[1:])))


SCALERS = {
    "standard": StandardScaler(),
    "minmax": MinMaxScaler((-1, 1)),
    "maxabs": MaxAbsScaler(),
    "robust": RobustScaler(),
    "uniform": QuantileTransformer(subsample=None),
    "normal": QuantileTransformer(output_distribution="normal", subsample=None),
    "yeo_johnson": PowerTransformer(),
}


def compare(path, ours):
    points = pd.read_csv(path).to_numpy(float)[:, 1:]
    rows = []
    for name, found in json.loads(Path(ours).read_text()).items():
        columns = found["columns"]
        expected = SCALERS[name].fit_transform(points[:, columns])
        found = np.array(found["rows"], float)
        assert expected.shape == found.shape and (np.isnan(expected) == np.isnan(found)).all(), name
        rows.append([name, float(np.nanmax(np.abs(expected - found) / np.maximum(1, np.abs(expected))))])
    print(json.dumps(rows))


{"data": data, "compare": compare}[sys.argv[1]](*sys.argv[2:])
