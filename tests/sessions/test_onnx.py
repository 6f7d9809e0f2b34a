"""ONNX graphs through SQL: scikit-learn's answers, batches, NULLs, parallel workers, and models that reach outside themselves."""

import json

from lib import onnx, processes
from lib.onnx import FIXTURES, Fixture, attribute, floats, graph, message, model, node, wholes

TOLERANCE = 1e-5


def near(found, expected):
    return len(found) == len(expected) and all(abs(one - other) <= TOLERANCE for one, other in zip(found, expected))


def test_every_fixture_scores_as_scikit_learn_does(cluster):
    with cluster.connect() as connection:
        for name in FIXTURES:
            fixture = Fixture(name)
            fixture.create_table(connection, name)
            fixture.import_into(connection, name)
            one = [score for (score,) in connection.rows(f"SELECT persona.score('{name}', t) FROM {name} t ORDER BY id")]
            batch = [score for (score,) in connection.rows(
                f"SELECT s FROM (SELECT id, persona.score_batch('{name}', t) OVER () AS s FROM {name} t) AS s ORDER BY id")]
            assert near(one, fixture.scores), f"{name}: score gave {one}, expected {fixture.scores}"
            assert near(batch, fixture.scores), f"{name}: score_batch gave {batch}, expected {fixture.scores}"
            told = [json.loads(row) for (row,) in connection.rows(f"SELECT persona.predict('{name}', t)::text FROM {name} t ORDER BY id")]
            check_predictions(fixture, told)


def check_predictions(fixture, told):
    for number, outputs in enumerate(told):
        label = [value for key, value in outputs.items() if "label" in key]
        if "variable" in fixture.outputs:
            assert near([outputs["variable"]], [fixture.scores[number]]), f"{fixture.name}: {outputs}"
            continue
        assert label == [fixture.outputs["label"][number]], f"{fixture.name}: {outputs}"
        (chances,) = [value for key, value in outputs.items() if "probab" in key]
        if isinstance(chances, dict):
            chances = [chances[str(one)] for one in fixture.outputs["classes"]]
        assert near(chances, fixture.outputs["probabilities"][number]), f"{fixture.name}: {outputs}"


def many_rows(connection, n_rows):
    """A table of so many rows for the 100 trees, every ninth row without a value, every hundredth no row at all."""
    Fixture("boosted_trees").import_into(connection, "trees")
    columns = ", ".join(f"CASE WHEN i % 9 = {c} THEN NULL ELSE sin(i * {c}.7)::real END AS c{c}" for c in range(1, 9))
    connection.query(f"CREATE TABLE visitors AS SELECT i AS id, i % 7 AS part, {columns} FROM generate_series(1, {n_rows}) AS i")
    connection.query("ANALYZE visitors")


def test_a_batch_of_20000_rows_equals_row_by_row(cluster):
    with cluster.connect() as connection:
        many_rows(connection, 20_000)
        row = "CASE WHEN id % 100 > 0 THEN v END"
        one = connection.rows(f"SELECT id, persona.score('trees', {row}) FROM visitors v ORDER BY id")
        assert [score for _, score in one].count(None) == 200
        for window in ["", "PARTITION BY part", "PARTITION BY part ORDER BY id DESC", "PARTITION BY id", "ORDER BY part"]:
            batch = connection.rows(f"SELECT id, s FROM (SELECT id, persona.score_batch('trees', {row}) OVER ({window}) AS s "
                                    "FROM visitors v) AS s ORDER BY id")
            assert batch == one, f"OVER ({window}) differs"
        small = connection.rows("SET work_mem = '64kB'; "
                                f"SELECT id, s FROM (SELECT id, persona.score_batch('trees', {row}) OVER () AS s FROM visitors v) AS s ORDER BY id")
        assert small == one, "with a small work_mem it differs"


def test_limit_1_scores_a_few_rows_and_not_the_table(cluster):
    with cluster.connect() as connection:
        many_rows(connection, 20_000)
        before = connection.scalar("SELECT n_rows FROM persona.onnx_status()")
        (found,) = connection.rows("SELECT id, persona.score_batch('trees', v) OVER () FROM visitors v LIMIT 1")
        expected = connection.rows(f"SELECT id, persona.score('trees', v) FROM visitors v WHERE id = {found[0]}")
        scored = connection.scalar("SELECT n_rows FROM persona.onnx_status()") - before
        assert [found] == expected
        assert scored <= 64, f"{scored} rows were scored"


