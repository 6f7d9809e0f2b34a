//! Hostile models, written by a protobuf writer of a few lines: what must be refused is, and nothing panics.

use proptest::prelude::*;

use super::*;

mod message;
mod origins;

use message::{Message, m};

fn value_info(name: &str, element: u64) -> Message {
    let shape = m().inner(1, m().bytes(2, "N")).inner(1, m().varint(1, 3));
    m().bytes(1, name).inner(2, m().inner(1, m().varint(1, element).inner(2, shape)))
}

fn plain_tensor() -> Message {
    m().varint(1, 1).varint(2, 1).bytes(8, "w").bytes(9, 1_f32.to_le_bytes())
}

fn node(operator: &str) -> Message {
    m().bytes(1, "x").bytes(2, "y").bytes(4, operator)
}

fn graph() -> Message {
    m().bytes(2, "g").inner(11, value_info("x", 1)).inner(12, value_info("y", 11))
}

fn model_of(graph: Message) -> Message {
    m().varint(1, 8)
        .bytes(2, "test")
        .bytes(3, "1")
        .inner(8, m().bytes(1, "").varint(2, 17))
        .inner(7, graph)
}

fn with_attribute(attribute: Message) -> Message {
    model_of(graph().inner(1, node("Constant").inner(5, attribute.bytes(1, "value"))))
}

/// A tensor whose data lie at `location`.
fn external(location: &str) -> Message {
    let entry = |key: &str, value: &str| m().bytes(1, key).bytes(2, value);
    m().varint(1, 1)
        .varint(2, 1)
        .bytes(8, "w")
        .inner(13, entry("location", location))
        .inner(13, entry("offset", "0"))
        .inner(13, entry("length", "4"))
        .varint(14, 1)
}

#[track_caller]
fn check_refused(model: Message, expected: Error) {
    assert_eq!(scan(&model.0), Err(expected));
}

/// Every place of a model where a tensor can stand.
fn places(tensor: &Message) -> Vec<(&'static str, Message)> {
    let t = || tensor.clone();
    let sparse =
        |values: Message, indices: Message| m().inner(1, values).inner(2, indices).varint(3, 4);
    let sub_graph = graph().inner(5, t());
    let constant = |attribute: Message| node("Constant").inner(5, attribute.bytes(1, "value"));
    let function = m().bytes(1, "f").bytes(10, "local").bytes(4, "x").bytes(5, "y");
    vec![
        ("initializer", model_of(graph().inner(5, t()))),
        ("second initializer", model_of(graph().inner(5, plain_tensor()).inner(5, t()))),
        ("sparse values", model_of(graph().inner(15, sparse(t(), plain_tensor())))),
        ("sparse indices", model_of(graph().inner(15, sparse(plain_tensor(), t())))),
        ("Constant", with_attribute(m().inner(5, t()).varint(20, 4))),
        (
            "Constant, tensor in two parts",
            with_attribute(m().inner(5, plain_tensor()).inner(5, t()).varint(20, 4)),
        ),
        (
            "tensors attribute",
            with_attribute(m().inner(10, plain_tensor()).inner(10, t()).varint(20, 9)),
        ),
        (
            "sparse attribute",
            with_attribute(m().inner(22, sparse(t(), plain_tensor())).varint(20, 11)),
        ),
        (
            "sparse attributes",
            with_attribute(m().inner(23, sparse(plain_tensor(), t())).varint(20, 12)),
        ),
        ("attribute of another declared type", with_attribute(m().inner(5, t()).varint(20, 1))),
        ("sub-graph", with_attribute(m().inner(6, sub_graph.clone()).varint(20, 5))),
        (
            "sub-graphs",
            with_attribute(m().inner(11, graph()).inner(11, sub_graph.clone()).varint(20, 10)),
        ),
        (
            "sub-graph of a sub-graph",
            with_attribute(
                m().inner(
                    6,
                    graph().inner(1, node("If").inner(5, m().inner(6, sub_graph.clone()))),
                ),
            ),
        ),
        (
            "Constant in a sub-graph",
            with_attribute(m().inner(6, graph().inner(1, constant(m().inner(5, t()))))),
        ),
        (
            "function body",
            model_of(graph()).inner(25, function.clone().inner(7, constant(m().inner(5, t())))),
        ),
        (
            "default of a function's attribute",
            model_of(graph())
                .inner(25, function.inner(11, m().bytes(1, "a").inner(5, t()).varint(20, 4))),
        ),
        ("training, initialization", model_of(graph()).inner(20, m().inner(1, sub_graph.clone()))),
        ("training, algorithm", model_of(graph()).inner(20, m().inner(2, sub_graph.clone()))),
        ("graph in two parts", model_of(graph()).inner(7, m().inner(5, t()))),
        ("before the graph", m().inner(7, m().inner(5, t())).inner(7, graph())),
    ]
}

