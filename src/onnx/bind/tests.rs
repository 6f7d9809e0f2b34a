//! Inputs and outputs of graphs, and what is refused.

use super::*;
use crate::algo::frame::{Column, Frame};
use crate::algo::score::{Params, fit};
use crate::algo::stop::Watch;
use crate::onnx::scan::scan;

fn tensor(name: &str, element: Element, shape: &[Option<i64>]) -> Port {
    let shape = shape.to_vec();
    Port { name: name.into(), kind: Kind::Tensor { element, ranked: true, shape } }
}

fn model(inputs: Vec<Port>, outputs: Vec<Port>) -> Summary {
    Summary {
        ir_version: 8,
        opsets: vec![],
        producer: String::new(),
        producer_version: String::new(),
        graph: String::new(),
        inputs,
        outputs,
        origins: vec![],
        classes: None,
        quantises_batches: false,
        metadata: vec![],
    }
}

fn classifier() -> Vec<Port> {
    vec![
        tensor("label", Element::Int64, &[None]),
        tensor("scores", Element::Float, &[None, Some(2)]),
        tensor("probabilities", Element::Float, &[None, Some(2)]),
    ]
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[track_caller]
fn check_error(inputs: Vec<Port>, features: Option<&[&str]>, expected: Error) {
    let features = features.map(strings);
    assert_eq!(bind(&model(inputs, classifier()), None, features.as_deref()), Err(expected));
}

#[test]
fn inputs_bind_to_the_columns_of_their_names() {
    let one = Some(1);
    let inputs = vec![
        tensor("age", Element::Float, &[None, one]),
        tensor("city", Element::String, &[None, one]),
        tensor("n", Element::Int64, &[None]),
        tensor("open", Element::Double, &[None, None]),
    ];
    let bound = bind(&model(inputs, classifier()), None, None).unwrap();
    let columns: Vec<_> = bound.columns().collect();
    let expected = [
        ("age", Takes::Float),
        ("city", Takes::Text),
        ("n", Takes::Whole),
        ("open", Takes::Double),
    ];
    assert_eq!(columns, expected);
    assert_eq!((bound.output.as_str(), bound.class), ("probabilities", None));
}

#[test]
fn a_tensor_takes_the_names_that_are_given() {
    let input = || vec![tensor("X", Element::Float, &[None, Some(2)])];
    let names = strings(&["a", "b"]);
    let bound = bind(&model(input(), classifier()), None, Some(&names)).unwrap();
    assert_eq!(bound.inputs[0].columns, names);
    let unnamed = Error::UnnamedColumns { input: "X".into(), n: 2 };
    check_error(input(), None, unnamed);
    let inputs = strings(&["X"]);
    let wrong = Error::WrongNumberOfNames { inputs, expected: 2, found: 1 };
    check_error(input(), Some(&["a"]), wrong);
    check_error(input(), Some(&["a", "a"]), Error::DuplicateName { name: "a".into() });
    let open = vec![tensor("X", Element::Float, &[None, None])];
    check_error(open, None, Error::OpenWidth { input: "X".into() });
}

#[test]
fn graphs_that_cannot_be_bound_are_refused() {
    check_error(vec![], None, Error::NoInputs);
    let open = tensor("i", Element::Float, &[None, Some(3), None]);
    check_error(vec![open], None, Error::OpenDimensions { input: "i".into(), n: 3 });
    let other = tensor("h", Element::Other, &[None, Some(1)]);
    check_error(vec![other], None, Error::UnsupportedElement { input: "h".into() });
    let sequence = Port { name: "s".into(), kind: Kind::Other };
    check_error(vec![sequence], None, Error::UnsupportedInput { input: "s".into() });
    let scalar = tensor("x", Element::Float, &[]);
    check_error(vec![scalar], None, Error::NoRows { input: "x".into() });
    for dimensions in [&[None, Some(0)][..], &[None, Some(0), Some(2)]] {
        let empty = tensor("e", Element::Float, dimensions);
        check_error(vec![empty], None, Error::NoColumns { input: "e".into() });
    }
    let vector = || vec![tensor("v", Element::Float, &[Some(2)])];
    check_error(vector(), Some(&["a", "b"]), Error::OneDimension { input: "v".into() });
    let tokens = ["ids", "mask"].map(|name| tensor(name, Element::Int64, &[None, None])).to_vec();
    let (input, other) = ("ids".to_owned(), "mask".to_owned());
    check_error(tokens, Some(&["a", "b", "c"]), Error::OpenWidths { input, other });
    let one = Some(1);
    let batches = [(Some(4), "a"), (None, "b"), (Some(8), "c")]
        .map(|(n, name)| tensor(name, Element::Float, &[n, one]))
        .to_vec();
    let (input, other) = ("a".to_owned(), "c".to_owned());
    check_error(batches, None, Error::DifferentRows { input, n: 4, other, other_n: 8 });
    let name = "n".repeat(64);
    let long = tensor(&name, Element::Float, &[None, Some(1)]);
    check_error(vec![long], None, Error::LongName { name });
}

#[test]
fn names_are_of_the_columns_of_all_inputs_in_their_order() {
    let wide = || tensor("w", Element::Half, &[None, Some(3)]);
    let texts = || tensor("t", Element::String, &[None, Some(2)]);
    let open = || tensor("o", Element::Uint8, &[None, None]);
    let image = || tensor("i", Element::Float, &[None, Some(2), Some(2)]);
    let bound = |inputs: Vec<Port>, names: &[&str]| {
        let bound = bind(&model(inputs, classifier()), None, Some(&strings(names)))?;
        Ok(bound.inputs.into_iter().map(|input| input.columns).collect::<Vec<_>>())
    };
    let wrong = |inputs: &[&str], expected, found| {
        Err(Error::WrongNumberOfNames { inputs: strings(inputs), expected, found })
    };
    let parted = [strings(&["a", "b", "c"]), strings(&["d", "e"])];
    assert_eq!(bound(vec![wide(), texts()], &["a", "b", "c", "d", "e"]).unwrap(), parted);
    assert_eq!(bound(vec![wide(), open()], &["a", "b", "c", "d", "e"]).unwrap(), parted);
    assert_eq!(bound(vec![wide(), open()], &["a", "b"]), wrong(&["w", "o"], 4, 2));
    assert_eq!(bound(vec![wide(), texts()], &["a"]), wrong(&["w", "t"], 5, 1));
    assert_eq!(bound(vec![image()], &["a", "b", "c", "d"]).unwrap().len(), 1);
    // Another name than the graph's own, as one that no column can have.
    let long = tensor(&"n".repeat(99), Element::Float, &[None, Some(1)]);
    assert_eq!(bound(vec![long], &["age"]).unwrap(), [strings(&["age"])]);
    let unnamed = Error::UnnamedColumns { input: "w".into(), n: 3 };
    check_error(vec![wide(), texts()], None, unnamed);
}

#[test]
fn the_score_is_the_probability_or_the_value_unless_another_output_is_named() {
    let input = || vec![tensor("a", Element::Float, &[None, Some(1)])];
    let output = |outputs: Vec<Port>, wanted: Option<&str>| {
        bind(&model(input(), outputs), wanted, None).map(|bound| bound.output)
    };
    assert_eq!(output(classifier(), None).unwrap(), "probabilities");
    assert_eq!(output(classifier(), Some("label")).unwrap(), "label");
    let map = Kind::MapSequence { key: Element::Int64, value: Element::Float };
    let zipmap = Port { name: "zip".into(), kind: map };
    let outputs = [classifier(), vec![zipmap]].concat();
    assert_eq!(output(outputs, None).unwrap(), "zip");
    let value = vec![tensor("variable", Element::Float, &[None, Some(1)])];
    assert_eq!(output(value, None).unwrap(), "variable");
    let unknown = output(classifier(), Some("x")).unwrap_err();
    let outputs = strings(&["label", "scores", "probabilities"]);
    assert_eq!(unknown, Error::UnknownOutput { output: "x".into(), outputs });
    let label = || vec![tensor("label", Element::String, &[None])];
    let none = Error::NoScore { reasons: strings(&["\"label\" holds text"]), possible: vec![] };
    assert_eq!(output(label(), None), Err(none));
    let error = Error::NotAScore { output: "label".into(), why: "holds text".into() };
    assert_eq!(output(label(), Some("label")), Err(error));
}

#[test]
fn an_export_of_ours_says_its_positive_class_and_its_missing_texts() {
    let texts = [Some(""), Some("a"), None, Some("a"), Some(""), None];
    let frame = Frame { n_rows: 6, columns: vec![Column::text("c", texts)] };
    let target = Column::text("y", ["no", "yes", "no", "yes", "yes", "no"].map(Some));
    let params = Params { positive: Some("no".into()), holdout: 0.0, ..Params::default() };
    let fit = fit(&frame, &target, &params.check().unwrap(), &Watch::new()).unwrap();
    let summary = scan(&crate::onnx::export::export(&fit.scorer).unwrap().onnx).unwrap();
    let bound = bind(&summary, None, None).unwrap();
    assert_eq!((bound.output.as_str(), bound.class), ("probabilities", Some(0)));
    assert_eq!(bound.inputs[0].missing, "<missing>");
}