def test_null_is_no_row_a_nan_an_empty_text_or_an_error_by_type(cluster):
    with cluster.connect() as connection:
        Fixture("columns_logistic").import_into(connection, "columns")
        Fixture("linear_regressor").import_into(connection, "linear")
        row = "SELECT persona.score('columns', c) FROM (SELECT {}::real AS spend, {}::bigint AS visits, {}::text AS region) AS c"
        assert connection.scalar("SELECT persona.score('columns', NULL::record)") is None
        assert connection.scalar("SELECT persona.predict('columns', NULL::record)") is None
        assert connection.scalar("SELECT persona.score_batch('columns', NULL::record) OVER ()") is None
        assert connection.scalar(row.format("1", "2", "NULL")) == connection.scalar(row.format("1", "2", "''"))
        error = connection.error(row.format("1", "NULL", "'east'"))
        assert error.sqlstate == "22004" and "visits" in error.message, error
        # A float without a value is NaN, for the graph to impute; a linear one does not, and the row has no score.
        assert connection.scalar("SELECT persona.score('linear', t) FROM (SELECT NULL::real AS c1, 1 AS c2, 1 AS c3, 1 AS c4) AS t") is None
        assert connection.scalar("SELECT persona.score('columns', c) FROM (SELECT 1 AS spend, 2 AS visits, 'east' AS region) AS c") > 0


def test_parallel_workers_score_as_one_process_does(cluster):
    with cluster.connect() as connection:
        many_rows(connection, 3000)
        connection.query("CREATE TABLE buyers AS SELECT *, coalesce(c1, 0) + coalesce(c2, 0) > 0.3 AS bought FROM visitors")
        connection.query("ANALYZE buyers")
        connection.query("SELECT * FROM persona.fit_scorer('native', 'buyers', 'bought', features => ARRAY['c1', 'c2', 'c3'])")
        connection.query("SELECT * FROM persona.fit_segments('groups', 'SELECT id, c4, c5 FROM visitors WHERE c4 + c5 IS NOT NULL', 'id', 3)")
        queries = ["SELECT id, persona.score('trees', v) FROM visitors v", "SELECT id, persona.score('native', v) FROM visitors v",
                   "SELECT id, persona.segment('groups', v) FROM visitors v", "SELECT id, persona.predict('trees', v) FROM visitors v WHERE id < 300"]
        serial = [sorted(connection.rows(sql)) for sql in queries]
        force = "force_parallel_mode" if cluster.server == "15" else "debug_parallel_query"
        for name, value in {force: "on", "parallel_setup_cost": 0, "parallel_tuple_cost": 0, "min_parallel_table_scan_size": 0,
                            "max_parallel_workers_per_gather": 3, "parallel_leader_participation": "off"}.items():
            connection.query(f"SET {name} = {value}")
        for sql, expected in zip(queries, serial):
            plan = "\n".join(line for (line,) in connection.rows(f"EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF) {sql}"))
            assert "Gather" in plan and "Workers Launched: 0" not in plan, plan
            assert sorted(connection.rows(sql)) == expected, f"parallel differs: {sql}"


def test_50_sessions_score_and_leave_without_a_trace(cluster):
    with cluster.connect() as connection:
        fixture = Fixture("columns_logistic")
        fixture.create_table(connection, "customers")
        fixture.import_into(connection, "columns")
        expected = connection.rows("SELECT persona.score('columns', c) FROM customers c ORDER BY id")
        for _ in range(50):
            with cluster.connect() as other:
                assert other.rows("SELECT persona.score('columns', c) FROM customers c ORDER BY id") == expected
        # A connection of the scorer ends with its session.
        processes.wait_until("the scorer's connections end", lambda: connection.scalar("SELECT connections FROM persona.onnx_status()") == 1)


# -- Models that reach outside themselves ------------------------------------------------------------------------------

LOCATIONS = {
    "absolute": "/etc/hostname",
    "dot_dot": "../../PG_VERSION",
    "in_working_directory": "planted.bin",
    "data_directory": "postgresql.conf",
    "address_marker": "*/_ORT_MEM_ADDR_/*",
}


def outside(location, name="w"):
    """A tensor whose data are elsewhere."""
    return message((1, 1), (2, onnx.FLOAT), (8, name), (13, message((1, "location"), (2, location))), (14, 1))


def sparse(values, indices):
    return message((1, values), (2, indices), (3, 4))


def constant(held, output="w"):
    return node("Constant", [], [output], attribute("value", 5, held, 4))


def branch(*nodes_and_more, outputs=("b",)):
    return message((1, list(nodes_and_more)), (2, "branch"), (12, [onnx.value(name) for name in outputs]))


def chosen(then):
    """y = if … then the branch, else x."""
    other = branch(node("Identity", ["x"], ["b"]))
    return node("If", ["condition"], ["y"], attribute("then_branch", 6, then, 5), attribute("else_branch", 6, other, 5))


def functional(body, *more):
    function = message((1, "F"), (4, "a"), (5, "b"), (7, body), (9, message((2, 17))), (10, "own"), *more)
    return model(graph([node("F", ["x"], ["y"], domain="own")]), (25, function), (8, message((1, "own"), (2, 1))))