#[test]
fn external_data_is_refused_wherever_it_stands_and_whatever_it_names() {
    let locations = [
        "/etc/passwd",
        "../../global/pg_control",
        "weights.bin",
        "./weights.bin",
        "sub/../../postgresql.conf",
        "*/_ORT_MEM_ADDR_/*",
        "",
        "link",
    ];
    let mut n_refused = 0;
    for location in locations {
        for (place, model) in places(&external(location)) {
            assert_eq!(scan(&model.0), Err(Error::ExternalData), "{place}, {location}");
            n_refused += 1;
        }
    }
    assert!(n_refused >= 40, "{n_refused}");
}

#[test]
fn either_half_of_external_data_is_enough() {
    let half = m().varint(2, 1).bytes(8, "w");
    check_refused(model_of(graph().inner(5, half.clone().varint(14, 1))), Error::ExternalData);
    check_refused(model_of(graph().inner(5, half.clone().varint(14, 7))), Error::ExternalData);
    check_refused(
        model_of(graph().inner(5, half.clone().varint(14, 0x1_0000_0001))),
        Error::ExternalData,
    );
    check_refused(
        model_of(graph().inner(5, half.clone().varint(14, 1).varint(14, 0))),
        Error::ExternalData,
    );
    check_refused(
        model_of(graph().inner(5, half.inner(13, m().bytes(1, "location")))),
        Error::ExternalData,
    );
}

#[test]
fn the_same_places_with_plain_tensors_pass() {
    for (place, model) in places(&plain_tensor()) {
        assert!(scan(&model.0).is_ok(), "{place}: {:?}", scan(&model.0));
    }
}

#[test]
fn a_plain_model_is_summed_up() {
    let map = m().varint(1, 8).inner(2, m().inner(1, m().varint(1, 1)));
    let zipmap = m().bytes(1, "p").inner(2, m().inner(4, m().inner(1, m().inner(5, map))));
    let model = model_of(
        graph()
            .inner(11, value_info("s", 8))
            .inner(11, value_info("w", 1))
            .inner(5, plain_tensor())
            .inner(12, zipmap),
    );
    let summary = scan(&model.0).expect("a plain model");
    assert_eq!(
        (summary.ir_version, summary.producer.as_str(), summary.graph.as_str()),
        (8, "test", "g")
    );
    assert_eq!(summary.opsets, [Opset { domain: String::new(), version: 17 }]);
    let tensor = |element| Kind::Tensor { element, ranked: true, shape: vec![None, Some(3)] };
    let port = |name: &str, kind| Port { name: name.to_owned(), kind };
    assert_eq!(
        summary.inputs,
        [port("x", tensor(Element::Float)), port("s", tensor(Element::String))]
    );
    assert_eq!(
        summary.outputs,
        [
            port("y", tensor(Element::Double)),
            port("p", Kind::MapSequence { key: Element::String, value: Element::Float })
        ]
    );
}

#[test]
fn models_of_scikit_learn_pass() {
    for (name, model) in fixtures() {
        let summary = scan(model).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(summary.producer, "skl2onnx", "{name}");
    }
    let summary = scan(fixtures()[1].1).expect("checked above");
    let names: Vec<&str> = summary.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["spend", "visits", "region"]);
    assert!(matches!(
        summary.outputs[1].kind,
        Kind::MapSequence { key: Element::String, value: Element::Float }
    ));
}

