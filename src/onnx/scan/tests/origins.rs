//! Where outputs come from, in graphs of the shapes that skl2onnx writes.

use super::*;

fn op(operator: &str, input: &str, outputs: &[&str]) -> Message {
    let node = m().bytes(1, input).bytes(4, operator);
    outputs.iter().fold(node, |node, output| node.bytes(2, output))
}

fn numbers(name: &str, values: &[u64]) -> Message {
    values.iter().fold(m().bytes(1, name), |attribute, &value| attribute.varint(8, value))
}

fn machine(n_classes: u64, more: &[Message]) -> Message {
    let labels: Vec<u64> = (0..n_classes).collect();
    let node = op("SVMClassifier", "x", &["label", "values"])
        .inner(5, numbers("classlabels_ints", &labels))
        .inner(5, m().bytes(1, "post_transform").bytes(4, "NONE"));
    more.iter().fold(node, |node, attribute| node.inner(5, attribute.clone()))
}

fn vectors() -> Message {
    numbers("vectors_per_class", &[3, 2])
}

fn probabilities() -> Message {
    m().bytes(1, "prob_a").bytes(7, 1_f32.to_le_bytes())
}

/// The origins of `y` and `p`.
fn origins(nodes: Vec<Message>) -> [Origin; 2] {
    let graph = graph().inner(12, m().bytes(1, "p"));
    let graph = nodes.into_iter().fold(graph, |graph, node| graph.inner(1, node));
    let summary = scan(&model_of(graph).0).unwrap();
    assert_eq!(summary.outputs[1].kind, Kind::Unknown);
    summary.origins.try_into().unwrap()
}

#[test]
fn a_map_has_the_origin_of_its_values() {
    let cast = op("Cast", "values", &["cast"]);
    let check = |machine: Message, expected: Machine| {
        let zip_map = op("ZipMap", "cast", &["y"]);
        let [y, p] = origins(vec![machine, cast.clone(), zip_map, op("Cast", "label", &["p"])]);
        assert_eq!((y.value.as_str(), y.operator.as_deref()), ("values", Some("SVMClassifier")));
        assert_eq!((y.place, y.is_map, y.machine), (1, true, Some(expected)));
        assert_eq!((p.place, p.is_map, p.machine), (0, false, None));
    };
    check(machine(2, &[vectors()]), Machine::Reversed);
    check(machine(2, &[vectors(), m().bytes(1, "prob_a")]), Machine::Reversed);
    check(machine(2, &[vectors(), probabilities()]), Machine::Probabilities);
    check(machine(3, &[vectors()]), Machine::Values);
    check(machine(2, &[]), Machine::Values);
}

#[test]
fn what_multiplies_a_machine_is_known() {
    let check = |more: &[Message], expected: Option<Machine>| {
        let nodes = vec![
            machine(2, more),
            op("Cast", "values", &["cast"]),
            op("Mul", "cast", &["product"]).bytes(1, "minus_one"),
            op("ZipMap", "product", &["y"]),
            op("Mul", "product", &["p"]),
        ];
        let [y, p] = origins(nodes);
        assert_eq!((y.value.as_str(), y.operator.as_deref()), ("product", Some("Mul")));
        assert_eq!((y.machine, y.scaled), (None, expected));
        // One product behind another is another thing.
        assert_eq!(p.scaled, None);
    };
    check(&[vectors(), probabilities()], Some(Machine::Probabilities));
    check(&[vectors()], Some(Machine::Reversed));
}

#[test]
fn columns_of_one_value_have_it_as_their_origin() {
    let nodes = vec![
        op("LinearClassifier", "x", &["label", "probabilities"]),
        op("Slice", "probabilities", &["first"]),
        op("Slice", "probabilities", &["second"]),
        op("Reshape", "first", &["y"]),
        op("Reshape", "second", &["p"]),
    ];
    for origin in origins(nodes) {
        assert_eq!((origin.value.as_str(), origin.place), ("probabilities", 1));
    }
}
