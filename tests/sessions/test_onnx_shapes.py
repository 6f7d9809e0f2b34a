"""What graphs of other shapes take: inputs of several columns each, batches of their own size, numbers of few bits, names that no column has."""

from lib import onnx
from lib.onnx import FLOAT, floats, message, node, whole, wholes

INT8, UINT8, INT16, UINT16, INT32, INT64, STRING, HALF, UINT32, UINT64, BFLOAT = 3, 2, 5, 4, 6, 7, 8, 10, 12, 13, 16
FEATURES = ["a", "b"]


def typed(name, element, *dims):
    shape = message((1, [message((2 if isinstance(dim, str) else 1, dim)) for dim in dims]))
    return message((1, name), (2, message((1, message((1, element), (2, shape))))))


def model(nodes, inputs, outputs, *weights):
    return onnx.model(message((1, list(nodes)), (2, "g"), (5, list(weights)), (11, list(inputs)), (12, list(outputs))))


WEIGHTS = floats("W", [0.5, 0.25], 2, 1)


def sums(*dims):
    """y = a / 2 + b / 4, of inputs and outputs of these first dimensions."""
    return model([node("MatMul", ["x", "W"], ["y"])], [typed("x", FLOAT, *dims, 2)], [typed("y", FLOAT, *dims, 1)], WEIGHTS)


def made(cluster):
    session = cluster.connect()
    session.query("CREATE TABLE row AS SELECT i AS id, (i % 13 - 6)::float8 AS a, i % 5 AS b, 'x' || i % 3 AS t FROM generate_series(1, 77) AS i")
    return session


def check(session, graph, expected, features=None, rows="row"):
    """By rows, by batches and by `predict` the score is what the expression says."""
    session.query(onnx.import_statement("m", graph, features))
    found = session.rows(f"SELECT id, persona.score('m', r), persona.score_batch('m', r) OVER (), {expected} FROM {rows} AS r ORDER BY id")
    wrong = [one for one in found if not (one[1] == one[2] and abs(one[1] - float(one[3])) < 1e-6)]
    assert found and not wrong, wrong[:3]


def test_a_graph_has_batches_of_its_own_size(cluster):
    with made(cluster) as session:
        for size in (1, 7, 32, 77, 500):
            check(session, sums(size), "a / 2 + b / 4.0", FEATURES)
        # One that says more rows than there is room for.
        for size in (0, 1 << 21, 1 << 40):
            error = session.error(onnx.import_statement("huge", sums(size), FEATURES))
            assert error.sqlstate == "0A000" and str(size) in error.message and error.hint, error
        session.query(onnx.import_statement("large", sums(900_000), FEATURES))
        assert session.scalar("SELECT persona.score('large', r) FROM row AS r WHERE id = 1") == -2.25


def test_inputs_of_several_columns_have_all_their_names(cluster):
    with made(cluster) as session:
        pair = model([node("MatMul", ["x", "W"], ["s"]), node("ReduceSum", ["w", "axes"], ["z"], whole("keepdims", 1)), node("Add", ["s", "z"], ["y"])],
                     [typed("x", FLOAT, "n", 2), typed("w", FLOAT, "n", 3)], [typed("y", FLOAT, "n", 1)], WEIGHTS, wholes("axes", [1]))
        # A column goes into several places.
        check(session, pair, "a / 2 + b / 4.0 + a + b + id", ["a", "b", "a", "b", "id"])
        error = session.error(onnx.import_statement("m", pair))
        assert error.sqlstate == "22023" and '"x"' in error.message and error.hint, error
        error = session.error(onnx.import_statement("m", pair, ["a", "b", "id"]))
        assert error.sqlstate == "22023" and "3 names are given for the 5 columns" in error.message and '"x", "w"' in error.hint, error
        long = "customer_lifetime_total_amount_of_purchases_in_the_last_twelve_months_eur"
        named = model([node("Identity", [long], ["y"])], [typed(long, FLOAT, "n", 1)], [typed("y", FLOAT, "n", 1)])
        error = session.error(onnx.import_statement("m", named))
        assert error.sqlstate == "42622" and long in error.message and error.hint, error
        check(session, named, "b", ["b"])
        # Behind the rows two dimensions.
        cube = model([node("Squeeze", ["x", "axes"], ["s"]), node("MatMul", ["s", "W"], ["y"])], [typed("x", FLOAT, "n", 2, 1)], [typed("y", FLOAT, "n", 1)],
                     WEIGHTS, wholes("axes", [2]))
        check(session, cube, "a / 2 + b / 4.0", FEATURES)
        error = session.error(onnx.import_statement("m", model([node("Identity", ["x"], ["y"])], [typed("x", FLOAT, "n", "k", 3)], [typed("y", FLOAT, "n", "k", 3)]), FEATURES))
        assert error.sqlstate == "0A000" and "3 dimensions" in error.message and error.hint, error


