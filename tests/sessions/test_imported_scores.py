"""What imported graphs give: a score is a finite number or NULL, of the output that is one, by classes of any name, from whole numbers with all digits."""

import json

from lib import graphs, onnx
from lib.onnx import FLOAT, INT64, Fixture, attribute, floats, message, node, whole

DOUBLE, STRING = 11, 8


def typed(name, element=FLOAT, *dims):
    shape = message((1, [message((2 if isinstance(dim, str) else 1, dim)) for dim in dims or ("n", 1)]))
    return message((1, name), (2, message((1, message((1, element), (2, shape))))))


def model(nodes, inputs, outputs, *weights):
    return onnx.model(message((1, list(nodes)), (2, "g"), (5, list(weights)), (11, list(inputs)), (12, list(outputs))), graphs.ML)


def import_with(connection, name, bytes_, features=None, output=None):
    """What import_onnx says: the output, and why."""
    statement = onnx.import_statement(name, bytes_, features)
    if output:
        statement = statement.replace("features =>", f"output => '{output}', features =>")
    (found,) = connection.rows(statement.replace("SELECT *", "SELECT output_name, output_reason"))
    return found


# -- A finite number or NULL --------------------------------------------------------------------------------------------

def difference():
    """sigmoid(a - b): NaN for a NULL."""
    return model([node("Sub", ["a", "b"], ["d"]), node("Sigmoid", ["d"], ["y"])], [typed("a"), typed("b")], [typed("y")])


def logarithm():
    """ln(a): -inf of 0, NaN below; infinite too is 1 / ln(1)."""
    return model([node("Cast", ["a"], ["d"], whole("to", DOUBLE)), node("Log", ["d"], ["y"])], [typed("a")], [typed("y", DOUBLE)])


def test_a_score_is_a_finite_number_or_null(cluster):
    with cluster.connect() as connection:
        for name, bytes_ in (("diff", difference()), ("logs", logarithm())):
            onnx.import_onnx(connection, name, bytes_)
        connection.query("""
            CREATE TABLE rows_of_diff AS SELECT i AS id, CASE WHEN i % 7 > 0 THEN i % 10 END::real AS a, 5::real AS b, i % 2 = 0 AS y FROM generate_series(1, 3000) AS i;
            CREATE TABLE rows_of_logs AS SELECT i AS id, (i % 7 - 1)::real AS a, i % 2 = 0 AS y FROM generate_series(1, 3000) AS i;""")
        for name in ("diff", "logs"):
            expected = {"diff": "a IS NOT NULL", "logs": "a > 0"}[name]
            for call in ("persona.score('{0}', t)", "persona.score_batch('{0}', t) OVER ()", "persona.score_batch('{0}', t) OVER (PARTITION BY id % 5 ORDER BY id)"):
                found = connection.rows(f"SELECT count(*), count(*) FILTER (WHERE s IS NULL), count(*) FILTER (WHERE s IN ('NaN', 'Infinity', '-Infinity')), "
                                        f"count(*) FILTER (WHERE (s IS NOT NULL) <> has_score) FROM (SELECT {expected} AS has_score, {call.format(name)} AS s FROM rows_of_{name} t) AS s")
                n_without = connection.scalar(f"SELECT count(*) FROM rows_of_{name} WHERE NOT ({expected})")
                assert found == [(3000, n_without, 0, 0)] and n_without > 0, f"{name} {call}: {found}"
            outputs = [json.loads(text)["y"] for (text,) in connection.rows(f"SELECT persona.predict('{name}', t)::text FROM rows_of_{name} t WHERE id <= 7")]
            assert any(value is None for value in outputs), outputs
            # What is published, and what measures, too.
            connection.query(f"SELECT FROM persona.publish('{name}', 'p_{name}', 'SELECT * FROM rows_of_{name}', 'id')")
            assert connection.scalar(f"SELECT count(*) FROM p_{name} WHERE score IS NULL") == n_without
            connection.notices.clear()
            (found,) = connection.rows(f"SELECT n_rows, roc_auc, average_precision, base_rate FROM persona.evaluate('{name}', 'rows_of_{name}', 'y')")
            (aggregated,) = connection.rows(f"SELECT count(s), persona.roc_auc(y, s), persona.average_precision(y, s), (count(*) FILTER (WHERE y AND s IS NOT NULL))::float8 / count(s) "
                                            f"FROM (SELECT y, persona.score('{name}', t) AS s FROM rows_of_{name} t) AS s")
            assert all(abs(one - other) < 1e-12 for one, other in zip(found, aggregated)), f"{found} {aggregated}"
            assert any(f"{n_without} of 3000 rows have no score" in notice['M'] for notice in connection.notices), connection.notices
        # No row with a score: no figures, rather than those of NaN.
        (found,) = connection.rows("SELECT * FROM persona.evaluate('diff', 'SELECT NULL::real AS a, 1::real AS b, true AS y', 'y')")
        assert found == (0, None, None, None, None, None, None), found


