//! Outputs and origins of the shapes that exporters write, and which of them is the score.

use super::*;
use crate::onnx::scan::Element;

fn fractions(name: &str, width: Option<i64>) -> Port {
    let shape = vec![None, width];
    let kind = Kind::Tensor { element: Element::Float, ranked: true, shape };
    Port { name: name.into(), kind }
}

fn whole(name: &str, width: i64) -> Port {
    let shape = vec![None, Some(width)];
    let kind = Kind::Tensor { element: Element::Int64, ranked: true, shape };
    Port { name: name.into(), kind }
}

/// The first `n_echoes` outputs repeat inputs.
fn chosen(outputs: Vec<Port>, n_echoes: usize, wanted: Option<&str>) -> Result<String, Error> {
    let origin = |index| Origin { is_echo: index < n_echoes, ..Origin::default() };
    let origins = (0..outputs.len()).map(origin).collect();
    of_origins(outputs, origins, wanted).map(|chosen| chosen.output)
}

fn of_origins(
    outputs: Vec<Port>,
    origins: Vec<Origin>,
    wanted: Option<&str>,
) -> Result<Chosen, Error> {
    let summary = Summary {
        ir_version: 8,
        opsets: vec![],
        producer: String::new(),
        producer_version: String::new(),
        graph: String::new(),
        inputs: vec![],
        origins,
        outputs,
        classes: None,
        quantises_batches: false,
        metadata: vec![],
    };
    choose(&summary, wanted)
}

#[track_caller]
fn check(outputs: Vec<Port>, n_echoes: usize, expected: &str) {
    assert_eq!(chosen(outputs, n_echoes, None).as_deref(), Ok(expected));
}

#[test]
fn names_widths_and_echoes_tell_the_score() {
    let one = Some(1);
    check(vec![fractions("a", one), fractions("b", one), fractions("s", None)], 2, "s");
    check(vec![fractions("Score", one), fractions("Probability", one)], 0, "Probability");
    check(vec![fractions("predicted_label", one), fractions("margin", one)], 0, "margin");
    check(vec![fractions("embedding", Some(64)), fractions("y", one)], 0, "y");
    check(vec![fractions("scores", Some(2)), fractions("hidden", Some(8))], 0, "scores");
    check(vec![fractions("y", one)], 1, "y");
}

fn from(operator: &str, value: &str) -> Origin {
    let operator = Some(operator.to_owned());
    Origin { operator, value: value.into(), place: 1, ..Origin::default() }
}

/// The outputs of these names are columns of one classifier's value.
fn columns(names: &[&str]) -> (Vec<Port>, Vec<Origin>) {
    let column = |name: &&str| (fractions(name, None), from("LinearClassifier", "p"));
    names.iter().map(column).unzip()
}

#[track_caller]
fn check_columns(names: &[&str], expected: &str) {
    let (outputs, origins) = columns(names);
    let chosen = of_origins(outputs, origins, None).unwrap();
    assert_eq!(chosen.output, expected);
    let told = format!("the last of {} columns of \"p\", one for each class", names.len());
    assert!(chosen.reason.contains(&told), "{}", chosen.reason);
    assert_eq!(chosen.class, Some((names.len() - 1, names.len())));
}

#[test]
fn names_of_classes_do_not_tell_the_score() {
    check_columns(&["no", "yes"], "yes");
    check_columns(&["sproblem", "sresolved"], "sresolved");
    check_columns(&["saccepted", "smislabelled"], "smislabelled");
    check_columns(&["smislabelled", "sok"], "sok");
    check_columns(&["shigh score", "sother"], "sother");
    check_columns(&["sother", "sprobable", "szero"], "szero");
    check_columns(&["prob_no", "prob_yes"], "prob_yes");
    let (outputs, origins) = columns(&["no", "yes", "maybe"]);
    let chosen = of_origins(outputs, origins, Some("yes")).unwrap();
    assert_eq!((chosen.output.as_str(), chosen.class), ("yes", Some((1, 3))));
}

#[test]
fn names_tell_between_values() {
    let (mut outputs, mut origins) = columns(&["sproblem", "sresolved"]);
    outputs.push(fractions("probability", Some(1)));
    origins.push(from("Sigmoid", "s"));
    let chosen = of_origins(outputs.clone(), origins.clone(), None).unwrap();
    assert_eq!((chosen.output.as_str(), chosen.class), ("probability", None));
    // Columns of a classifier, beside a wide value.
    outputs[2] = fractions("hidden", Some(64));
    let chosen = of_origins(outputs, origins, None).unwrap();
    assert_eq!(chosen.output, "sresolved");
}

#[test]
fn values_of_two_nodes_are_no_classes() {
    let both = || vec![from("LinearRegressor", "variable"), from("Sqrt", "std")];
    let outputs = vec![fractions("variable", Some(1)), fractions("std", None)];
    let several = Error::SeveralScores { outputs: names(&outputs) };
    assert_eq!(of_origins(outputs, both(), None), Err(several));
    // A table that the graph brings along is read twice.
    let of_table = || Origin { value: "table".into(), ..Origin::default() };
    let outputs = vec![fractions("one", None), fractions("two", None)];
    let several = Error::SeveralScores { outputs: names(&outputs) };
    assert_eq!(of_origins(outputs, vec![of_table(), of_table()], None), Err(several));
}

