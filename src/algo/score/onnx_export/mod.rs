//! A scorer as one ONNX graph: one named input per column, encoding included, as skl2onnx writes pipelines.
//!
//! Inputs are [N, 1], float for numbers (NaN is missing) and string for text; outputs are `label` [N] and `probabilities`
//! [N, 2] float in the order of the classes, without ZipMap. The graph computes in double from the first step, so it
//! differs from native scoring only by what the float input lost of a number (a relative 6e-8) and the float result.
//! Text has no missing value in ONNX: the empty string stands for it, or another mark where "" is a level of its own.

mod graph;
mod protobuf;

use graph::{Graph, ML, Type, int_attribute, ints_attribute, strings_attribute};

use super::pipeline::{Input, Kind, STANDARDISED_LIMIT, Slots};
use super::scorer::Scorer;

#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    pub onnx: Vec<u8>,
    /// `label`, or with underscores behind where an input has that name.
    pub label_output: String,
    /// `probabilities`, likewise.
    pub probabilities_output: String,
    /// For each text input the string that stands for a missing value; also in the model's metadata.
    pub missing_text: Vec<(String, String)>,
}

/// The metadata key of the missing mark of a text input is this and the input's name.
pub const MISSING_TEXT_KEY: &str = "persona.missing_text.";

/// Writes the graph; `scorer` must have passed its check.
pub fn export(scorer: &Scorer) -> Export {
    let names = Names::new(&scorer.inputs);
    let mut graph = Graph::default();
    let mut missing_text = Vec::new();
    let mut numbers = Numbers::default();
    let mut parts = Vec::new();
    let mut start = 0;
    for (input_idx, input) in scorer.inputs.iter().enumerate() {
        let weights = &scorer.coefficients[start..start + input.width()];
        start += input.width();
        match &input.kind {
            &Kind::Number { mean, center, scale } => {
                graph.input(&input.name, Type::Float);
                numbers.push(&input.name, mean, center, scale, weights[0]);
            }
            kind @ Kind::Category { .. } => {
                graph.input(&input.name, Type::String);
                let mark = missing_mark(kind);
                graph.metadata(&format!("{MISSING_TEXT_KEY}{}", input.name), &mark);
                let part = names.inner(&format!("text_{input_idx}"));
                parts.push(add_category(&mut graph, &input.name, kind, weights, &mark, &part));
                missing_text.push((input.name.clone(), mark));
            }
        }
    }
    parts.extend(numbers.add(&mut graph, &names));
    let intercept = graph.doubles(&names.inner("intercept"), &[1, 1], &[scorer.intercept]);
    let sum = parts.into_iter().reduce(|sum, part| {
        let output = format!("{part}_sum");
        graph.node(ONNX_ADD, &[&sum, &part], &output, vec![])
    });
    let logit = sum.map_or(intercept.clone(), |sum| {
        graph.node(ONNX_ADD, &[&sum, &intercept], &names.inner("logit"), vec![])
    });
    add_probabilities(&mut graph, scorer, &names, &logit);
    add_label(&mut graph, scorer, &names);
    graph.metadata("persona.positive_class", scorer.positive_class());
    graph.metadata("persona.classes", &serde_json::json!(scorer.classes).to_string());
    let doc = format!(
        "Logistic regression learnt from {} rows; the positive class is {:?}.",
        scorer.n_rows,
        scorer.positive_class()
    );
    Export {
        onnx: graph.into_model("persona_scorer", &doc),
        label_output: names.label,
        probabilities_output: names.probabilities,
        missing_text,
    }
}

const ONNX_ADD: (&str, &str) = ("", "Add");

/// Names that no input bears: ONNX wants every value of a graph to have its own.
struct Names {
    prefix: String,
    label: String,
    probabilities: String,
}

impl Names {
    fn new(inputs: &[Input]) -> Self {
        let taken = |test: &dyn Fn(&str) -> bool| inputs.iter().any(|input| test(&input.name));
        let free = |name: &str| {
            let mut name = name.to_owned();
            while taken(&|input| input == name) {
                name.push('_');
            }
            name
        };
        let mut prefix = "persona_".to_owned();
        while taken(&|input| input.starts_with(&prefix)) {
            prefix.push('_');
        }
        Self { prefix, label: free("label"), probabilities: free("probabilities") }
    }