# -- Classes of any name ------------------------------------------------------------------------------------------------

def linear_classifier(labels, zip_map=False):
    """P(last class) = 1 / (1 + exp(-2 a - 0.2))."""
    named = graphs.texts("classlabels_strings", *labels) if isinstance(labels[0], str) else graphs.whole_numbers("classlabels_ints", *labels)
    held = [graphs.numbers("coefficients", -1.0, 1.0), graphs.numbers("intercepts", -0.1, 0.1), graphs.text("post_transform", "SOFTMAX"), named]
    kind = STRING if isinstance(labels[0], str) else INT64
    return model([node("LinearClassifier", ["a"], ["label", "probabilities"], *held, domain="ai.onnx.ml")], [typed("a")],
                 [typed("label", kind, "n"), typed("probabilities", FLOAT, "n", 2)])


def unnamed_classifier():
    """The same without names for its classes, as from a network."""
    return model([node("Mul", ["a", "two"], ["m"]), node("Add", ["m", "offset"], ["s"]), node("Sigmoid", ["s"], ["y"])], [typed("a")], [typed("y")],
                 floats("two", [2.0], 1), floats("offset", [0.2], 1))


def test_the_classes_of_a_target_may_have_any_names(cluster):
    with cluster.connect() as connection:
        connection.query("CREATE TABLE t AS SELECT ((i * 37 % 101) - 50) / 25.0::real AS a, (i * 37 % 101) + (i * 61 % 40) > 70 AS y FROM generate_series(1, 500) AS i")
        targets = {"yes, no": "CASE WHEN y THEN 'yes' ELSE 'no' END", "-1, 1": "CASE WHEN y THEN 1 ELSE -1 END", "1.0, -1.0": "CASE WHEN y THEN 1.0 ELSE -1.0 END",
                   "boolean": "y", "0, 1": "y::int", "9, 10": "CASE WHEN y THEN 10 ELSE 9 END", "Ä, ä": "CASE WHEN y THEN 'ä' ELSE 'Z' END"}
        models = {"yes, no": linear_classifier(["no", "yes"]), "-1, 1": linear_classifier([-1, 1]), "1.0, -1.0": linear_classifier([-1, 1]), "boolean": linear_classifier([0, 1]),
                  "0, 1": linear_classifier([0, 1]), "9, 10": linear_classifier([9, 10]), "Ä, ä": linear_classifier(["Z", "ä"])}
        for what, target in targets.items():
            for name, bytes_ in (("named", models[what]), ("unnamed", unnamed_classifier()), ("numbered", linear_classifier([0, 1]))):
                onnx.import_onnx(connection, name, bytes_)
                (found,) = connection.rows(f"SELECT n_rows, roc_auc, log_loss, brier FROM persona.evaluate('{name}', 'SELECT a, {target.replace(chr(39), chr(39) * 2)} AS y FROM t', 'y')")
                (expected,) = connection.rows(f"SELECT count(*), persona.roc_auc(y, s), persona.log_loss(y, s), persona.brier(y, s) FROM (SELECT y, persona.score('{name}', t) AS s FROM t) AS s")
                assert all(abs(one - other) < 1e-9 for one, other in zip(found, expected)), f"{what}, {name}: {found}, expected {expected}"
                assert 0.6 < found[1] < 0.99
        # Of two words without a meaning the order decides, and that is told with how to say otherwise.
        for name, target, told in (("unnamed", "CASE WHEN y THEN 'kept' ELSE 'churned' END", ("\"kept\"", "y = 'churned'")), ("unnamed", "CASE WHEN y THEN 10 ELSE 9 END", ("\"10\"", "y = '9'")),
                                   ("numbered", "CASE WHEN y THEN 'kept' ELSE 'churned' END", ("\"kept\"", "y = 'churned'")), ("unnamed", "y", None), ("unnamed", "y::int", None), ("numbered", "y::int", None),
                                   ("named", "CASE WHEN y THEN 'yes' ELSE 'no' END", None)):
            onnx.import_onnx(connection, "named", linear_classifier(["no", "yes"]))
            connection.notices.clear()
            found = connection.scalar(f"SELECT roc_auc FROM persona.evaluate('{name}', 'SELECT a, {target.replace(chr(39), chr(39) * 2)} AS y FROM t', 'y')")
            notices = [(one["M"], one.get("H", "")) for one in connection.notices if "positive" in one["M"]]
            assert len(notices) == (told is not None), (name, target, notices)
            if told:
                assert told[0] in notices[0][0] and told[1] in notices[0][1], notices
                # What the hint says turns it round.
                turned = target.split()[-2].replace("'", "''")
                other = connection.scalar(f"SELECT roc_auc FROM persona.evaluate('{name}', 'SELECT a, ({target.replace(chr(39), chr(39) * 2)}) = {turned} AS y FROM t', 'y')")
                assert abs(found + other - 1) < 1e-9, (found, other)
        onnx.import_onnx(connection, "named", linear_classifier(["no", "yes"]))
        # One class alone, whose place the graph's names tell; another value is none of its classes.
        assert connection.scalar("SELECT base_rate FROM persona.evaluate('named', 'SELECT a, ''no'' AS y FROM t', 'y')") == 0
        error = connection.error("SELECT persona.evaluate('named', 'SELECT a, CASE WHEN y THEN ''maybe'' ELSE ''no'' END AS y FROM t', 'y')")
        assert error.sqlstate == "22023" and '"maybe"' in error.message, error
        error = connection.error("SELECT persona.evaluate('unnamed', 'SELECT a, ''no'' AS y FROM t', 'y')")
        assert error.sqlstate == "22023" and "does not say what its classes are called" in error.message, error


