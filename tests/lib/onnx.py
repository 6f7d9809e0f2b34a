"""ONNX models for the tests: the fixtures that scikit-learn made, and small graphs written field by field.

The writer knows just enough of protobuf and of onnx.proto's field numbers to make models that no exporter would.
"""

import json
import random
import struct

import house

FOLDER = house.ROOT / "tests" / "fixtures" / "onnx"
FIXTURES = ["columns_logistic", "columns_logistic_zipmap", "logistic", "logistic_zipmap", "linear_regressor", "boosted_trees"]
FLOAT, INT64 = 1, 7
SQL_TYPES = {"f32": "real", "i64": "bigint", "str": "text"}


class Fixture:
    """A model, the rows that it was shown, and what scikit-learn answers for them."""

    def __init__(self, name):
        self.name = name
        self.model = (FOLDER / f"{name}.onnx").read_bytes()
        told = json.loads((FOLDER / f"{name}.json").read_text())
        self.outputs = told["outputs"]
        self.columns, self.features = [], None
        by_column = []
        for input_name, given in told["inputs"].items():
            names = [input_name]
            if given["width"] > 1:
                names = self.features = [f"c{number}" for number in range(1, given["width"] + 1)]
            self.columns += [(column, SQL_TYPES[given["type"]]) for column in names]
            by_column += [given["values"][at :: given["width"]] for at in range(given["width"])]
        self.rows = list(zip(*by_column))

    @property
    def scores(self):
        """The probability of the last class, or the value."""
        if "variable" in self.outputs:
            return [one if isinstance(one, float) else one[0] for one in self.outputs["variable"]]
        return [row[-1] for row in self.outputs["probabilities"]]

    def create_table(self, connection, table):
        columns = ", ".join(f"{name} {kind}" for name, kind in self.columns)
        connection.query(f"CREATE TABLE {table} (id int, {columns})")
        rows = ", ".join(f"({number}, {', '.join(map(literal, row))})" for number, row in enumerate(self.rows))
        connection.query(f"INSERT INTO {table} VALUES {rows}")

    def import_into(self, connection, model):
        return import_onnx(connection, model, self.model, self.features)


def import_onnx(connection, model, onnx, features=None):
    return connection.query(import_statement(model, onnx, features))


def import_statement(model, onnx, features=None):
    names = "NULL" if features is None else f"ARRAY[{', '.join(literal(name) for name in features)}]"
    return f"SELECT * FROM persona.import_onnx({literal(model)}, '\\x{onnx.hex()}'::bytea, features => {names})"


def literal(value):
    if value is None:
        return "NULL"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


# -- Writing models --------------------------------------------------------------------------------------------------


def varint(value):
    found = b""
    while value > 0x7F:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])


def message(*fields):
    """Fields as (number, value): a whole number, text or bytes; a list stands for the field repeated."""
    parts = []
    for number, value in fields:
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int):
                parts += [varint(number << 3), varint(one)]
            else:
                one = one.encode() if isinstance(one, str) else one
                parts += [varint(number << 3 | 2), varint(len(one)), one]
    return b"".join(parts)


def model(graph, *more, opset=17):
    return message((1, 8), (8, message((2, opset))), (7, graph), *more)


def graph(nodes, inputs=("x",), outputs=("y",), *more):
    return message((1, list(nodes)), (2, "g"), (11, [port(one) for one in inputs]), (12, [port(one) for one in outputs]), *more)


def port(one):
    return value(*one) if isinstance(one, tuple) else value(one)


def value(name, *dims):
    """A tensor of floats: [rows, 1] unless the dimensions are given."""
    dims = dims or ("n", 1)
    shape = message((1, [message((2 if isinstance(dim, str) else 1, dim)) for dim in dims]))
    return message((1, name), (2, message((1, message((1, FLOAT), (2, shape))))))


def node(operator, inputs, outputs, *attributes, domain=None):
    return message((1, list(inputs)), (2, list(outputs)), (4, operator), (5, list(attributes)), *([(7, domain)] if domain else []))


def attribute(name, number, held, kind):
    return message((1, name), (number, held), (20, kind))


def whole(name, number):
    return attribute(name, 3, number, 2)


def floats(name, numbers, *dims):
    return message((1, list(dims)), (2, FLOAT), (8, name), (9, struct.pack(f"<{len(numbers)}f", *numbers)))


def wholes(name, numbers):
    return message((1, len(numbers)), (2, INT64), (8, name), (9, struct.pack(f"<{len(numbers)}q", *numbers)))


