"""Small graphs of many kinds of operators, each for rows of one number x: what fuzzing starts from, besides the fixtures."""

import struct

from lib.onnx import FLOAT, Fixture, attribute, bomb, floats, function, graph, message, model, node, value, whole, wholes, with_functions

ML = (8, message((1, "ai.onnx.ml"), (2, 3)))
MICROSOFT = (8, message((1, "com.microsoft"), (2, 1)))


def text(name, held):
    return attribute(name, 4, held, 3)


def numbers(name, *held):
    return message((1, name), (20, 6)) + b"".join(b"\x3d" + struct.pack("<f", one) for one in held)


def whole_numbers(name, *held):
    return attribute(name, 8, [one & (1 << 64) - 1 for one in held], 7)


def texts(name, *held):
    return attribute(name, 9, list(held), 8)


def of(nodes, *weights, inputs=("x",), more=()):
    return model(graph(nodes, inputs, ("y",), (5, list(weights))), *more)


def branch(nodes, output):
    return message((1, nodes), (2, "branch"), (12, value(output)))


def choice():
    """y = x + 1 where the largest of x is not 0, else x * 2."""
    sides = [attribute("then_branch", 6, branch([node("Add", ["x", "one"], ["t"])], "t"), 5),
             attribute("else_branch", 6, branch([node("Mul", ["x", "two"], ["e"])], "e"), 5)]
    nodes = [node("ReduceMax", ["x"], ["m"], whole("keepdims", 0)), node("Cast", ["m"], ["c"], whole("to", 9)), node("If", ["c"], ["y"], *sides)]
    return of(nodes, floats("one", [1.0], 1), floats("two", [2.0], 1))


def loop():
    """y = x + 5, one by one."""
    def scalar(name, kind):
        return message((1, name), (2, message((1, message((1, kind), (2, b""))))))

    body = message((1, [node("Identity", ["ci"], ["co"]), node("Add", ["vi", "one"], ["vo"])]), (2, "body"),
                   (11, [scalar("i", 7), scalar("ci", 9), value("vi")]), (12, [scalar("co", 9), value("vo")]))
    times = message((2, 7), (8, "times"), (9, struct.pack("<q", 5)))
    true = message((2, 9), (8, "true"), (9, b"\x01"))
    return of([node("Loop", ["times", "true", "x"], ["y"], attribute("body", 6, body, 5))], times, true, floats("one", [1.0], 1))


def calls():
    """Functions of the model's own, one of which calls the other."""
    inner = function("double", node("Add", ["a", "a"], ["b"]))
    outer = function("more", node("double", ["a"], ["t"], domain="local"), node("Relu", ["t"], ["b"]))
    return with_functions(graph([node("more", ["x"], ["y"], domain="local")]), inner, outer)


def scikit_tree():
    held = [whole_numbers("nodes_treeids", 0, 0, 0), whole_numbers("nodes_nodeids", 0, 1, 2), whole_numbers("nodes_featureids", 0, 0, 0),
            numbers("nodes_values", 0.5, 0.0, 0.0), texts("nodes_modes", "BRANCH_LEQ", "LEAF", "LEAF"), whole_numbers("nodes_truenodeids", 1, 0, 0),
            whole_numbers("nodes_falsenodeids", 2, 0, 0)]
    target = [whole_numbers("target_treeids", 0, 0), whole_numbers("target_nodeids", 1, 2), whole_numbers("target_ids", 0, 0),
              numbers("target_weights", 1.0, 2.0), whole("n_targets", 1), text("post_transform", "NONE")]
    return of([node("TreeEnsembleRegressor", ["x"], ["y"], *held, *target, domain="ai.onnx.ml")], more=[ML])


def classifier():
    held = [numbers("coefficients", 1.0, -1.0), numbers("intercepts", 0.1, -0.1), whole_numbers("classlabels_ints", 0, 1), text("post_transform", "SOFTMAX")]
    nodes = [node("LinearClassifier", ["x"], ["label", "p"], *held, domain="ai.onnx.ml"),
             node("ZipMap", ["p"], ["y"], whole_numbers("classlabels_int64s", 0, 1), domain="ai.onnx.ml")]
    map_of = message((5, message((1, 7), (2, message((1, message((1, FLOAT))))))))
    output = message((1, "y"), (2, message((4, message((1, map_of))))))
    return model(message((1, nodes), (2, "g"), (11, value("x")), (12, output)), ML)


def machine():
    held = [numbers("coefficients", 1.0, 2.0), numbers("kernel_params", 0.1, 0.0, 3.0), text("kernel_type", "RBF"), whole("n_supports", 2),
            numbers("rho", 0.5), numbers("support_vectors", 1.0, 2.0)]
    return of([node("SVMRegressor", ["x"], ["y"], *held, domain="ai.onnx.ml")], more=[ML])


def encoder():
    """By way of text: x to a label and back to a number."""
    to_text = [whole_numbers("keys_int64s", 0, 1, 2), texts("values_strings", "a", "b", "c"), text("default_string", "?")]
    back = [texts("keys_strings", "a", "b"), numbers("values_floats", 0.1, 0.2), message((1, "default_float"), (20, 1)) + b"\x15" + struct.pack("<f", 9.0)]
    nodes = [node("Cast", ["x"], ["i"], whole("to", 7)), node("LabelEncoder", ["i"], ["t"], *to_text, domain="ai.onnx.ml"),
             node("LabelEncoder", ["t"], ["y"], *back, domain="ai.onnx.ml")]
    return of(nodes, more=[ML])


