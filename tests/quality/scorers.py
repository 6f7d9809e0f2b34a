"""Scorers on the official split of UCI Adult and on five stratified folds of Online Shoppers; runs in the venv of the benchmarks.

`scorers.py data NAME PATH` writes the rows as CSV, with the target `y` and the number of the `fold` that holds each row out, 0 where none does, and
prints the columns' types; `scorers.py compare PATH OURS` prints AUC, average precision and log-loss of what was scored, the mean of the folds.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def adult():
    read = {"header": None, "skipinitialspace": True, "na_values": "?"}
    train, test = (pd.read_csv(BESIDE / f"adult.{part}.gz", skiprows=skip, **read) for part, skip in (("data", 0), ("test", 1)))
    table = pd.concat([train, test], ignore_index=True)
    table.columns = [f"c{place}" for place in table.columns]
    table["y"] = table.pop("c14").str.rstrip(".") == ">50K"
    return table.assign(fold=np.r_[np.zeros(len(train), int), np.ones(len(test), int)])


def adult_gaps():
    """With numbers deleted for a reason: people do not tell what speaks against them."""
    table, chance = adult(), np.random.default_rng(1)
    reasons = {"c0": (lambda age: age < 30, 0.5, 0.05), "c4": (lambda years: years < 10, 0.6, 0.1),
               "c10": (lambda gain: gain > 0, 0.7, 0.05), "c12": (lambda hours: hours > 45, 0.5, 0.1)}
    for column, (is_telling, often, seldom) in reasons.items():
        deleted = chance.random(len(table)) < np.where(is_telling(table[column]), often, seldom)
        table[column] = table[column].mask(deleted)
    return table


def shoppers():
    table = pd.read_csv(BESIDE / "online_shoppers_intention.csv.gz")
    y = table.pop("Revenue").astype(str).str.upper() == "TRUE"
    table["Weekend"] = table["Weekend"].astype(str)
    fold = np.zeros(len(table), int)
    for number, (_, test) in enumerate(StratifiedKFold(5, shuffle=True, random_state=0).split(table, y), 1):
        fold[test] = number
    return table.assign(y=y, fold=fold)


def data(name, path):
    if not (BESIDE / "adult.data.gz").exists():
        print("{}")
        return
    table = {"adult": adult, "adult_gaps": adult_gaps, "shoppers": shoppers}[name]()
    table.to_csv(path, index=False)
    features = table.drop(columns=["y", "fold"])
    print(json.dumps({column: "float8" if pd.api.types.is_numeric_dtype(features[column]) else "text" for column in features}))


def compare(_path, ours):
    folds = json.loads(Path(ours).read_text())
    figures = [(roc_auc_score(one["label"], one["score"]), average_precision_score(one["label"], one["score"]), log_loss(one["label"], one["score"])) for one in folds]
    print(json.dumps(dict(zip(("AUC", "average precision", "log-loss"), np.mean(figures, axis=0)))))


if __name__ == "__main__":
    {"data": data, "compare": compare}[sys.argv[1]](*sys.argv[2:])