def test_a_regressor_has_no_log_loss(cluster):
    with cluster.connect() as connection:
        fixture = Fixture("linear_regressor")
        fixture.create_table(connection, "rows")
        fixture.import_into(connection, "linear")
        (found,) = connection.rows("SELECT roc_auc, log_loss, brier, accuracy, base_rate FROM persona.evaluate('linear', 'SELECT *, c1 > 0 AS y FROM rows', 'y')")
        assert found[1:4] == (None, None, None) and 0 <= found[0] <= 1 and 0 < found[4] < 1, found
        # Though all of its values lie between 0 and 1.
        small = model([node("LinearRegressor", ["a"], ["variable"], graphs.numbers("coefficients", 0.1), graphs.numbers("intercepts", 0.5), domain="ai.onnx.ml")],
                      [typed("a")], [typed("variable")])
        onnx.import_onnx(connection, "small", small)
        (found,) = connection.rows("SELECT roc_auc, log_loss, brier, accuracy FROM persona.evaluate('small', 'SELECT i::real AS a, i > 0 AS y FROM generate_series(-2, 2) AS i', 'y')")
        assert found == (1, None, None, None), found


# -- Which output is the score ------------------------------------------------------------------------------------------

def columns_of_classes(labels):
    """As skl2onnx writes zipmap='columns': a label, and an output for each class."""
    held = [graphs.numbers("coefficients", -1.0, 1.0), graphs.numbers("intercepts", -0.1, 0.1), graphs.text("post_transform", "SOFTMAX"), graphs.texts("classlabels_strings", *labels)]
    nodes = [node("LinearClassifier", ["a"], ["label", "p"], *held, domain="ai.onnx.ml")]
    nodes += [node("ArrayFeatureExtractor", ["p", f"index{number}"], [label], domain="ai.onnx.ml") for number, label in enumerate(labels)]
    return model(nodes, [typed("a")], [typed("label", STRING, "n"), *[typed(label) for label in labels]], *[onnx.wholes(f"index{number}", [number]) for number in range(len(labels))])


