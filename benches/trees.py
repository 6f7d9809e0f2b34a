"""Boosted trees beside LightGBM, on the same rows and two threads: seconds, processor time, memory and quality.

    trees.py OURS speed ROWS     OURS is what `cargo bench --bench trees --no-run` built; 20 columns, four of them texts
    trees.py OURS adult DIR      the official split of UCI Adult, whose files are in DIR
    trees.py OURS shoppers DIR   five stratified folds of Online Shoppers Intention

It needs numpy, pandas, scikit-learn and lightgbm. Each prints JSON, a line a measurement.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import lightgbm
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

# What both are asked for.
SAME = {"n_trees": 100, "learning_rate": 0.1, "max_leaves": 63, "column_share": 1, "patience": 0}
REPEATS = 5
LEVELS = (8, 30, 60, 200)


def speed(ours, rows):
    """Both in turn, each in a process of its own."""
    rows = int(rows)
    with tempfile.TemporaryDirectory() as folder:
        numbers, codes, labels = drawn(rows * 6 // 5)
        write(folder, numbers, codes, labels)
        held_out = labels[rows:]
        for _ in range(REPEATS):
            found, scores = run(ours, folder, rows, SAME)
            peer = json.loads(subprocess.run([sys.executable, __file__, ours, "peer", folder, str(rows)], check=True, capture_output=True, text=True).stdout)
            found["auc"] = roc_auc_score(held_out, scores)
            print(json.dumps({"ours": found, "lightgbm": peer, "ratios": {name: found[name] / peer[name] for name in ("seconds", "cpu", "megabytes")}}), flush=True)


def drawn(rows):
    """Sixteen numbers of which one is missing now and then, and four texts whose levels are ever rarer; both classes are as frequent."""
    rng = np.random.default_rng(7)
    normal = rng.standard_normal((16, rows))
    numbers = np.where(np.arange(16)[:, None] % 2 == 0, normal, np.exp(normal))
    numbers[2::4] = np.round(20 * numbers[2::4])
    codes, said = [], np.zeros(rows)
    for levels in LEVELS:
        share = 1 / np.arange(1, levels + 1) ** 0.8
        code = rng.choice(levels, rows, p=share / share.sum()).astype(np.uint32)
        said += (0.6 * rng.standard_normal(levels))[code] * (1 + 0.5 * (normal[11] > 0))
        codes.append(code)
    said += 0.8 * normal[0] + 0.5 * normal[1] * normal[3] + np.sin(2 * normal[4]) + 0.4 * normal[2] * (normal[7] > 0)
    said += 1.2 * (normal[8] > 0) * (normal[12] > 0) - 0.3 * numbers[5].clip(0, 5)
    missing = rng.random(rows) < 0.05
    numbers[6][missing] = np.nan
    said += 0.7 * missing
    return numbers, np.array(codes), rng.random(rows) < 1 / (1 + np.exp(said.mean() - said))


def write(folder, numbers, codes, labels):
    np.asarray(numbers, float).tofile(Path(folder, "numbers"))
    np.asarray(codes, np.uint32).tofile(Path(folder, "codes"))
    np.asarray(labels, np.uint8).tofile(Path(folder, "labels"))


def run(ours, folder, train, parameters):
    given = [f"{name}={value}" for name, value in parameters.items()]
    out = subprocess.run([ours, folder, str(train), "1", *given], check=True, capture_output=True, text=True).stdout.split()
    names = ("seconds", "cpu", "megabytes", "trees", "bytes", "frame seconds", "us a row alone")
    return dict(zip(names, map(float, out))), np.fromfile(Path(folder, "scores"))


def peer(_, folder, rows):
    """LightGBM's Dataset and training, in this process."""
    rows = int(rows)
    labels = np.fromfile(Path(folder, "labels"), np.uint8)
    numbers = np.fromfile(Path(folder, "numbers")).reshape(-1, len(labels))
    codes = np.fromfile(Path(folder, "codes"), np.uint32).reshape(-1, len(labels))
    table = np.ascontiguousarray(np.vstack([numbers, codes]).T)
    learnt, target, others = table[:rows].copy(), labels[:rows].copy(), table[rows:].copy()
    del table, numbers, codes
    before = memory(now=True)
    began, began_cpu = time.perf_counter(), time.process_time()
    categories = list(range(16, 16 + len(LEVELS)))
    data = lightgbm.Dataset(learnt, target, categorical_feature=categories, params={"max_bin": 255, "verbose": -1, "num_threads": 2})
    model = lightgbm.train({"objective": "binary", "num_leaves": SAME["max_leaves"], "learning_rate": SAME["learning_rate"], "verbose": -1, "num_threads": 2},
                           data, SAME["n_trees"])
    took, cpu, peak = time.perf_counter() - began, time.process_time() - began_cpu, memory(now=False) - before
    print(json.dumps({"seconds": took, "cpu": cpu, "megabytes": peak, "auc": roc_auc_score(labels[rows:], model.predict(others))}))


def memory(now):
    """Megabytes now, from where the peak is then counted, or the peak."""
    if now:
        Path("/proc/self/clear_refs").write_text("5")
    wanted = "VmRSS:" if now else "VmHWM:"
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(wanted)) / 1024


def adult(ours, directory):
    """Defaults alone, for three seeds; the bar of `auto` is .9285 and .2745."""
    read = {"header": None, "skipinitialspace": True, "na_values": "?"}
    train, test = (pd.read_csv(Path(directory, f"adult.{part}.gz"), skiprows=skip, **read) for part, skip in (("data", 0), ("test", 1)))
    labels = [(part.pop(14).str.rstrip(".") == ">50K").to_numpy() for part in (train, test)]
    for seed in range(3):
        print(json.dumps(judged(ours, train, labels[0], test, labels[1], seed)), flush=True)


def shoppers(ours, directory):
    """Defaults alone; the bars are .932 and, for average precision, .750."""
    table = pd.read_csv(Path(directory, "online_shoppers_intention.csv.gz"))
    labels = table.pop("Revenue").astype(str).str.upper().eq("TRUE").to_numpy()
    table["Weekend"] = table["Weekend"].astype(float)
    for seed in range(2):
        folds = StratifiedKFold(5, shuffle=True, random_state=seed).split(table, labels)
        found = [judged(ours, table.iloc[train], labels[train], table.iloc[test], labels[test], seed) for train, test in folds]
        print(json.dumps({name: statistics.mean(one[name] for one in found) for name in found[0]}), flush=True)


def judged(ours, train, labels, test, test_labels, seed):
    # Rows come to a fit in an order of their own.
    order = np.random.default_rng(seed).permutation(len(train))
    table = pd.concat([train.iloc[order], test])
    texts = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    codes = [np.where(code < 0, 2**32 - 1, code) for code in (pd.factorize(table[name])[0] for name in texts)]
    with tempfile.TemporaryDirectory() as folder:
        write(folder, table.drop(columns=texts).to_numpy(float).T, codes, np.concatenate([labels[order], test_labels]))
        found, scores = run(ours, folder, len(train), {"seed": seed})
    return {"auc": roc_auc_score(test_labels, scores), "average_precision": average_precision_score(test_labels, scores),
            "log_loss": log_loss(test_labels, scores), **found}


if __name__ == "__main__":
    {"speed": speed, "peer": peer, "adult": adult, "shoppers": shoppers}[sys.argv[2]](sys.argv[1], *sys.argv[3:])