def test_numbers_of_few_bits_go_in_and_out(cluster):
    with made(cluster) as session:
        for element in (HALF, BFLOAT, INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64):
            into = model([node("Cast", ["b"], ["y"], whole("to", FLOAT))], [typed("b", element, "n", 1)], [typed("y", FLOAT, "n", 1)])
            check(session, into, "b")
            out = model([node("Cast", ["b"], ["y"], whole("to", element))], [typed("b", FLOAT, "n", 1)], [typed("y", element, "n", 1)])
            session.query(onnx.import_statement("out", out).replace("features =>", "output => 'y', features =>"))
            assert session.scalar("SELECT count(*) FROM row AS r WHERE persona.score('out', r) IS DISTINCT FROM b") == 0, element
        small = model([node("Cast", ["b"], ["y"], whole("to", FLOAT))], [typed("b", INT8, "n", 1)], [typed("y", FLOAT, "n", 1)])
        session.query(onnx.import_statement("small", small))
        error = session.error("SELECT persona.score('small', r) FROM (SELECT 300 AS b) AS r")
        assert error.sqlstate != "XX000" and "300" in error.message, error
        for element, largest, beyond in ((HALF, 65504, 70000), (BFLOAT, 3e38, 3.4e38)):
            session.query(onnx.import_statement("half", model([node("Cast", ["b"], ["y"], whole("to", FLOAT))], [typed("b", element, "n", 1)], [typed("y", FLOAT, "n", 1)])))
            assert session.scalar(f"SELECT persona.score('half', r) FROM (SELECT {largest}::float8 AS b) AS r") is not None
            error = session.error(f"SELECT persona.score('half', r) FROM (SELECT {beyond}::float8 AS b) AS r")
            assert error.sqlstate != "XX000" and "16 bits" in error.message, error
        negative = model([node("Cast", ["b"], ["y"], whole("to", UINT64))], [typed("b", INT64, "n", 1)], [typed("y", UINT64, "n", 1)])
        session.query(onnx.import_statement("negative", negative).replace("features =>", "output => 'y', features =>"))
        assert session.scalar("SELECT persona.score('negative', r) FROM (SELECT -1 AS b) AS r") == 2.0 ** 64


def test_the_label_of_a_clustering_is_its_score(cluster):
    """As skl2onnx writes a KMeans: the label, and the distances to all centers, none of which is a score."""
    centers = floats("C", [-6.0, 6.0], 1, 2)
    nodes = [node("Sub", ["a", "C"], ["d"]), node("Abs", ["d"], ["scores"]), node("ArgMin", ["scores"], ["label"], whole("axis", 1), whole("keepdims", 0))]
    with made(cluster) as session:
        graph = model(nodes, [typed("a", FLOAT, "n", 1)], [typed("label", INT64, "n"), typed("scores", FLOAT, "n", 2)], centers)
        (found,) = session.rows(onnx.import_statement("m", graph).replace("SELECT *", "SELECT output_name"))
        assert found == ("label",)
        check(session, graph, "(a > 0)::int")


def test_a_failing_node_is_told_without_signatures(cluster):
    with made(cluster) as session:
        graph = model([node("Gather", ["T", "b"], ["y"], whole("axis", 0))], [typed("b", INT64, "n")], [typed("y", FLOAT, "n")], floats("T", [1.0, 2.0, 3.0], 3))
        session.query(onnx.import_statement("m", graph))
        error = session.error("SELECT persona.score('m', r) FROM row AS r WHERE b = 4")
        assert "Gather" in error.message and "::" not in error.message and ".h:" not in error.message and ".cc:" not in error.message, error
