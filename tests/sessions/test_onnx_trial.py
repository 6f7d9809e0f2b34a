"""What an import finds out by a trial: graphs that give no score for each row by itself are refused, with what is wrong; others are taken."""

import json

from lib import onnx
from lib.onnx import FLOAT, INT64, attribute, floats, message, node, whole, wholes
from sessions.test_onnx_shapes import FEATURES, STRING, WEIGHTS, check, made, model, sums, typed

SUM = node("MatMul", ["x", "W"], ["s"])
X = typed("x", FLOAT, "n", 2)


def graph(nodes, *dims, weights=(), inputs=(X,)):
    """Of s = a / 2 + b / 4 the output y, said to have these dimensions."""
    return model([SUM, *nodes], inputs, [typed("y", FLOAT, *dims)], WEIGHTS, *weights)


NO_SCORE_OF_A_ROW = {
    "the rows are its second dimension": (graph([node("Transpose", ["s"], ["y"])], "one", "n"), "has the shape"),
    "two answers for all rows": (
        graph(
            [node("ReduceSum", ["s", "axes"], ["z"]), node("Mul", ["z", "one"], ["y"])],
            "n",
            1,
            weights=[wholes("axes", [0]), floats("one", [0.0, 1.0], 2, 1)],
        ),
        "has the shape",
    ),
    "a constant of two rows": (
        graph([node("Identity", ["C"], ["y"])], "n", 1, weights=[floats("C", [1.0, 2.0], 2, 1)]),
        "has the shape",
    ),
    "a mean of all rows": (graph([node("ReduceMean", ["s"], ["y"], whole("keepdims", 0))]), "has the shape"),
    "the distance from the mean": (
        graph([node("ReduceMean", ["s"], ["m"], whole("keepdims", 1)), node("Sub", ["s", "m"], ["y"])], "n", 1),
        "beside other rows",
    ),
    "a softmax over the rows": (graph([node("Softmax", ["s"], ["y"], whole("axis", 0))], "n", 1), "beside other rows"),
    "lots": (
        graph([node("RandomNormalLike", ["s"], ["r"]), node("Add", ["s", "r"], ["y"])], "n", 1),
        "another score each time",
    ),
    "a share of all prices": (
        graph(
            [
                node("ReduceMean", ["x"], ["m"], whole("keepdims", 1)),
                node("Div", ["s", "m"], ["d"]),
                node("Sub", ["s", "five"], ["f"]),
                node("Relu", ["f"], ["g"]),
                node("Mul", ["d", "g"], ["y"]),
            ],
            "n",
            1,
            weights=[floats("five", [5.0], 1)],
        ),
        "beside other rows",
    ),
    "rows that add up": (
        graph([node("CumSum", ["s", "first"], ["y"])], "n", 1, weights=[wholes("first", [0])]),
        "beside other rows",
    ),
    "a batch that is baked in": (
        graph([node("Reshape", ["s", "four"], ["y"])], "n", 1, weights=[wholes("four", [4, 1])]),
        "Reshape",
    ),
    "names of too many columns": (
        model([SUM], [typed("x", FLOAT, "n", "k")], [typed("s", FLOAT, "n", 1)], floats("W", [1.0, 2.0, 3.0], 3, 1)),
        "MatMul",
    ),
    "no value for a row": (
        graph(
            [node("Slice", ["s", "zero", "zero", "one"], ["y"])],
            "n",
            "k",
            weights=[wholes("zero", [0]), wholes("one", [1])],
        ),
        "has the shape",
    ),
}
OF_BATCHES_OF_FOUR = {
    "the mean of four": (
        model([node("ReduceMean", ["x"], ["y"], whole("keepdims", 0))], [typed("x", FLOAT, 4, 2)], [typed("y", FLOAT)]),
        "no row for each of the 4",
    ),
    "a softmax over four": (
        model(
            [SUM, node("Softmax", ["s"], ["y"], whole("axis", 0))],
            [typed("x", FLOAT, 4, 2)],
            [typed("y", FLOAT, 4, 1)],
            WEIGHTS,
        ),
        "beside other rows",
    ),
    "more than there is room for": (
        model(
            [node("ReduceSum", ["x", "axes"], ["y"])],
            [typed("x", FLOAT, 900_000, 400)],
            [typed("y", FLOAT, 900_000, 1)],
            wholes("axes", [1]),
        ),
        "more than there is room for",
    ),
}


def test_a_graph_that_scores_no_row_by_itself_is_refused(cluster):
    with made(cluster) as session:
        for what, (bytes_, told) in {**NO_SCORE_OF_A_ROW, **OF_BATCHES_OF_FOUR}.items():
            features = [f"c{i}" for i in range(400)] if "room" in told else FEATURES
            error = session.error(onnx.import_statement("m", bytes_, features))
            assert error.sqlstate in ("22000", "54000") and told in error.message and error.hint, (what, error)
        assert session.scalar("SELECT count(*) FROM persona.models WHERE model = 'm'") == 0


