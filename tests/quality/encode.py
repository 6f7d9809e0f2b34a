"""Our encodings beside scikit-learn's on the pixels of its digits taken as text; runs in the venv of the benchmarks.

`encode.py data PATH` writes the rows, `encode.py compare PATH OURS` reads what SQL made of them and prints the largest differences.
"""

import json
import sys

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures, TargetEncoder

NUMBERS, UNKNOWN = ["f10", "f11", "f12", "f13"], "none such"


def data(path):
    """A pixel as a category of seventeen levels, four as numbers, and two targets: the digit, and whether it is even."""
    digits = load_digits()
    frame = pd.DataFrame({"id": np.arange(1, len(digits.data) + 1), "category": [f"grey {value:g}" for value in digits.data[:, 20]]})
    for name in NUMBERS:
        frame[name] = digits.data[:, int(name[1:])]
    frame["digit"] = digits.target.astype(float)
    frame["is_even"] = (digits.target % 2 == 0).astype(float)
    frame.to_csv(path, index=False)


def compare(path, ours):
    frame = pd.read_csv(path)
    ours = json.loads(open(ours).read())
    column, rows = frame[["category"]], []
    row_and_unknown = pd.concat([column, pd.DataFrame({"category": [UNKNOWN]})])

    # Without a cap: columns by name, as ours are in the order of frequency.
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(column)
    places = [list(encoder.categories_[0]).index(name) for name in ours["names"]]
    rows.append(["one_hot", difference(encoder.transform(row_and_unknown)[:, places], ours["one_hot"])])
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(column)
    expected = ordinal.transform(row_and_unknown)[:, 0]
    known = [places[place - 1] if place else -1 for place in ours["ordinal"]]
    rows.append(["ordinal", difference(expected, known)])

    # With a cap: scikit-learn counts the shared place among max_categories.
    cap = len(ours["capped_names"]) - 1
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=cap + 1, sparse_output=False).fit(column)
    frequent = [name for name in encoder.categories_[0] if name not in encoder.infrequent_categories_[0]]
    places = [frequent.index(name) for name in ours["capped_names"][:-1]] + [len(frequent)]
    rows.append(["one_hot with a cap", difference(encoder.transform(row_and_unknown)[:, places], ours["capped"])])

    for target, kind in (("digit", "continuous"), ("is_even", "binary")):
        for name, smooth in (("auto", "auto"), ("rows", 10.0)):
            fitted = TargetEncoder(smooth=smooth, target_type=kind).fit(column, frame[target])
            rows.append([f"encode_target of {target}, smoothing {name}", difference(fitted.transform(row_and_unknown)[:, 0], ours[f"{target}_{name}"])])
    # Out of fold: a fit of scikit-learn's on the other folds, which are ours.
    folds, expected = np.array(ours["folds"]), np.zeros(len(frame))
    for fold in sorted(set(folds)):
        here = folds == fold
        fitted = TargetEncoder(smooth="auto", target_type="continuous").fit(column[~here], frame["digit"][~here])
        expected[here] = fitted.transform(column[here])[:, 0]
    rows.append(["encode_target out of fold", difference(expected, ours["out_of_fold"])])

    numbers = frame[NUMBERS].to_numpy()
    both = PolynomialFeatures(2, include_bias=False).fit_transform(numbers)
    rows.append(["polynomial", difference(both, ours["polynomial"])])
    products = PolynomialFeatures(2, include_bias=False, interaction_only=True).fit_transform(numbers)[:, len(NUMBERS):]
    rows.append(["interactions", difference(products, ours["interactions"])])
    print(json.dumps(rows))


def difference(expected, found):
    expected, found = np.asarray(expected, float), np.asarray(found, float)
    assert expected.shape == found.shape, f"{expected.shape} and {found.shape}"
    return float(np.abs(expected - found).max())


{"data": data, "compare": compare}[sys.argv[1]](*sys.argv[2:])
