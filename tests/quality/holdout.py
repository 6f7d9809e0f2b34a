"""Our holdout figures beside those that scikit-learn makes of the scores that were kept; runs in the venv of the benchmarks.

`holdout.py data NAME PATH` writes the rows as CSV and prints the columns' types; `holdout.py compare PATH OURS` prints the largest
difference of each figure.
"""

import json
import sys

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import accuracy_score, average_precision_score, brier_score_loss, log_loss, roc_auc_score

LOADERS = {"breast_cancer": load_breast_cancer, "digits": load_digits, "wine": load_wine}


def data(name, path):
    """The features, some missing, and whether the class is the first one."""
    found = LOADERS[name](as_frame=True)
    frame = found.data.copy()
    frame.columns = [f"f{place}" for place in range(frame.shape[1])]
    frame = frame.mask(np.random.default_rng(2).random(frame.shape) < 0.05)
    frame["y"] = found.target == 0
    frame.to_csv(path, index=False)
    print(json.dumps(list(frame.columns[:-1])))


def compare(_, ours):
    ours = json.loads(open(ours).read())
    labels, scores = np.array(ours["label"]), np.array(ours["score"])
    expected = {"roc_auc": roc_auc_score(labels, scores), "average_precision": average_precision_score(labels, scores), "log_loss": log_loss(labels, scores),
                "brier": brier_score_loss(labels, scores), "accuracy": accuracy_score(labels, scores > 0.5), "base_rate": labels.mean()}
    print(json.dumps([[name, abs(value - ours[name])] for name, value in expected.items()]))


{"data": data, "compare": compare}[sys.argv[1]](*sys.argv[2:])