def heavy(name, n_products=14, size=1500):
    """y = x + 0, where x is below 0 after so many products of two size x size matrices: seconds for a row. Another name makes it
    another model, with a sha256 of its own."""
    nodes = [node("ReduceSum", ["x"], ["sum"], whole("keepdims", 0)), node("Less", ["sum", "zero"], ["below"]), node("Where", ["below", "size", "one"], ["n"]),
             node("Concat", ["n", "n"], ["shape"], whole("axis", 0)), node("Mul", ["sum", "zero"], ["nothing"]), node("Expand", ["nothing", "shape"], ["m0"])]
    nodes += [node("MatMul", [f"m{step}", "m0"], [f"m{step + 1}"]) for step in range(n_products)]
    nodes += [node("ReduceMax", [f"m{n_products}"], ["r"], whole("keepdims", 0)), node("Add", ["x", "r"], ["y"])]
    weights = [wholes("size", [size]), wholes("one", [1]), floats("zero", [0.0])]
    return model(graph(nodes, ("x",), ("y",), (5, weights)), (6, name))


def perceptron(*widths, seed=1):
    """Layers of those widths, each but the last with a ReLU behind it, and a sigmoid at the end."""
    numbers, nodes, weights, last = random.Random(seed), [], [], "x"
    for layer, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
        weights += [floats(f"w{layer}", [numbers.gauss(0, (2 / n_in) ** 0.5) for _ in range(n_in * n_out)], n_in, n_out),
                    floats(f"b{layer}", [numbers.gauss(0, 0.1) for _ in range(n_out)], n_out)]
        nodes.append(node("Gemm", [last, f"w{layer}", f"b{layer}"], [f"s{layer}"]))
        last = f"h{layer}" if layer < len(widths) - 2 else "y"
        nodes.append(node("Relu" if last != "y" else "Sigmoid", [f"s{layer}"], [last]))
    return model(graph(nodes, [("x", "n", widths[0])], [("y", "n", widths[-1])], (5, weights)))


def weighty(megabytes):
    """y = x * 1, with so many megabytes of weights that nothing uses."""
    ones = message((1, megabytes << 18), (2, FLOAT), (8, "weights"), (9, bytes(megabytes << 20)))
    return model(graph([node("Mul", ["x", "one"], ["y"])], ("x",), ("y",), (5, [ones, floats("one", [1.0], 1)])))


def product(size):
    """y = x + 0, where x is below 0 after one product of two size x size matrices: one node that cannot be told to end."""
    return heavy(f"one product of {size}", 1, size)


def slow_to_load(n_products=12, size=3000, name=""):
    """As `heavy`, but of constants, which ONNX Runtime reckons when it loads the model: many seconds."""
    nodes = [node("Expand", ["part", "shape"], ["m0"])]
    nodes += [node("MatMul", [f"m{step}", "m0"], [f"m{step + 1}"]) for step in range(n_products)]
    nodes += [node("ReduceMax", [f"m{n_products}"], ["r"], whole("keepdims", 0)), node("Add", ["x", "r"], ["y"])]
    return model(graph(nodes, ("x",), ("y",), (5, [floats("part", [0.5 / size], 1, 1), wholes("shape", [size, size])])), (6, name))


def wide(n):
    """A row of one number becomes a row of n of them."""
    return model(graph([node("Expand", ["x", "shape"], ["y"])], ("x",), [("y", "n", "m")], (5, wholes("shape", [1, n]))))


def function(name, *nodes, domain="local"):
    """A function of the model with the input a and the output b; call it with `domain`."""
    return message((1, name), (4, "a"), (5, "b"), (7, list(nodes)), (9, [message((2, 17)), message((1, domain), (2, 1))]), (10, domain))


def with_functions(graph_, *functions, domain="local"):
    return model(graph_, (8, message((1, domain), (2, 1))), (25, list(functions)))


def bomb(n_functions):
    """Each function calls the one before twice: 2 ** n_functions nodes in a few bytes."""
    functions = [function("f0", node("Relu", ["a"], ["t"]), node("Relu", ["t"], ["b"]))]
    for number in range(1, n_functions):
        before = f"f{number - 1}"
        functions.append(function(f"f{number}", node(before, ["a"], ["t"], domain="local"), node(before, ["t"], ["b"], domain="local")))
    return with_functions(graph([node(f"f{n_functions - 1}", ["x"], ["y"], domain="local")]), *functions)


def chain(n_nodes):
    nodes = [node("Add", [f"t{number}" if number else "x", "x"], [f"t{number + 1}"]) for number in range(n_nodes - 1)]
    return model(graph([*nodes, node("Identity", [f"t{n_nodes - 1}"], ["y"])]))