    fn inner(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// The string that stands for missing: the empty one, as skl2onnx has it, unless the fit saw it as a value.
fn missing_mark(kind: &Kind) -> String {
    let Kind::Category { levels, .. } = kind else { return String::new() };
    let mut mark = String::new();
    while levels.contains(&mark) {
        mark = if mark.is_empty() { "<missing>".to_owned() } else { format!("<{mark}>") };
    }
    mark
}

/// The weight of each text value, [N, 1] double: value -> slot -> weight; one more slot holds the 0 of "all zero".
fn add_category(
    graph: &mut Graph,
    input: &str,
    kind: &Kind,
    weights: &[f64],
    mark: &str,
    part: &str,
) -> String {
    let slots = Slots::new(kind);
    let zero = weights.len();
    let Kind::Category { levels, .. } = kind else { return String::new() };
    let keys = levels.iter().map(String::as_str).chain([mark]);
    let missing = slots.missing().unwrap_or(zero);
    let values = (0..levels.len()).chain([missing]).map(|slot| slot as i64);
    let default = slots.other().unwrap_or(zero) as i64;
    let slot = graph.node(
        (ML, "LabelEncoder"),
        &[input],
        &format!("{part}_slot"),
        vec![
            strings_attribute("keys_strings", keys),
            ints_attribute("values_int64s", values),
            int_attribute("default_int64", default),
        ],
    );
    let with_zero = [weights, &[0.0]].concat();
    let table = graph.doubles(&format!("{part}_weights"), &[with_zero.len() as i64], &with_zero);
    graph.node(("", "Gather"), &[&table, &slot], part, vec![int_attribute("axis", 0)])
}

/// The numeric inputs side by side, one vector each for what happens to them.
#[derive(Default)]
struct Numbers<'a> {
    names: Vec<&'a str>,
    filled: Vec<f64>,
    centers: Vec<f64>,
    scales: Vec<f64>,
    weights: Vec<f64>,
}

impl<'a> Numbers<'a> {
    fn push(&mut self, name: &'a str, mean: f64, center: f64, scale: f64, weight: f64) {
        self.names.push(name);
        self.filled.push(super::pipeline::standardise(f64::NAN, mean, center, scale));
        self.centers.push(center);
        self.scales.push(scale);
        self.weights.push(weight);
    }

