//! A scorer as one ONNX graph: one named input per column, encoding included, as skl2onnx writes pipelines.
//!
//! Inputs are [N, 1], double for numbers (NaN is missing) and string for text; outputs are `label` [N] and `probabilities`
//! [N, 2] double in the order of the classes, without ZipMap. All is double, so it differs from native scoring by the order of
//! the additions alone: as floats, time stamps of one day are one number.
//! Text has no missing value in ONNX: the empty string stands for it, or another mark where "" is a level of its own.

#[cfg(test)]
mod tests;

mod graph;
mod protobuf;

use graph::{Graph, ML, Type, int_attribute, ints_attribute, strings_attribute};

use crate::algo::score::Error;
use crate::algo::score::Scorer;
use crate::algo::score::inputs::{Input, Kind, STANDARDISED_LIMIT, Slots, standardise};

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
pub fn export(scorer: &Scorer) -> Result<Export, Error> {
    let linear = scorer.learner.linear().ok_or(Error::NotExportable)?;
    let names = Names::new(&scorer.inputs);
    let mut graph = Graph::default();
    let mut missing_text = Vec::new();
    let mut numbers = Numbers::default();
    let mut parts = Vec::new();
    let mut start = 0;
    for (input_idx, input) in scorer.inputs.iter().enumerate() {
        let weights = &linear.coefficients[start..start + input.width()];
        start += input.width();
        match &input.kind {
            &Kind::Number { mean, center, scale, .. } => {
                graph.input(&input.name, Type::Double);
                numbers.push(&input.name, (mean, center, scale), weights);
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
    let intercept = graph.doubles(&names.inner("intercept"), &[1, 1], &[linear.intercept]);
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
    Ok(Export {
        onnx: graph.into_model("persona_scorer", &doc),
        label_output: names.label,
        probabilities_output: names.probabilities,
        missing_text,
    })
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
    of_missing: Vec<f64>,
}

impl<'a> Numbers<'a> {
    /// `weights` are that of the number and, where it has an indicator, that of a missing one.
    fn push(&mut self, name: &'a str, (mean, center, scale): (f64, f64, f64), weights: &[f64]) {
        self.names.push(name);
        self.filled.push(standardise(f64::NAN, mean, center, scale));
        self.centers.push(center);
        self.scales.push(scale);
        self.weights.push(weights[0]);
        self.of_missing.push(weights.get(1).copied().unwrap_or(0.0));
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
        let part = graph.node(("", "MatMul"), &[&held, &weights], &name("number_part"), vec![]);
        if self.of_missing.iter().all(|weight| *weight == 0.0) {
            return Some(part);
        }
        let double = vec![int_attribute("to", Type::Double as i64)];
        let flags = graph.node(("", "Cast"), &[&missing], &name("missing_flags"), double);
        let weights = graph.doubles(&name("missing_weights"), &[n, 1], &self.of_missing);
        let of_missing =
            graph.node(("", "MatMul"), &[&flags, &weights], &name("missing_part"), vec![]);
        Some(graph.node(ONNX_ADD, &[&part, &of_missing], &name("numbers_part"), vec![]))
    }
}

fn add_probabilities(graph: &mut Graph, scorer: &Scorer, names: &Names, logit: &str) {
    let negated = graph.node(("", "Neg"), &[logit], &names.inner("negated"), vec![]);
    // 1 - p would lose the small probabilities.
    let sides = if scorer.positive == 1 { [&*negated, logit] } else { [logit, &*negated] };
    let concat = vec![int_attribute("axis", 1)];
    let sides = graph.node(("", "Concat"), &sides, &names.inner("sides"), concat);
    graph.node(("", "Sigmoid"), &[&sides], &names.probabilities, vec![]);
    graph.output(&names.label, label_type(scorer), None);
    graph.output(&names.probabilities, Type::Double, Some(2));
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
    let winner =
        graph.node(("", "ArgMax"), &[&names.probabilities], &names.inner("winner"), attributes);
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