def echoing(*outputs):
    """As ML.NET writes it: every input is handed out again, the features together too, and the score comes last."""
    nodes = [node("Identity", ["a"], ["a.output"]), node("Cast", ["b"], ["b_double"], whole("to", DOUBLE)), node("Identity", ["b_double"], ["b.output"]),
             node("Concat", ["a", "b"], ["Features.output"], whole("axis", 1)), node("Sub", ["a", "b"], ["d"]), *[node("Sigmoid", ["d"], [output]) for output in outputs]]
    return model(nodes, [typed("a"), typed("b")], [typed("a.output"), typed("b.output", DOUBLE), typed("Features.output", FLOAT, "n", 2), *[typed(output) for output in outputs]])


def ranked(kind=INT64):
    """The ten best items, and an embedding."""
    table = onnx.wholes("items", list(range(4340, 4350))) if kind == INT64 else floats("items", [0.1] * 10, 10)
    nodes = [node("Shape", ["a"], ["shape"]), node("Slice", ["shape", "zero", "one"], ["rows"]), node("Concat", ["rows", "ten"], ["wide"], whole("axis", 0)), node("Expand", ["items", "wide"], ["top_items"]),
             node("Expand", ["a", "wide"], ["embedding"]), node("Neg", ["a"], ["y"])]
    return model(nodes, [typed("a")], [typed("top_items", kind, "n", 10), typed("embedding", FLOAT, "n", 10), typed("y")], table, onnx.wholes("zero", [0]), onnx.wholes("one", [1]), onnx.wholes("ten", [10]))


def test_the_score_is_the_output_that_is_one(cluster):
    with cluster.connect() as connection:
        score = "SELECT round(persona.score('m', t)::numeric, 4)::float8 FROM (SELECT 1::real AS a, 3::real AS b) AS t"
        for labels in (["no", "yes"], ["prob_no", "prob_yes"]):
            output, reason = import_with(connection, "m", columns_of_classes(labels))
            assert output == labels[1] and "the last of 2 columns of \"p\"" in reason, (output, reason)
            assert connection.scalar(score) == 0.9002, "it is not the last class's probability"
        for outputs in (["Score.output"], ["result"], ["Score.output", "Probability.output"]):
            output, reason = import_with(connection, "m", echoing(*outputs))
            assert output == outputs[-1] and "3 outputs repeat inputs" in reason, (output, reason)
            assert connection.scalar(score) == 0.1192
        # Of one output alone nothing is to be chosen.
        assert import_with(connection, "m", onnx.model(onnx.graph([node("Identity", ["x"], ["y"])])))[0] == "y"
        output, reason = import_with(connection, "m", linear_classifier(["no", "yes"]))
        assert output == "probabilities" and "probability" in reason and "its last column" in reason, reason
        assert import_with(connection, "m", linear_classifier(["no", "yes"]), output="probabilities") == ("probabilities", "it was asked for by name; the score is its last column")
        # An output of one value beside wide ones is the score.
        output, reason = import_with(connection, "m", ranked())
        assert output == "y" and "one fraction for each row" in reason, (output, reason)
        assert connection.scalar(score) == -1


