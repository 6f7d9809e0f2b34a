"""Our naive Bayes beside scikit-learn's, column by column, so that missing numbers can be left out; runs in the venv of the benchmarks.

`naive_bayes.py data NAME PATH` writes the rows as CSV, the first feature as text, and prints the columns; `naive_bayes.py compare PATH OURS`
prints the largest difference of a score.
"""

import json
import sys

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.naive_bayes import CategoricalNB, GaussianNB

LOADERS = {"breast_cancer": load_breast_cancer, "digits": load_digits, "wine": load_wine}


def data(name, path):
    """The features, some missing, the first in five bins as text, and whether the class is the first one."""
    found = LOADERS[name](as_frame=True)
    frame = found.data.copy()
    frame.columns = [f"f{place}" for place in range(frame.shape[1])]
    frame = frame.mask(np.random.default_rng(3).random(frame.shape) < 0.05)
    frame.insert(0, "c", pd.cut(frame.pop("f0"), 5, labels=[f"bin {place}" for place in range(5)]))
    frame.insert(0, "id", np.arange(len(frame)))
    frame["y"] = found.target == 0
    frame.to_csv(path, index=False)
    print(json.dumps(list(frame.columns[2:-1])))


def compare(path, ours):
    frame = pd.read_csv(path)
    labels = frame["y"].to_numpy()
    log_odds = np.full(len(frame), np.log(labels.sum() / (~labels).sum()))
    codes = frame["c"].fillna("").astype("category").cat.codes.to_numpy()[:, None]
    fitted = CategoricalNB(alpha=1.0).fit(codes, labels)
    log_odds += difference(fitted.predict_joint_log_proba(codes) - fitted.class_log_prior_)
    for name in frame.columns[2:-1]:
        values = frame[name].to_numpy(dtype=float)
        known = ~np.isnan(values)
        mean = values[known].mean()
        scale = np.where(known, values - mean, 0).std() or 1.0
        standardised = np.where(known, (values - mean) / scale, 0)[:, None]
        # Its smoothing is a share of the variance of the rows that it is given, ours of the imputed column's.
        share = 1e-9 / (standardised[known].var() or 1.0)
        if scale == 1.0 and not standardised[known].any():
            continue
        fitted = GaussianNB(var_smoothing=share).fit(standardised[known], labels[known])
        log_odds += np.where(known, difference(fitted.predict_joint_log_proba(standardised) - np.log(fitted.class_prior_)), 0)
    scores = np.array(json.loads(open(ours).read()))
    print(json.dumps(np.abs(1 / (1 + np.exp(-np.clip(log_odds, -700, 700))) - scores).max()))


def difference(of_classes):
    return of_classes[:, 1] - of_classes[:, 0]


{"data": data, "compare": compare}[sys.argv[1]](*sys.argv[2:])