def test_a_graph_that_looks_values_up_is_taken_without_a_trial(cluster):
    """It knows neither 0 nor 1, which are the values of the trial."""
    levels = node(
        "OneHotEncoder",
        ["t"],
        ["h"],
        attribute("cats_strings", 9, ["x0", "x1", "x2"], 8),
        whole("zeros", 0),
        domain="ai.onnx.ml",
    )
    nodes = [levels, node("Squeeze", ["h", "axes"], ["q"]), node("MatMul", ["q", "V"], ["y"])]
    bytes_ = model(
        nodes,
        [typed("t", STRING, "n", 1)],
        [typed("y", FLOAT, "n", 1)],
        floats("V", [1.0, 2.0, 3.0], 3, 1),
        wholes("axes", [1]),
    )
    with made(cluster) as session:
        ((reason,),) = session.rows(onnx.import_statement("m", bytes_).replace("SELECT *", "SELECT output_reason"))
        assert "not tried out" in reason, reason
        check(session, bytes_, "1 + substr(t, 2)::int")


def test_a_table_of_years_is_taken(cluster):
    """It has a row for each year from 1990 on, and none for 0, 1 or 100000."""
    nodes = [node("Sub", ["year", "first"], ["place"]), node("Gather", ["T", "place"], ["y"], whole("axis", 0))]
    bytes_ = model(
        nodes,
        [typed("year", INT64, "n")],
        [typed("y", FLOAT, "n")],
        wholes("first", [1990]),
        floats("T", [float(i) for i in range(50)], 50),
    )
    with made(cluster) as session:
        ((reason,),) = session.rows(onnx.import_statement("m", bytes_).replace("SELECT *", "SELECT output_reason"))
        assert "not tried out" in reason, reason
        assert session.scalar("SELECT persona.score('m', r) FROM (SELECT 2024 AS year) AS r") == 34


def test_rows_that_all_score_alike_are_said_to_tell_nothing(cluster):
    flat = graph(
        [node("Sub", ["s", "huge"], ["d"]), node("Relu", ["d"], ["y"])], "n", 1, weights=[floats("huge", [1e30], 1)]
    )
    with made(cluster) as session:
        ((reason,),) = session.rows(
            onnx.import_statement("m", flat, FEATURES).replace("SELECT *", "SELECT output_reason")
        )
        assert "score alike" in reason, reason


def test_one_row_at_a_time_may_have_no_dimension_of_its_own(cluster):
    """As `squeeze()` of torch leaves it."""
    squeezed = model([SUM, node("Squeeze", ["s"], ["y"])], [typed("x", FLOAT, 1, 2)], [typed("y", FLOAT)], WEIGHTS)
    with made(cluster) as session:
        check(session, squeezed, "a / 2 + b / 4.0", FEATURES)
        check(session, graph([node("Squeeze", ["s"], ["y"])], "n"), "a / 2 + b / 4.0", FEATURES)


def test_predict_shows_all_of_each_output(cluster):
    """Also of one that has no row for each row; what no JSON can show is left out."""
    outputs = [
        typed("y", FLOAT, "n", 1),
        typed("classes", INT64, 3),
        typed("table", FLOAT, 2, 2),
        message((1, "parts")),
    ]
    nodes = [
        SUM,
        node("Identity", ["s"], ["y"]),
        node("Identity", ["C"], ["classes"]),
        node("Identity", ["T"], ["table"]),
        node("SequenceConstruct", ["s"], ["parts"]),
    ]
    weights = [WEIGHTS, wholes("C", [7, 8, 9]), floats("T", [1.0, 2.0, 3.0, 4.0], 2, 2)]
    with made(cluster) as session:
        for rows in ("n", 1, 4):
            bytes_ = model(nodes, [typed("x", FLOAT, rows, 2)], [typed("y", FLOAT, rows, 1), *outputs[1:]], *weights)
            session.query(
                onnx.import_statement("m", bytes_, FEATURES).replace("features =>", "output => 'y', features =>")
            )
            found = json.loads(session.scalar("SELECT persona.predict('m', r) FROM (SELECT 2.0 AS a, 4 AS b) AS r"))
            expected = {"y": 2} if rows == 4 else {"y": 2, "classes": [7, 8, 9], "table": [1, 2, 3, 4]}
            assert found == expected, (rows, found)


def test_a_value_that_an_input_cannot_hold_is_out_of_range(cluster):
    with made(cluster) as session:
        session.query(
            onnx.import_statement(
                "m",
                model(
                    [node("Cast", ["b"], ["y"], whole("to", FLOAT))],
                    [typed("b", 3, "n", 1)],
                    [typed("y", FLOAT, "n", 1)],
                ),
            )
        )
        error = session.error("SELECT persona.score('m', r) FROM (SELECT 300 AS b) AS r")
        assert error.sqlstate == "22003" and "300" in error.message and '"b"' in error.message, error


def test_why_nothing_is_a_score_is_told_of_each_output(cluster):
    tensor = message((1, message((1, FLOAT))))
    sequence = message((1, "parts"), (2, message((4, message((1, tensor))))))
    outputs = [typed("name", STRING, "n"), typed("top", INT64, "n", 3), sequence]
    nodes = [
        SUM,
        node("Cast", ["s"], ["name"], whole("to", STRING)),
        node("Cast", ["x"], ["top"], whole("to", INT64)),
        node("SequenceConstruct", ["s"], ["parts"]),
    ]
    with made(cluster) as session:
        error = session.error(onnx.import_statement("m", model(nodes, [X], outputs, WEIGHTS), FEATURES))
        assert error.sqlstate == "22023" and "Export it" in error.hint, error
        assert (
            error.detail
            == 'Of the outputs "name" holds text, "top" has 3 whole numbers for each row, "parts" is no tensor.'
        ), error.detail
        error = session.error(onnx.import_statement("m", sums("n").replace(b"MatMul", b"MatMuL"), FEATURES))
        assert error.sqlstate == "22000" and error.hint, error