def recurrent():
    ones = floats("w", [0.5] * 4, 1, 4, 1)
    nodes = [node("Reshape", ["x", "s"], ["r"]), node("LSTM", ["r", "w", "w"], ["h"], whole("hidden_size", 1)), node("Reshape", ["h", "t"], ["y"])]
    return of(nodes, shape("s", 1, -1, 1), ones, shape("t", -1, 1))


def shape(name, *held):
    return message((1, len(held)), (2, 7), (8, name), (9, struct.pack(f"<{len(held)}q", *held)))


def convolution():
    nodes = [node("Reshape", ["x", "s"], ["r"]), node("Conv", ["r", "k"], ["c"], whole_numbers("kernel_shape", 3, 3), whole_numbers("pads", 1, 1, 1, 1)),
             node("MaxPool", ["c"], ["p"], whole_numbers("kernel_shape", 1, 1)), node("Reshape", ["p", "t"], ["y"])]
    return of(nodes, shape("s", -1, 1, 1, 1), floats("k", [0.1] * 9, 1, 1, 3, 3), shape("t", -1, 1))


def lookup():
    nodes = [node("Clip", ["x", "low", "high"], ["c"]), node("Cast", ["c"], ["i"], whole("to", 7)), node("Gather", ["w", "i"], ["g"]),
             node("Slice", ["g", "from", "to", "axes"], ["s"]), node("Pad", ["s", "pads"], ["p"]), node("ReduceSum", ["p", "axes"], ["y"])]
    return of(nodes, floats("w", [1.0 * one for one in range(10)], 10), message((2, FLOAT), (8, "low"), (9, struct.pack("<f", 0))),
              message((2, FLOAT), (8, "high"), (9, struct.pack("<f", 9))), shape("from", 0), shape("to", 1), shape("axes", 1), shape("pads", 0, 0, 0, 1))


def shapes():
    nodes = [node("Shape", ["x"], ["n"]), node("ConstantOfShape", ["n"], ["z"]), node("Expand", ["x", "wide"], ["e"]), node("Concat", ["e", "x", "z"], ["c"], whole("axis", 1)),
             node("TopK", ["c", "k"], ["v", "i"], whole("axis", 1)), node("Transpose", ["v"], ["t"], whole_numbers("perm", 1, 0)),
             node("Einsum", ["t"], ["s"], text("equation", "ij->j")), node("Unsqueeze", ["s", "axis"], ["y"])]
    return of(nodes, shape("wide", 1, 3), shape("k", 2), shape("axis", 1))


def quantised():
    scale = message((2, FLOAT), (8, "scale"), (9, struct.pack("<f", 0.1)))
    zero = message((2, 2), (8, "zero"), (9, b"\x80"))
    weight = message((1, [1, 2]), (2, 2), (8, "w"), (9, b"\x80\x90"))
    nodes = [node("QuantizeLinear", ["x", "scale", "zero"], ["q"]), node("QLinearMatMul", ["q", "scale", "zero", "w", "scale", "zero", "scale", "zero"], ["m"]),
             node("DequantizeLinear", ["m", "scale", "zero"], ["d"]), node("ReduceMax", ["d"], ["y"], whole_numbers("axes", 1))]
    return of(nodes, scale, zero, weight)


def sequences():
    nodes = [node("SequenceConstruct", ["x", "x"], ["s"]), node("SequenceInsert", ["s", "x"], ["i"]), node("ConcatFromSequence", ["i"], ["c"], whole("axis", 1)),
             node("Softmax", ["c"], ["f"], whole("axis", 1)), node("LayerNormalization", ["f", "ones"], ["l"]), node("ReduceMean", ["l"], ["y"], whole_numbers("axes", 1))]
    return of(nodes, floats("ones", [1.0] * 3, 3))


def fused():
    nodes = [node("FusedMatMul", ["x", "w"], ["m"], whole("transB", 1), domain="com.microsoft"), node("BiasGelu", ["m", "b"], ["g"], domain="com.microsoft"),
             node("ReduceMax", ["g"], ["y"], whole_numbers("axes", 1))]
    return of(nodes, floats("w", [1.0, 2.0], 2, 1), floats("b", [0.1, 0.2], 2), more=[MICROSOFT])


def perceptron():
    return of([node("Gemm", ["x", "w", "b"], ["h"]), node("BatchNormalization", ["h", "one", "b", "b", "one"], ["n"]), node("Relu", ["n"], ["r"]), node("MatMul", ["r", "v"], ["m"]),
               node("Sigmoid", ["m"], ["y"])], floats("w", [1.0, -1.0], 1, 2), floats("b", [0.1, 0.2], 2), floats("one", [1.0, 1.0], 2), floats("v", [1.0, 1.0], 2, 1))


SMALL = [choice, loop, calls, scikit_tree, classifier, machine, encoder, recurrent, convolution, lookup, shapes, quantised, sequences, fused, perceptron, lambda: bomb(4)]


def all_models():
    """Name to the model and the names of its columns, where it does not name them itself."""
    found = {f"small_{number}": (make(), None) for number, make in enumerate(SMALL)}
    for name in ("columns_logistic", "columns_logistic_zipmap", "logistic", "logistic_zipmap", "linear_regressor"):
        fixture = Fixture(name)
        found[name] = (fixture.model, fixture.features)
    return found