def test_names_of_classes_do_not_choose_the_score(cluster):
    with cluster.connect() as connection:
        connection.query("CREATE TABLE t AS SELECT ((i * 37 % 101) - 50) / 25.0::real AS a, (i * 37 % 101) + (i * 61 % 40) > 70 AS y FROM generate_series(1, 500) AS i")
        for labels in (["problem", "resolved"], ["accepted", "mislabelled"], ["mislabelled", "ok"], ["high score", "other"], ["improbable", "scored"]):
            rows = f"SELECT a, CASE WHEN y THEN ''{labels[1]}'' ELSE ''{labels[0]}'' END AS y FROM t"
            output, reason = import_with(connection, "m", columns_of_classes(labels))
            assert output == labels[1] and "the last of 2 columns" in reason, (labels, output, reason)
            last = connection.scalar(f"SELECT roc_auc FROM persona.evaluate('m', '{rows}', 'y')")
            # The first class's output ranks for the first class.
            import_with(connection, "m", columns_of_classes(labels), output=labels[0])
            first, rate = connection.rows(f"SELECT roc_auc, base_rate FROM persona.evaluate('m', '{rows}', 'y')")[0]
            assert last > 0.9 and abs(first - last) < 1e-9, (labels, first, last)
            assert abs(rate - connection.scalar("SELECT avg((NOT y)::int)::float8 FROM t")) < 1e-9, rate


def machine_classifier(labels, form):
    """decision value = 2 a, of one support vector of each class: libsvm's own value is high for the first class."""
    is_text = isinstance(labels[0], str)
    named = graphs.texts("classlabels_strings", *labels) if is_text else graphs.whole_numbers("classlabels_ints", *labels)
    held = [graphs.numbers("coefficients", 1.0, -1.0), graphs.numbers("support_vectors", -1.0, 1.0), graphs.whole_numbers("vectors_per_class", 1, 1), graphs.numbers("rho", 0.0),
            graphs.numbers("kernel_params", 1.0, 0.0, 3.0), graphs.text("kernel_type", "LINEAR"), graphs.text("post_transform", "NONE"), named]
    nodes = [node("SVMClassifier", ["a"], ["label", "values"], *held, domain="ai.onnx.ml"), node("Cast", ["values"], ["probabilities"], whole("to", FLOAT))]
    outputs, kind = [typed("label", STRING if is_text else INT64, "n")], STRING if is_text else INT64
    if form == "map":
        zip_map = graphs.texts("classlabels_strings", *labels) if is_text else graphs.whole_numbers("classlabels_int64s", *labels)
        nodes.append(node("ZipMap", ["probabilities"], ["zip"], zip_map, domain="ai.onnx.ml"))
        map_of = message((5, message((1, kind), (2, message((1, message((1, FLOAT))))))))
        outputs.append(message((1, "zip"), (2, message((4, message((1, map_of)))))))
    elif form == "columns":
        nodes += [node("ArrayFeatureExtractor", ["probabilities", f"index{number}"], [f"s{label}"], domain="ai.onnx.ml") for number, label in enumerate(labels)]
        outputs += [typed(f"s{label}") for label in labels]
    elif form == "times a number":
        nodes.append(node("Mul", ["probabilities", "minus_one"], ["product"]))
        outputs.append(typed("product", FLOAT, "n", 2))
    else:
        outputs.append(typed("probabilities", FLOAT, "n", 2) if form == "tensor" else message((1, "probabilities")))
    return model(nodes, [typed("a")], outputs, onnx.wholes("index0", [0]), onnx.wholes("index1", [1]), floats("minus_one", [-1.0], 1))


def test_a_support_vector_machine_ranks_the_right_way_round(cluster):
    with cluster.connect() as connection:
        for labels in ([0, 1], [-1, 1], ["no", "yes"]):
            values = [f"''{label}''" if isinstance(label, str) else str(label) for label in labels]
            for form in ("map", "tensor", "columns", "untyped", "times a number"):
                output, reason = import_with(connection, "m", machine_classifier(labels, form))
                assert ("the wrong way round" in reason) == (form != "times a number"), (form, output, reason)
                for a in (-1, 1):
                    score, label = connection.rows(f"SELECT persona.score('m', t), persona.predict('m', t) ->> 'label' FROM (SELECT {a}::real AS a) AS t")[0]
                    assert score == 2 * a and label == str(labels[a > 0]), (labels, form, output, a, score, label)
                found = connection.rows(f"SELECT roc_auc, log_loss, base_rate FROM persona.evaluate('m', 'SELECT i / 100.0::real AS a, CASE WHEN i > 5 THEN {values[1]} ELSE {values[0]} END AS y "
                                        "FROM generate_series(-10, 10) AS i', 'y')")[0]
                assert found[0] == 1 and abs(found[2] - 5 / 21) < 1e-9 and (found[1] is None or form == "times a number"), (labels, form, found)