    /// What the numbers add to the log-odds, [N, 1] double; none without numbers.
    fn add(&self, graph: &mut Graph, names: &Names) -> Option<String> {
        let n = self.names.len() as i64;
        if n == 0 {
            return None;
        }
        let name = |name: &str| names.inner(name);
        let concat = vec![int_attribute("axis", 1)];
        let raw = graph.node(("", "Concat"), &self.names, &name("numbers"), concat);
        let double = vec![int_attribute("to", Type::Double as i64)];
        let raw = graph.node(("", "Cast"), &[&raw], &name("numbers_double"), double);
        let centers = graph.doubles(&name("centers"), &[1, n], &self.centers);
        let centred = graph.node(("", "Sub"), &[&raw, &centers], &name("centred"), vec![]);
        let scales = graph.doubles(&name("scales"), &[1, n], &self.scales);
        let scaled = graph.node(("", "Div"), &[&centred, &scales], &name("scaled"), vec![]);
        let missing = graph.node(("", "IsNaN"), &[&scaled], &name("is_missing"), vec![]);
        let filled = graph.doubles(&name("filled"), &[1, n], &self.filled);
        let whole =
            graph.node(("", "Where"), &[&missing, &filled, &scaled], &name("whole"), vec![]);
        let low = graph.doubles(&name("low"), &[], &[-STANDARDISED_LIMIT]);
        let high = graph.doubles(&name("high"), &[], &[STANDARDISED_LIMIT]);
        let held = graph.node(("", "Clip"), &[&whole, &low, &high], &name("held"), vec![]);
        let weights = graph.doubles(&name("number_weights"), &[n, 1], &self.weights);
        Some(graph.node(("", "MatMul"), &[&held, &weights], &name("number_part"), vec![]))
    }
}

fn add_probabilities(graph: &mut Graph, scorer: &Scorer, names: &Names, logit: &str) {
    let negated = graph.node(("", "Neg"), &[logit], &names.inner("negated"), vec![]);
    // 1 - p would lose the small probabilities.
    let sides = if scorer.positive == 1 { [&*negated, logit] } else { [logit, &*negated] };
    let concat = vec![int_attribute("axis", 1)];
    let sides = graph.node(("", "Concat"), &sides, &names.inner("sides"), concat);
    let double = graph.node(("", "Sigmoid"), &[&sides], &names.inner("double"), vec![]);
    let float = vec![int_attribute("to", Type::Float as i64)];
    graph.node(("", "Cast"), &[&double], &names.probabilities, float);
    graph.output(&names.label, label_type(scorer), None);
    graph.output(&names.probabilities, Type::Float, Some(2));
}

fn label_type(scorer: &Scorer) -> Type {
    if whole_classes(scorer).is_some() { Type::Int64 } else { Type::String }
}

/// Classes written as whole numbers become int64 labels, as scikit-learn's do.
fn whole_classes(scorer: &Scorer) -> Option<Vec<i64>> {
    let whole =
        |class: &String| class.parse().ok().filter(|number: &i64| number.to_string() == *class);
    scorer.classes.iter().map(whole).collect()
}

/// The more probable class; the first of the two where they are equal.
fn add_label(graph: &mut Graph, scorer: &Scorer, names: &Names) {
    let attributes = vec![int_attribute("axis", 1), int_attribute("keepdims", 0)];
    let double = names.inner("double");
    let winner = graph.node(("", "ArgMax"), &[&double], &names.inner("winner"), attributes);
    match whole_classes(scorer) {
        Some(classes) => {
            let classes = graph.int64s(&names.inner("classes"), &[2], &classes);
            let axis = vec![int_attribute("axis", 0)];
            graph.node(("", "Gather"), &[&classes, &winner], &names.label, axis);
        }
        None => {
            let attributes = vec![
                ints_attribute("keys_int64s", [0, 1]),
                strings_attribute("values_strings", scorer.classes.iter().map(String::as_str)),
            ];
            graph.node((ML, "LabelEncoder"), &[&winner], &names.label, attributes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::frame::{Column, Frame, MISSING, Values};
    use crate::algo::random::Random;
    use crate::algo::score::{Params, fit};
    use crate::algo::stop::Watch;

    struct Case {
        name: &'static str,
        scorer: Scorer,
        /// Rows to score: what the fit saw, unseen levels, missing values.
        frame: Frame,
    }

    fn cases() -> Vec<Case> {
        let offset = |x: f64| f64::from((1e6 + x) as f32);
        vec![
            case("mixed", ["x", "y", "city", "plan"], ["no", "yes"], None, |x| x),
            // Whole classes, the first of them positive, and names that the graph wants for itself.
            case(
                "names",
                ["label", "probabilities", "persona_logit", "ü ' \""],
                ["0", "1"],
                Some("0"),
                |x| x,
            ),
            case("offset", ["x", "y", "c", "d"], ["false", "true"], None, offset),
            case("huge", ["x", "y", "c", "d"], ["-5", "12"], None, |x| x * 1e37),
            numbers_only(),
            text_only(),
        ]
    }

    fn case(
        name: &'static str,
        names: [&str; 4],
        classes: [&str; 2],
        positive: Option<&str>,
        spread: impl Fn(f64) -> f64,
    ) -> Case {
        let n_rows = 600;
        let mut random = Random::new(2, 0);
        let (mut x, mut y, mut c, mut d, mut target) = (vec![], vec![], vec![], vec![], vec![]);
        let rare: Vec<String> = (0..60).map(|i| format!("rare {i}")).collect();
        for _ in 0..n_rows {
            let value = 6.0 * random.uniform() - 3.0;
            x.push(if random.below(5) == 0 { f64::NAN } else { spread(value) });
            y.push(random.below(4) as f64);
            let level = [Some("north"), Some("south"), Some(""), None][random.below(4)];
            c.push(level);
            let plan = ["basic", "plus", rare[random.below(60)].as_str()][random.below(3)];
            d.push(Some(plan));
            let up = if plan == "plus" { 0.8 } else { -0.2 };
            let bought = value + up + 3.0 * random.uniform() > 1.5;
            target.push(Some(classes[usize::from(bought)]));
        }
        let columns = vec![
            Column::number(names[0], x),
            Column::text(names[2], c),
            Column::number(names[1], y),
            Column::text(names[3], d),
        ];
        let frame = Frame { n_rows, columns };
        let mut scorer = fitted(&frame, &Column::text("y", target), positive);
        // Scored besides: levels that no fit saw, and missing where the fit had none.
        let mut frame = frame;
        if let Values::Text { codes, dictionary } = &mut frame.columns[3].values {
            codes[0] = dictionary.len() as u32;
            dictionary.push("unseen".into());
            codes[1] = MISSING;
        }
        if let Values::Text { codes, dictionary } = &mut frame.columns[1].values {
            codes[2] = dictionary.len() as u32;
            dictionary.push("unseen".into());
        }
        if name == "offset" {
            // As if by hand: a filled value other than the center.
            if let Kind::Number { mean, .. } = &mut scorer.inputs[0].kind {
                *mean += 1.0;
            }
        }
        Case { name, scorer, frame }
    }

    fn fitted(frame: &Frame, target: &Column, positive: Option<&str>) -> Scorer {
        let positive = positive.map(str::to_owned);
        let params = Params { positive, ..Params::default() }.check().unwrap();
        fit(frame, target, &params, &Watch::new()).unwrap().scorer
    }

    fn numbers_only() -> Case {
        let columns = vec![Column::number("x", (0..50).map(f64::from).collect())];
        let frame = Frame { n_rows: 50, columns };
        let target = Column::integer("y", (0..50).map(|i| i64::from(i % 3 == 0)).collect());
        Case { name: "numbers_only", scorer: fitted(&frame, &target, None), frame }
    }

    fn text_only() -> Case {
        let columns = vec![Column::text("c", (0..50).map(|i| ["a", "b", "c"].get(i % 4).copied()))];
        let frame = Frame { n_rows: 50, columns };
        let target = Column::integer("y", (0..50).map(|i| i64::from(i % 3 == 0)).collect());
        Case { name: "text_only", scorer: fitted(&frame, &target, None), frame }
    }

    /// What scripts/check_onnx_export.py compares: the rows, native scores, names and marks.
    fn expected_json(case: &Case, export: &Export) -> serde_json::Value {
        let cells = |column: &Column| match &column.values {
            Values::Number(values) => serde_json::json!(**values),
            Values::Integer(values) => serde_json::json!(**values),
            Values::Text { codes, dictionary } => {
                let level = |&code: &u32| dictionary.get(code as usize);
                serde_json::json!(codes.iter().map(level).collect::<Vec<_>>())
            }
        };
        let columns = case.frame.columns.iter().map(|column| (column.name.clone(), cells(column)));
        serde_json::json!({
            "columns": columns.collect::<serde_json::Map<_, _>>(),
            "missing_text": export.missing_text.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "label_output": export.label_output,
            "probabilities_output": export.probabilities_output,
            "classes": case.scorer.classes,
            "positive": case.scorer.positive,
            "scores": case.scorer.score_frame(&case.frame, &Watch::new()).unwrap(),
        })
    }

    /// With PERSONA_ONNX_DUMP=dir it leaves the graphs and their expected scores there for the script.
    #[test]
    fn every_case_exports() {
        let dump = std::env::var_os("PERSONA_ONNX_DUMP").map(std::path::PathBuf::from);
        for case in cases() {
            let exported = export(&case.scorer);
            assert_eq!(exported, export(&case.scorer));
            let expected = expected_json(&case, &exported);
            let Some(dir) = &dump else { continue };
            std::fs::create_dir_all(dir).unwrap();
            std::fs::write(dir.join(case.name).with_extension("onnx"), &exported.onnx).unwrap();
            let json = serde_json::to_string(&expected).unwrap();
            std::fs::write(dir.join(case.name).with_extension("json"), json).unwrap();
        }
    }

    #[test]
    fn names_of_the_graph_give_way_to_those_of_inputs() {
        let case = cases().remove(1);
        let exported = export(&case.scorer);
        assert_eq!(exported.label_output, "label_");
        assert_eq!(exported.probabilities_output, "probabilities_");
        assert_eq!(Names::new(&case.scorer.inputs).prefix, "persona__");
    }

    #[test]
    fn the_empty_string_stands_for_missing_unless_it_is_a_level() {
        let exported = export(&cases().remove(0).scorer);
        let expected = [("city", "<missing>"), ("plan", "")];
        assert_eq!(exported.missing_text, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        let levels = ["", "<missing>"].map(String::from).to_vec();
        let kind = Kind::Category { levels, missing: true, other: false };
        assert_eq!(missing_mark(&kind), "<<missing>>");
    }
}
