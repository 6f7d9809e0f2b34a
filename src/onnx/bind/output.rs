//! Which of a graph's outputs is the score, and why: by what the graph does, by types, names and widths.
//!
//! An output that repeats an input is none, nor is a label. Outputs that are columns of one value are a classifier's, one for each class in
//! their order; they are chosen together, for their names are those of the classes. Two values that nothing tells apart are refused.

mod candidate;
#[cfg(test)]
mod tests;

use super::{Error, names};
use crate::onnx::scan::{Element, Kind, Machine, Origin, Port, Summary};
use candidate::{Candidate, candidates};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) output: String,
    /// For the caller to read.
    pub(super) reason: String,
    /// Which part of the output is the score, unless the graph says it itself.
    pub(super) part: &'static str,
    /// The score is a value, and no probability.
    pub(super) is_value: bool,
    /// The output has one value for each row, so no column of it is a class.
    pub(super) is_single: bool,
    /// Of two columns the first is the second class's.
    pub(super) is_reversed: bool,
    /// Where each class has an output: which one of how many the score is of.
    pub(super) class: Option<(usize, usize)>,
}

pub(super) fn choose(summary: &Summary, wanted: Option<&str>) -> Result<Chosen, Error> {
    let outputs: Vec<Output> = summary
        .outputs
        .iter()
        .enumerate()
        .map(|(index, port)| Output {
            port,
            origin: summary.origins.get(index),
            has_classes: summary.classes.is_some(),
        })
        .collect();
    match wanted {
        Some(wanted) => named(&outputs, wanted),
        None => found(&outputs),
    }
}

#[derive(Clone, Copy)]
struct Output<'a> {
    port: &'a Port,
    origin: Option<&'a Origin>,
    has_classes: bool,
}

fn named(outputs: &[Output], wanted: &str) -> Result<Chosen, Error> {
    let ports = outputs.iter().map(|output| output.port);
    let output = outputs
        .iter()
        .find(|output| output.port.name == wanted)
        .ok_or_else(|| Error::UnknownOutput { output: wanted.to_owned(), outputs: names(ports) })?;
    if let Some(why) = output.why_no_score() {
        return Err(Error::NotAScore { output: wanted.to_owned(), why });
    }
    let may_be_columns = outputs.iter().copied().filter(Output::may_have_fractions);
    let class = candidates(may_be_columns).iter().find_map(|candidate| candidate.class_of(wanted));
    Ok(Chosen { class, ..output.chosen("it was asked for by name".to_owned()) })
}

/// A classifier's ZipMap, else what is called a probability, else a score, else any output of fractions.
fn found(outputs: &[Output]) -> Result<Chosen, Error> {
    let (echoes, others): (Vec<Output>, Vec<Output>) =
        outputs.iter().copied().partition(Output::is_echo);
    // Of one output alone nothing is to be chosen.
    let (left, n_echoes) =
        if outputs.len() == 1 { (outputs.to_vec(), 0) } else { (others, echoes.len()) };
    let left_out = match n_echoes {
        0 => String::new(),
        1 => "; one output repeats inputs".to_owned(),
        n => format!("; {n} outputs repeat inputs"),
    };
    let has_probability = |output: &Output| output.is_map() || output.lower_name().contains("prob");
    let nearest = left.iter().find(|output| output.is_nearest());
    if let Some(nearest) = nearest.filter(|_| !left.iter().any(has_probability)) {
        if nearest.why_no_score().is_some() {
            return Err(no_score(outputs));
        }
        let reason = format!("it says which of several distances is the least{left_out}");
        return Ok(Chosen { is_value: true, ..nearest.chosen(reason) });
    }
    if let Some(map) = left.iter().find(|output| output.is_map()) {
        return map.unscaled(format!("it has a value for each class{left_out}"));
    }
    let mut fractions: Vec<Output> = left.iter().copied().filter(Output::has_fractions).collect();
    if fractions.is_empty() {
        fractions = left.into_iter().filter(Output::is_untyped).collect();
    }
    let fractions = candidates(fractions.into_iter());
    let unlabelled: Vec<&Candidate> =
        fractions.iter().filter(|candidate| !candidate.is_label()).collect();
    let by_name = |words: &[&str]| -> Vec<&Candidate> {
        unlabelled.iter().filter(|candidate| candidate.is_called(words)).copied().collect()
    };
    let ranks = [
        (by_name(&["prob"]), "it is called a probability"),
        (by_name(&["score", "predict"]), "it is called a score"),
        (unlabelled.clone(), "no other output has fractions"),
        (fractions.iter().collect(), "no other output has fractions"),
    ];
    for (found, reason) in ranks {
        match found[..] {
            [] => {}
            [only] => return only.chosen(reason, &left_out),
            _ => {
                let mut narrow = found.iter().filter(|candidate| !candidate.is_wide());
                return match (narrow.next(), narrow.next()) {
                    (Some(only), None) if only.is_narrow() => {
                        only.chosen("it alone has one fraction for each row", &left_out)
                    }
                    _ => Err(Error::SeveralScores {
                        outputs: found.iter().flat_map(|candidate| candidate.names()).collect(),
                    }),
                };
            }
        }
    }
    Err(no_score(outputs))
}

fn no_score(outputs: &[Output]) -> Error {
    let (mut reasons, mut possible) = (Vec::new(), Vec::new());
    for output in outputs {
        let name = &output.port.name;
        let why = output.why_no_score().unwrap_or_else(|| {
            possible.push(name.clone());
            let why = match output {
                _ if output.is_echo() => "repeats an input",
                _ if output.has_fractions() => "has distances",
                _ => "has no fractions",
            };
            why.to_owned()
        });
        reasons.push(format!("\"{name}\" {why}"));
    }
    Error::NoScore { reasons, possible }
}