def test_an_output_without_a_type_is_taken(cluster):
    with cluster.connect() as connection:
        held = [graphs.numbers("coefficients", -1.0, 1.0), graphs.numbers("intercepts", -0.1, 0.1), graphs.text("post_transform", "SOFTMAX"), graphs.texts("classlabels_strings", "no", "yes")]
        untyped = model([node("LinearClassifier", ["a"], ["class", "p"], *held, domain="ai.onnx.ml")], [typed("a")], [message((1, "class")), message((1, "p"))])
        for wanted in (None, "p"):
            output, reason = import_with(connection, "m", untyped, output=wanted)
            assert output == "p" and "does not say of what type" in reason, (output, reason)
            assert connection.scalar("SELECT round(persona.score('m', t)::numeric, 4)::float8 FROM (SELECT 1::real AS a) AS t") == 0.9002
        # That it holds no numbers is seen when it is tried out.
        error = connection.error(onnx.import_statement("m", untyped).replace("features =>", "output => 'class', features =>"))
        assert error.sqlstate == "22000" and "holds no numbers" in error.message, error


def test_a_class_without_rows_is_told_where_the_graph_numbers_its_classes(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "m", linear_classifier([0, 1]))
        for rows, told in (("SELECT 1::real AS a, 1 AS y", True), ("SELECT i::real AS a, i AS y FROM generate_series(0, 1) AS i", False), ("SELECT 1::real AS a, true AS y", False)):
            connection.notices.clear()
            connection.query(f"SELECT persona.evaluate('m', '{rows}', 'y')")
            notices = [one for one in connection.notices if 'no row is of class "0"' in one["M"]]
            assert len(notices) == told, (rows, connection.notices)


def test_what_is_no_score_is_refused(cluster):
    with cluster.connect() as connection:
        error = connection.error(onnx.import_statement("m", ranked()).replace("features =>", "output => 'top_items', features =>"))
        assert error.sqlstate == "22023" and "10 whole numbers for each row" in error.message, error
        # Where the graph leaves the width open, it is seen when it is tried out.
        nodes = [node("Expand", ["items", "wide"], ["y"]), node("Cast", ["a"], ["unused"], whole("to", INT64))]
        open_width = model(nodes, [typed("a")], [typed("y", INT64, "n", "m")], onnx.wholes("items", [4340, 4341]), onnx.wholes("wide", [1, 2]))
        error = connection.error(onnx.import_statement("m", open_width).replace("features =>", "output => 'y', features =>"))
        assert error.sqlstate == "22000" and "several whole numbers" in error.message, error
        # Only echoes, and several wide outputs without a name that tells.
        echoes = model([node("Identity", ["a"], ["one"]), node("Cast", ["a"], ["label"], whole("to", INT64))], [typed("a")], [typed("one"), typed("label", INT64)])
        error = connection.error(onnx.import_statement("m", echoes))
        assert error.sqlstate == "22023" and "no output of probabilities or values" in error.message, error
        nodes = [node("Expand", ["a", "wide"], ["w"]), node("Neg", ["w"], ["one"]), node("Exp", ["w"], ["two"])]
        several = model(nodes, [typed("a")], [typed("one", FLOAT, "n", 2), typed("two", FLOAT, "n", 2)], onnx.wholes("wide", [1, 2]))
        error = connection.error(onnx.import_statement("m", several))
        assert error.sqlstate == "22023" and "several outputs that may be the score" in error.message and '"one"' in error.hint, error
        # A value and its deviation, as of a regressor with return_std.
        nodes = [node("LinearRegressor", ["a"], ["variable"], graphs.numbers("coefficients", 0.1), graphs.numbers("intercepts", 0.5), domain="ai.onnx.ml"), node("Sqrt", ["a"], ["std"])]
        both = model(nodes, [typed("a")], [typed("variable"), message((1, "std"), (2, message((1, message((1, FLOAT))))))])
        error = connection.error(onnx.import_statement("m", both))
        assert error.sqlstate == "22023" and "several outputs that may be the score" in error.message and '"variable"' in error.hint, error
        error = connection.error(onnx.import_statement("m", Fixture("logistic").model, [*"abcdefg", ""]))
        assert error.sqlstate == "22023" and "empty name" in error.message, error


