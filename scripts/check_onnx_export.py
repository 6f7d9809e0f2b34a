#!/usr/bin/env python3
"""Compares exported ONNX graphs with native scoring.

    PERSONA_ONNX_DUMP=/tmp/dump cargo test --lib onnx_export
    python3 scripts/check_onnx_export.py /tmp/dump

Needs onnx, onnxruntime and numpy. Each NAME.onnx passes onnx.checker (full_check) and runs in ONNX Runtime; its
probabilities must lie within 1e-9 of the scores in NAME.json and its labels agree with them, in a batch and row by row.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnx
import onnxruntime as ort

LIMIT = 1e-9


def tensor(name, cells, missing_text):
    if name in missing_text:
        cells = [missing_text[name] if cell is None else cell for cell in cells]
        return np.array(cells, dtype=object).reshape(-1, 1)
    return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64).reshape(-1, 1)


def check(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    want = json.loads(path.with_suffix(".json").read_text())
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    for name, mark in want["missing_text"].items():
        assert metadata["persona.missing_text." + name] == mark, name

    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    outputs = [want["label_output"], want["probabilities_output"]]
    assert [output.name for output in session.get_outputs()] == outputs
    assert sorted(entry.name for entry in session.get_inputs()) == sorted(want["columns"])
    feed = {name: tensor(name, cells, want["missing_text"]) for name, cells in want["columns"].items()}
    labels, probabilities = session.run(outputs, feed)
    scores = np.array(want["scores"])
    assert probabilities.dtype == np.float64 and probabilities.shape == (len(scores), 2)
    assert labels.shape == (len(scores),)

    positive = want["positive"]
    worst = np.abs(probabilities[:, positive] - scores).max()
    assert worst <= LIMIT, worst
    assert np.abs(probabilities.sum(axis=1) - 1).max() <= 1e-6
    clear = np.abs(scores - 0.5) > LIMIT
    said = np.array([want["classes"].index(str(label)) for label in labels])
    assert ((said == positive) == (scores > 0.5))[clear].all()

    for row in range(min(20, len(scores))):
        one = {name: values[row : row + 1] for name, values in feed.items()}
        alone = session.run([outputs[1]], one)[0][0]
        assert np.abs(alone - probabilities[row]).max() <= 1e-7, row
    kind = "int64" if labels.dtype == np.int64 else "string"
    print(f"{path.stem:>14}: {len(scores)} rows, worst difference {worst:.1e}, scores "
          f"{scores.min():.4f} to {scores.max():.4f}, {kind} labels, {path.stat().st_size} bytes")


def main():
    paths = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")) if len(sys.argv) == 2 else []
    if not paths:
        sys.exit(__doc__)
    for path in paths:
        check(path)


main()