impl Output<'_> {
    /// Unless it is the probabilities of a support vector machine times a number: skl2onnx multiplies them by -1.
    fn unscaled(&self, reason: String) -> Result<Chosen, Error> {
        if self.is_scaled() {
            return Err(Error::ScaledProbabilities { output: self.port.name.clone() });
        }
        Ok(self.chosen(reason))
    }

    fn chosen(&self, mut reason: String) -> Chosen {
        let (is_reversed, is_value) = (self.machine() == Some(Machine::Reversed), self.is_value());
        let is_single = self.n_columns() == Some(1);
        if self.is_untyped() {
            reason.push_str("; the graph does not say of what type it is");
        }
        if is_reversed {
            reason.push_str(
                "; it has decision values of a support vector machine, whose two columns ONNX Runtime writes the wrong way round",
            );
        } else if is_value {
            reason.push_str("; its values are no probabilities");
        }
        let part = match self.n_columns() {
            _ if self.is_map() && is_reversed => {
                "; the score is the first class's value, which is high for the last class"
            }
            _ if self.is_map() => "; the score is the last class's",
            Some(2) if is_reversed => {
                "; the score is its first column, which is high for the last class"
            }
            Some(2..) => "; the score is its last column",
            _ => "",
        };
        let output = self.port.name.clone();
        Chosen { output, reason, part, is_value, is_single, is_reversed, class: None }
    }

    /// No probability: a regressor's value, or a classifier's before it is made one.
    fn is_value(&self) -> bool {
        // What skl2onnx calls the values of a regressor.
        if !self.has_classes && ["variable", "GPmean"].contains(&self.port.name.as_str()) {
            return true;
        }
        let Some(origin) = self.origin else { return false };
        let is_plain = origin.post_transform.as_ref().is_none_or(|transform| transform == "NONE");
        let reckons_value = origin.operator.as_ref().is_some_and(|operator| {
            operator.ends_with("Regressor") || operator == "LinearClassifier" && origin.place == 1
        });
        let has_values = matches!(origin.machine, Some(Machine::Values | Machine::Reversed));
        is_plain && (reckons_value || has_values) || self.is_scaled()
    }

    fn is_map(&self) -> bool {
        let is_made_a_map = self.origin.is_some_and(|origin| origin.is_map);
        matches!(self.port.kind, Kind::MapSequence { .. }) || self.is_untyped() && is_made_a_map
    }

    fn is_echo(&self) -> bool {
        self.origin.is_some_and(|origin| origin.is_echo)
    }

    fn machine(&self) -> Option<Machine> {
        self.origin.and_then(|origin| origin.machine)
    }

    fn is_scaled(&self) -> bool {
        self.origin.is_some_and(|origin| origin.scaled == Some(Machine::Probabilities))
    }

    fn has_fractions(&self) -> bool {
        matches!(self.port.kind, Kind::Tensor { element, .. } if element.is_fraction())
    }

    /// ONNX Runtime finds out the type of an output that has none in the graph.
    fn is_untyped(&self) -> bool {
        self.port.kind == Kind::Unknown
    }

    fn may_have_fractions(&self) -> bool {
        self.has_fractions() || self.is_untyped()
    }

    fn is_whole(&self) -> bool {
        matches!(self.port.kind, Kind::Tensor { element, .. } if element.is_whole())
    }

    /// Why it cannot be the score, whoever asks for it.
    fn why_no_score(&self) -> Option<String> {
        let is_numbers = self.is_map() || self.may_have_fractions() || self.is_whole();
        match &self.port.kind {
            Kind::Tensor { element: Element::String, .. } => Some("holds text".to_owned()),
            Kind::Tensor { .. } if !is_numbers => {
                Some("holds values of a type that cannot be read".to_owned())
            }
            _ if !is_numbers => Some("is no tensor".to_owned()),
            _ => match self.n_columns() {
                Some(0) => Some("has no value for a row".to_owned()),
                Some(n @ 2..) if self.is_whole() => {
                    Some(format!("has {n} whole numbers for each row"))
                }
                _ => None,
            },
        }
    }

    /// How many values it has for each row; None where the graph leaves it open.
    fn n_columns(&self) -> Option<i64> {
        let Kind::Tensor { ranked: true, shape, .. } = &self.port.kind else { return None };
        let columns = shape.get(1..).unwrap_or_default();
        columns.iter().try_fold(1_i64, |n, &dimension| n.checked_mul(dimension?))
    }

    /// The label of a clustering: the distances are beside it, and none of them is a score.
    fn is_nearest(&self) -> bool {
        let is_of_row = self.origin.is_some_and(|origin| {
            // Along the first dimension it would be the nearest row.
            origin.operator.as_deref() == Some("ArgMin")
                && origin.axis.is_some_and(|axis| axis != 0)
        });
        is_of_row && !self.has_fractions() && self.n_columns().is_none_or(|n| n == 1)
    }

    fn is_label(&self) -> bool {
        let is_first_of_classifier = self.origin.is_some_and(|origin| {
            let operator = origin.operator.as_ref();
            origin.place == 0 && operator.is_some_and(|operator| operator.ends_with("Classifier"))
        });
        is_first_of_classifier || self.lower_name().contains("label")
    }

    fn lower_name(&self) -> String {
        self.port.name.to_lowercase()
    }
}