#[test]
fn the_values_of_a_support_vector_machine_are_read_the_right_way_round() {
    let machine = |machine| Origin { machine: Some(machine), ..from("SVMClassifier", "v") };
    let of = |port: Port, origin: Origin| of_origins(vec![port], vec![origin], None);
    let two = || fractions("probabilities", Some(2));
    let chosen = of(two(), machine(Machine::Reversed)).unwrap();
    assert!(chosen.is_reversed && chosen.is_value && chosen.reason.contains("wrong way round"));
    assert_eq!(chosen.part, "; the score is its first column, which is high for the last class");
    for (kind, is_value) in [(Machine::Probabilities, false), (Machine::Values, true)] {
        let chosen = of(two(), machine(kind)).unwrap();
        assert_eq!((chosen.is_reversed, chosen.is_value), (false, is_value));
    }
    let outputs = || vec![fractions("sno", None), fractions("syes", None)];
    let origins = || vec![machine(Machine::Reversed), machine(Machine::Reversed)];
    let chosen = of_origins(outputs(), origins(), None).unwrap();
    assert_eq!((chosen.output.as_str(), chosen.class), ("sno", Some((1, 2))));
    let chosen = of_origins(outputs(), origins(), Some("syes")).unwrap();
    assert_eq!((chosen.output.as_str(), chosen.class), ("syes", Some((0, 2))));
    let scaled = Origin { scaled: Some(Machine::Probabilities), ..from("Mul", "p") };
    let error = Error::ScaledProbabilities { output: "probabilities".into() };
    assert_eq!(of(two(), scaled.clone()), Err(error));
    let chosen = of_origins(vec![two()], vec![scaled], Some("probabilities")).unwrap();
    assert!(chosen.is_value);
}

#[test]
fn values_are_told_from_probabilities() {
    let is_value = |name: &str, origin: Origin| {
        let chosen = of_origins(vec![fractions(name, Some(1))], vec![origin], None).unwrap();
        assert_eq!(chosen.reason.contains("its values are no probabilities"), chosen.is_value);
        chosen.is_value
    };
    let logistic =
        Origin { post_transform: Some("LOGISTIC".into()), ..from("LinearClassifier", "p") };
    assert!(is_value("p", from("LinearClassifier", "p")) && !is_value("p", logistic));
    assert!(is_value("v", from("TreeEnsembleRegressor", "v")));
    assert!(is_value("variable", from("ReduceMean", "variable")));
    assert!(!is_value("y", from("Sigmoid", "y")));
}

#[test]
fn an_output_without_a_type_may_be_the_score() {
    let untyped = |name: &str| Port { name: name.into(), kind: Kind::Unknown };
    check(vec![untyped("probabilities")], 0, "probabilities");
    check(vec![untyped("output_label"), untyped("p")], 0, "p");
    check(vec![untyped("extra"), fractions("p", Some(1))], 0, "p");
    assert_eq!(chosen(vec![untyped("p")], 0, Some("p")).as_deref(), Ok("p"));
    // The first output of a classifier is its label, whatever its name.
    let label = Origin { place: 0, ..from("LinearClassifier", "class") };
    let origins = vec![label, from("LinearClassifier", "p")];
    let outputs = vec![untyped("class"), untyped("p")];
    assert_eq!(of_origins(outputs, origins, None).unwrap().output, "p");
    let map = Origin { is_map: true, ..from("Normalizer", "p") };
    let chosen = of_origins(vec![untyped("zip")], vec![map], None).unwrap();
    assert_eq!(chosen.part, "; the score is the last class's");
}

#[test]
fn what_no_output_tells_is_refused() {
    let wide = |name: &str| fractions(name, Some(3));
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let several = Err(Error::SeveralScores { outputs: names(&["one", "two"]) });
    assert_eq!(chosen(vec![wide("one"), wide("two")], 0, None), several);
    let reasons = names(&["\"a\" repeats an input", "\"label\" has no fractions"]);
    let none = Err(Error::NoScore { reasons, possible: names(&["a", "label"]) });
    assert_eq!(chosen(vec![fractions("a", Some(1)), whole("label", 1)], 1, None), none);
    let why = "has 10 whole numbers for each row".to_owned();
    let items = Err(Error::NotAScore { output: "items".into(), why });
    assert_eq!(chosen(vec![whole("items", 10)], 0, Some("items")), items);
    let sequence = Port { name: "probabilities".into(), kind: Kind::Other };
    let reasons =
        names(&["\"items\" has 10 whole numbers for each row", "\"probabilities\" is no tensor"]);
    let none = Err(Error::NoScore { reasons, possible: vec![] });
    assert_eq!(chosen(vec![whole("items", 10), sequence], 0, None), none);
    assert_eq!(chosen(vec![whole("label", 1)], 0, Some("label")).as_deref(), Ok("label"));
}

#[test]
fn the_nearest_of_several_distances_is_the_score_unless_there_are_probabilities() {
    let along = |axis| Origin { operator: Some("ArgMin".into()), axis, ..Origin::default() };
    let nearest = || along(Some(1));
    let of = |other: &str| {
        let outputs = vec![whole("label", 1), fractions(other, Some(3))];
        of_origins(outputs, vec![nearest(), Origin::default()], None).unwrap()
    };
    let label = of("scores");
    assert_eq!((label.output.as_str(), label.is_value), ("label", true));
    assert_eq!(of("probabilities").output, "probabilities");
    // Along the rows it is the nearest row, which is nobody's label.
    let outputs = || vec![whole("which", 1), fractions("y", Some(1))];
    let of_rows = of_origins(outputs(), vec![along(Some(0)), Origin::default()], None);
    assert_eq!(of_rows.unwrap().output, "y");
    // Labels that are texts leave the distances, of which none is a score.
    let text = Kind::Tensor { element: Element::String, ranked: true, shape: vec![None] };
    let named = vec![Port { name: "label".into(), kind: text }, fractions("scores", Some(3))];
    let refused = of_origins(named, vec![nearest(), Origin::default()], None);
    assert!(matches!(refused, Err(Error::NoScore { .. })), "{refused:?}");
}