#[test]
fn what_is_no_model_is_refused() {
    check_refused(m(), Error::Empty);
    check_refused(m().varint(1, 8), Error::NoGraph);
    check_refused(model_of(m().bytes(2, "g")), Error::NoOutputs);
    assert_eq!(scan(b"\0\0\0\0ORTM\0\0"), Err(Error::NotOnnx));
    assert_eq!(scan(b"\x0b\x0c"), Err(Error::Malformed { what: "wire type" }));
    assert_eq!(scan(b"\x00"), Err(Error::Malformed { what: "field number" }));
    assert_eq!(scan(&[0xff; 11]), Err(Error::Malformed { what: "varint" }));
    assert_eq!(scan(b"\x3a\xff\xff\xff\xff\x0f"), Err(Error::Truncated));
    check_refused(
        model_of(graph()).bytes(99, "?"),
        Error::UnknownField { message: "Model".to_owned(), number: 99 },
    );
    check_refused(model_of(graph()).varint(7, 1), Error::Malformed { what: "field type" });
}

#[test]
fn bad_names_are_refused() {
    let named = |name: &[u8]| model_of(graph().inner(12, m().bytes(1, name)));
    check_refused(named(b"\xff\xfe"), Error::NotUtf8);
    check_refused(named(b"a\0b"), Error::NulInName);
    check_refused(named(b""), Error::Unnamed);
    check_refused(named(b"y"), Error::Duplicate { name: "y".to_owned() });
    check_refused(named(&[b'a'; 5000]), Error::NameTooLong { found: 5000, allowed: 4096 });
    check_refused(model_of(graph().inner(1, node("Add").bytes(3, b"\xff"))), Error::NotUtf8);
    check_refused(model_of(graph()).bytes(2, b"a\0"), Error::NulInName);
}

#[test]
fn operators_from_elsewhere_are_refused() {
    let with_domain = |domain: &str| model_of(graph().inner(1, node("Op").bytes(7, domain)));
    check_refused(with_domain("evil.ops"), Error::UnknownDomain { domain: "evil.ops".to_owned() });
    for domain in KNOWN_DOMAINS {
        assert!(scan(&with_domain(domain).0).is_ok(), "{domain}");
    }
    let own = with_domain("local").inner(25, m().bytes(1, "f").bytes(10, "local"));
    assert!(scan(&own.0).is_ok());
    let context = model_of(graph().inner(1, node("EPContext").bytes(7, "com.microsoft")));
    check_refused(context, Error::RefusedOperator { operator: "EPContext".to_owned() });
}

#[test]
fn nesting_is_bounded() {
    let mut inner = graph();
    for _ in 0..40 {
        inner = graph().inner(1, node("If").inner(5, m().bytes(1, "then_branch").inner(6, inner)));
    }
    check_refused(model_of(inner), Error::TooDeep { allowed: MAX_DEPTH });
    let mut kind = m().inner(1, m().varint(1, 1));
    for _ in 0..5000 {
        kind = m().inner(4, m().inner(1, kind));
    }
    check_refused(
        model_of(graph().inner(12, m().bytes(1, "z").inner(2, kind))),
        Error::TooDeep { allowed: MAX_DEPTH },
    );
}

/// A function of the model whose body is these nodes.
fn function(name: &str, nodes: Vec<Message>) -> Message {
    nodes.into_iter().fold(m().bytes(1, name).bytes(10, "local"), |all, node| all.inner(7, node))
}

fn call(name: &str) -> Message {
    node(name).bytes(7, "local")
}

fn with_functions(calls: usize, functions: Vec<Message>) -> Message {
    let graph = (0..calls).fold(graph(), |graph, _| graph.inner(1, call("f0")));
    functions.into_iter().fold(model_of(graph), |model, function| model.inner(25, function))
}

/// f0 calls f1 so many times, f1 calls f2, and so on; the last one has one node.
fn tower(height: usize, calls: usize) -> Message {
    let function = |level: usize| {
        let callee =
            if level + 1 < height { call(&format!("f{}", level + 1)) } else { node("Add") };
        let n_calls = if level + 1 < height { calls } else { 1 };
        function(&format!("f{level}"), vec![callee; n_calls])
    };
    with_functions(1, (0..height).map(function).collect())
}

