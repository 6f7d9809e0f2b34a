#!/usr/bin/env python3
"""Make the ONNX models of tests/fixtures/onnx and what scikit-learn answers for them.

Not run by the test suite: its results are committed, so that testing needs no Python. To make them anew:

    python3 -m venv .cache/onnx && .cache/onnx/bin/pip install \
        skl2onnx==1.20.0 scikit-learn==1.9.1 onnx==1.23.2 numpy==2.4.6
    .cache/onnx/bin/python scripts/make_onnx_fixtures.py

Every model NAME.onnx has a NAME.json: its inputs by column, and the outputs that scikit-learn (not ONNX Runtime) gives.
The data are synthetic, from fixed seeds.
"""

import json
import pathlib

import numpy as np
from onnx import TensorProto, checker, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "onnx"
N_SHOWN = 7
OPSETS = {"": 17, "ai.onnx.ml": 3}


def save(name, model, inputs, outputs):
    payload = model.SerializeToString()
    assert len(payload) < 100_000, (name, len(payload))
    (HERE / f"{name}.onnx").write_bytes(payload)
    (HERE / f"{name}.json").write_text(
        json.dumps({"inputs": inputs, "outputs": outputs}, indent=1) + "\n"
    )
    print(name, len(payload))


def tensor(kind, values):
    """One input: its wire type, its width and its values row by row."""
    values = np.asarray(values)
    width = 1 if values.ndim == 1 else values.shape[1]
    return {"type": kind, "width": width, "values": values.reshape(-1).tolist()}


def named_columns(rng):
    """Customers with a number, a count and a category each; whether they left depends on all three."""
    n = 400
    spend = rng.gamma(2.0, 50.0, n).astype(np.float32)
    visits = rng.integers(0, 40, n)
    region = rng.choice(["north", "south", "east", "wést"], n)
    score = 1.5 - 0.01 * spend - 0.05 * visits + np.where(region == "south", 1.0, 0.0)
    left = (score + rng.normal(0, 0.5, n) > 0).astype(np.int64)
    table = np.empty((n, 3), dtype=object)
    table[:, 0], table[:, 1], table[:, 2] = spend, visits, region
    return table, left


def column_pipeline(name, zipmap, labels):
    table, left = named_columns(np.random.default_rng(20260101))
    target = np.array(["stays", "leaves"])[left] if labels == "text" else left
    pipeline = Pipeline([
        ("columns", ColumnTransformer([
            ("numbers", StandardScaler(), [0, 1]),
            ("categories", OneHotEncoder(handle_unknown="ignore"), [2]),
        ])),
        ("estimate", LogisticRegression(C=1.0, max_iter=1000)),
    ])
    pipeline.fit(table, target)
    model = to_onnx(
        pipeline,
        initial_types=[
            ("spend", FloatTensorType([None, 1])),
            ("visits", Int64TensorType([None, 1])),
            ("region", StringTensorType([None, 1])),
        ],
        options={id(pipeline): {"zipmap": zipmap}},
        target_opset=OPSETS,
    )
    shown = table[:N_SHOWN].copy()
    shown[-1, 2] = "unseen"
    save(
        name,
        model,
        {
            "spend": tensor("f32", shown[:, 0].astype(float)),
            "visits": tensor("i64", shown[:, 1].astype(int)),
            "region": tensor("str", shown[:, 2].astype(str)),
        },
        {
            "classes": pipeline.classes_.tolist(),
            "label": pipeline.predict(shown).tolist(),
            "probabilities": pipeline.predict_proba(shown).tolist(),
        },
    )


def matrix(seed, n_features):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(600, n_features)).astype(np.float32)
    weights = rng.normal(size=n_features)
    return points, points @ weights + 0.3 * rng.normal(size=600)


def one_tensor_logistic(name, zipmap):
    points, signal = matrix(7, 8)
    classes = np.digitize(signal, [-1.0, 1.0])
    estimator = LogisticRegression(max_iter=1000).fit(points, classes)
    model = to_onnx(
        estimator,
        initial_types=[("features", FloatTensorType([None, 8]))],
        options={id(estimator): {"zipmap": zipmap}},
        target_opset=OPSETS,
    )
    shown = points[:N_SHOWN]
    save(
        name,
        model,
        {"features": tensor("f32", shown.astype(float))},
        {
            "classes": estimator.classes_.tolist(),
            "label": estimator.predict(shown).tolist(),
            "probabilities": estimator.predict_proba(shown).tolist(),
        },
    )


def regressor():
    points, signal = matrix(11, 4)
    pipeline = Pipeline([("scale", StandardScaler()), ("estimate", LinearRegression())]).fit(points, signal)
    model = to_onnx(
        pipeline,
        initial_types=[("features", FloatTensorType([None, 4]))],
        target_opset=OPSETS,
    )
    shown = points[:N_SHOWN]
    save(
        "linear_regressor",
        model,
        {"features": tensor("f32", shown.astype(float))},
        {"variable": pipeline.predict(shown).tolist()},
    )


def boosted_trees():
    points, signal = matrix(13, 8)
    classes = (signal > 0).astype(np.int64)
    estimator = GradientBoostingClassifier(n_estimators=100, max_depth=3, random_state=0).fit(points, classes)
    model = to_onnx(
        estimator,
        initial_types=[("features", FloatTensorType([None, 8]))],
        options={id(estimator): {"zipmap": False}},
        target_opset=OPSETS,
    )
    shown = points[:N_SHOWN]
    save(
        "boosted_trees",
        model,
        {"features": tensor("f32", shown.astype(float))},
        {
            "classes": estimator.classes_.tolist(),
            "label": estimator.predict(shown).tolist(),
            "probabilities": estimator.predict_proba(shown).tolist(),
        },
    )


def slow():
    """Two hundred nodes over the whole batch: long enough to be cancelled between two of them."""
    names = ["features"] + [f"t{i}" for i in range(199)] + ["variable"]
    nodes = [
        helper.make_node("Sin" if i % 2 else "Cos", [names[i]], [names[i + 1]]) for i in range(200)
    ]
    shape = [None, 8]
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("variable", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    (HERE / "slow.onnx").write_bytes(model.SerializeToString())


def trial():
    """y = x · [3], by which the ONNX process finds out whether a provider works."""
    shape = [None, 1]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "trial",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [helper.make_tensor("w", TensorProto.FLOAT, [1, 1], [3.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    (HERE.parents[2] / "src" / "onnx" / "process" / "trial.onnx").write_bytes(model.SerializeToString())


if __name__ == "__main__":
    HERE.mkdir(parents=True, exist_ok=True)
    column_pipeline("columns_logistic", False, "number")
    column_pipeline("columns_logistic_zipmap", True, "text")
    one_tensor_logistic("logistic", False)
    one_tensor_logistic("logistic_zipmap", True)
    regressor()
    boosted_trees()
    slow()
    trial()