# -- Whole numbers with all their digits, and time stamps ----------------------------------------------------------------

def last_digits():
    """key - 2^53, of whole numbers."""
    return model([node("Sub", ["key", "base"], ["d"]), node("Cast", ["d"], ["y"], whole("to", DOUBLE))], [typed("key", INT64)], [typed("y", DOUBLE)], onnx.wholes("base", [1 << 53]))


def test_whole_numbers_keep_all_their_digits(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "digits", last_digits())
        for kind in ("bigint", "numeric", "numeric(25,3)"):
            connection.query(f"DROP TABLE IF EXISTS k; CREATE TABLE k AS SELECT i, (9007199254740992 + i)::{kind} AS key, i % 2 = 0 AS y FROM generate_series(-300, 300) AS i")
            for call in ("persona.score('digits', k)", "persona.score_batch('digits', k) OVER ()"):
                assert connection.scalar(f"SELECT count(*) FROM (SELECT i, {call} AS s FROM k) AS s WHERE s IS DISTINCT FROM i") == 0, f"{call} of {kind} loses digits"
            # Every second is even, so a digit lost would rank rows of both classes alike.
            found = connection.scalar("SELECT roc_auc FROM persona.evaluate('digits', 'SELECT i, key, i >= 1 AS y FROM k', 'y')")
            assert found == 1, f"evaluate of {kind} loses digits: {found}"
        row = "SELECT persona.score('digits', t) FROM (SELECT {} AS key) AS t"
        assert connection.scalar(row.format("5::smallint")) == 5 - (1 << 53) and connection.scalar(row.format("true")) == 1 - (1 << 53)
        # What cannot be exact is refused: a fraction, what 64 bits do not hold, and a double that stands for several whole numbers.
        for value in ("1.5", "1e30::numeric", "9007199254740993::float8", "9007199254740992::float8"):
            assert connection.error(row.format(value)).sqlstate == "22003", value
        for value in ("1.5", "1e30"):
            assert connection.error(f"SELECT persona.evaluate('digits', 'SELECT {value}::numeric AS key, true AS y', 'y')").sqlstate == "22003", value
        assert connection.error(row.format("NULL::bigint")).sqlstate == "22004"
        assert connection.error("SELECT persona.evaluate('digits', 'SELECT NULL::bigint AS key, true AS y', 'y')").sqlstate == "22004"


def test_an_export_scores_time_stamps_as_the_fit_does(cluster):
    with cluster.connect() as connection:
        connection.query("""
            CREATE TABLE seen AS SELECT i AS id, 1700000000000 + i * 1000 AS at_ms, timestamptz '2024-01-01' + i * interval '1 minute' AS at, (9007199254740000 + i * 7)::bigint AS big,
                CASE WHEN i % 11 > 0 THEN (i * 1.25)::numeric(20,4) END AS amount, (ARRAY['', NULL, 'ü', 'a'])[1 + i % 4] AS c, i + (i * 7919 % 900) > 1500 AS y
            FROM generate_series(1, 2000) AS i;
            SELECT FROM persona.fit_scorer('own', 'SELECT at_ms, at, big, amount, c, y FROM seen', 'y');
            SELECT FROM persona.import_onnx('again', persona.export_onnx('own'));""")
        (found,) = connection.rows("""
            SELECT max(abs(own - one)), max(abs(own - batch)), max(own) - min(own) FROM (
                SELECT persona.score('own', s) AS own, persona.score('again', s) AS one, persona.score_batch('again', s) OVER () AS batch FROM seen s) AS s""")
        assert found[0] < 1e-9 and found[1] < 1e-9 and found[2] > 0.5, found