#[test]
fn nodes_are_bounded_wherever_they_stand() {
    let many = |n: usize| vec![node("Add"); n];
    let too_many = |what| Error::TooMany { what, allowed: MAX_NODES };
    let flat = many(MAX_NODES + 1).into_iter().fold(graph(), |graph, node| graph.inner(1, node));
    check_refused(model_of(flat), too_many("nodes"));
    let half = || many(MAX_NODES / 2).into_iter().fold(graph(), |graph, node| graph.inner(1, node));
    assert!(scan(&model_of(half()).0).is_ok());
    let branch = m().bytes(1, "then_branch").inner(6, half());
    check_refused(model_of(half().inner(1, node("If").inner(5, branch))), too_many("nodes"));
    check_refused(
        model_of(half()).inner(25, function("f0", many(MAX_NODES / 2 + 1))),
        too_many("nodes"),
    );
    let weights = (0..=MAX_INITIALIZERS).fold(graph(), |graph, _| graph.inner(5, m()));
    let allowed = MAX_INITIALIZERS;
    check_refused(model_of(weights), Error::TooMany { what: "initializers", allowed });
    let functions = vec![function("f0", vec![]); MAX_FUNCTIONS + 1];
    let allowed = MAX_FUNCTIONS;
    check_refused(with_functions(1, functions), Error::TooMany { what: "functions", allowed });
}

#[test]
fn functions_that_grow_when_they_are_inlined_are_refused() {
    let what = "nodes with its functions inlined";
    let too_many = || Error::TooMany { what, allowed: MAX_NODES };
    assert!(scan(&tower(10, 2).0).is_ok());
    check_refused(tower(30, 2), too_many());
    assert!(tower(30, 2).0.len() < 3000, "a bomb is small");
    check_refused(tower(5, 100), too_many());
    // Called from the main graph, from a sub-graph of a function, and under the other name of the default domain.
    let thousand = || function("f0", vec![node("Add"); 1000]);
    assert!(scan(&with_functions(40, vec![thousand()]).0).is_ok());
    check_refused(with_functions(60, vec![thousand()]), too_many());
    let branch = (0..60).fold(graph(), |graph, _| graph.inner(1, call("f1")));
    let inner = vec![node("If").inner(5, m().bytes(1, "then_branch").inner(6, branch))];
    let f1 = function("f1", vec![node("Add"); 1000]);
    check_refused(with_functions(1, vec![function("f0", inner), f1]), too_many());
    let own = (0..60).fold(graph(), |graph, _| graph.inner(1, node("f").bytes(7, "ai.onnx")));
    let body = function("f", vec![node("Add"); 1000]).bytes(10, "");
    check_refused(model_of(own).inner(25, body), too_many());
    // Of overloads the sum counts.
    let overload = |name: &str| thousand().bytes(13, name);
    check_refused(with_functions(30, vec![overload("a"), overload("b")]), too_many());
}

#[test]
fn functions_that_call_without_end_are_refused() {
    let too_deep = || Error::CallsTooDeep { allowed: MAX_CALL_DEPTH };
    assert!(scan(&tower(MAX_CALL_DEPTH, 1).0).is_ok());
    check_refused(tower(MAX_CALL_DEPTH + 2, 1), too_deep());
    check_refused(with_functions(1, vec![function("f0", vec![call("f0")])]), too_deep());
    let two = vec![function("f0", vec![call("f1")]), function("f1", vec![call("f0")])];
    check_refused(with_functions(1, two), too_deep());
}

#[test]
fn no_truncation_panics() {
    for (_, model) in fixtures() {
        for len in 0..model.len().min(3000) {
            let _ = scan(&model[..len]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutants_never_panic(which in 0..5_usize, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut model = fixtures()[which].1.to_vec();
        for (at, byte) in edits {
            let at = at.index(model.len());
            model[at] = byte;
        }
        let _ = scan(&model);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&bytes);
    }
}

fn fixtures() -> [(&'static str, &'static [u8]); 6] {
    macro_rules! fixture {
        ($name:literal) => {
            ($name, include_bytes!(concat!("../../../tests/fixtures/onnx/", $name, ".onnx")))
        };
    }
    [
        fixture!("columns_logistic"),
        fixture!("columns_logistic_zipmap"),
        fixture!("logistic"),
        fixture!("logistic_zipmap"),
        fixture!("linear_regressor"),
        fixture!("boosted_trees"),
    ]
}