ADD = node("Add", ["x", "w"], ["y"])
PLACES = {
    "initializer": lambda held: model(graph([ADD], ("x",), ("y",), (5, held))),
    "unused_initializer": lambda held: model(graph([node("Identity", ["x"], ["y"])], ("x",), ("y",), (5, [floats("v", [1.0], 1), held]))),
    "sparse_values": lambda held: model(graph([ADD], ("x",), ("y",), (15, sparse(held, wholes("i", [0]))))),
    "sparse_indices": lambda held: model(graph([ADD], ("x",), ("y",), (15, sparse(floats("w", [1.0], 1), held)))),
    "constant": lambda held: model(graph([constant(held), ADD])),
    "sparse_constant": lambda held: model(graph(
        [node("Constant", [], ["w"], attribute("sparse_value", 22, sparse(held, wholes("i", [0])), 11)), ADD])),
    "attribute": lambda held: model(graph([node("Identity", ["x"], ["y"], attribute("unused", 5, held, 4))])),
    "attribute_list": lambda held: model(graph([node("Identity", ["x"], ["y"], attribute("unused", 10, [floats("v", [1.0], 1), held], 9))])),
    "graph_list": lambda held: model(graph(
        [node("Identity", ["x"], ["y"], attribute("unused", 11, branch(node("Identity", ["x"], ["b"])) + message((5, held)), 10))])),
    "sub_graph_initializer": lambda held: model(graph([chosen(branch(node("Add", ["x", "w"], ["b"])) + message((5, held)))])),
    "sub_graph_constant": lambda held: model(graph([chosen(branch(constant(held), node("Add", ["x", "w"], ["b"])))])),
    "sub_graph_of_a_sub_graph": lambda held: model(graph([chosen(branch(chosen(branch(constant(held, "b")))))])),
    "function_body": lambda held: functional([constant(held), node("Add", ["a", "w"], ["b"])]),
    "function_sub_graph": lambda held: functional([chosen(branch(constant(held, "b")))]),
    "function_default": lambda held: functional([node("Identity", ["a"], ["b"])], (11, attribute("d", 5, held, 4))),
    "training": lambda held: model(graph([node("Identity", ["x"], ["y"])]), (20, message((1, graph([], (), (), (5, held)))))),
    # A message may come in parts, which readers merge.
    "second_part_of_the_graph": lambda held: model(graph([ADD]), (7, message((5, held)))),
}
# Any of the marks alone is enough.
HALF_MARKED = {
    "location_without_files": message((1, 1), (2, onnx.FLOAT), (8, "w"), (14, 1)),
    "files_without_location": message((1, 1), (2, onnx.FLOAT), (8, "w"), (13, message((1, "location"), (2, "planted.bin")))),
    "unknown_location": message((1, 1), (2, onnx.FLOAT), (8, "w"), (9, bytes(4)), (14, 7)),
    "location_past_32_bits": message((1, 1), (2, onnx.FLOAT), (8, "w"), (9, bytes(4)), (14, 1 << 32 | 1)),
    "data_and_files": message((1, 1), (2, onnx.FLOAT), (8, "w"), (9, bytes(4)), (13, message((1, "location"), (2, "planted.bin"))), (14, 1)),
    "offset_and_length": message((1, 1), (2, onnx.FLOAT), (8, "w"), (14, 1), (13, [message((1, key), (2, value)) for key, value in
                                 (("location", "../../PG_VERSION"), ("offset", "0"), ("length", "4"))])),
    "location_said_twice": message((1, 1), (2, onnx.FLOAT), (8, "w"), (9, bytes(4)), (14, [1, 0])),
    "no_location_key": message((1, 1), (2, onnx.FLOAT), (8, "w"), (13, b"")),
}


def test_models_that_reach_outside_are_refused_before_a_session_is_made(cluster):
    corpus = {f"{place} {where}": write(outside(location)) for place, write in PLACES.items() for where, location in LOCATIONS.items()}
    corpus |= {f"{place} {what}": PLACES[place](held) for what, held in HALF_MARKED.items() for place in ("initializer", "constant", "function_body")}
    assert len(corpus) >= 40
    (cluster.data / "planted.bin").write_bytes(bytes(4))
    with cluster.connect() as connection:
        passed = []
        for name, bytes_ in corpus.items():
            error = connection.error(onnx.import_statement("hostile", bytes_))
            if (error.sqlstate[:2], error.message) != ("22", "model refers to data outside itself"):
                passed.append(f"{name}: {error}")
        assert not passed, "\n".join(passed)
        assert connection.scalar("SELECT count(*) FROM persona.models") == 0


def test_the_same_places_with_their_data_inside_are_not_called_external(cluster):
    with cluster.connect() as connection:
        for place in ("initializer", "unused_initializer", "constant", "second_part_of_the_graph"):
            onnx.import_onnx(connection, place, PLACES[place](floats("w", [1.5], 1)))
            row = f"SELECT persona.score('{place}', t) FROM (SELECT 2 AS x) AS t"
            assert connection.scalar(row) == (2 if place == "unused_initializer" else 3.5), place


def test_a_refused_model_starts_no_process(cluster):
    cluster.restart()
    with cluster.connect() as connection:
        error = connection.error(onnx.import_statement("hostile", PLACES["initializer"](outside("/etc/hostname"))))
        assert error.sqlstate[:2] == "22", error
        assert not processes.onnx_processes(cluster) and not processes.supervisors(cluster)
