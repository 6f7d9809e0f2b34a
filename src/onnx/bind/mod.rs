//! Which columns go into a graph's inputs, and which of its outputs is the score.
//!
//! A graph has either one input per column, named as the column is (the convention of skl2onnx for data frames), or inputs of
//! several columns, all of which the caller names in their order. The score is the last class's probability or the value.

mod output;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::onnx::export::MISSING_TEXT_KEY;
use crate::onnx::scan::{Element, Kind, Port, Summary};
use crate::onnx::wire::MAX_ROWS;
use output::Chosen;

/// How rows go in and the score comes out; stored with the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    pub inputs: Vec<BoundInput>,
    /// The output that has the score.
    pub output: String,
    /// The column of that output, counted from 0; None for the last one.
    pub class: Option<usize>,
    /// Why it is this output.
    #[serde(default)]
    pub reason: String,
    /// The score is a value, and no probability.
    #[serde(default)]
    pub is_value: bool,
    /// What the graph calls its classes; the score is that of `positive`, or of the last one.
    #[serde(default)]
    pub classes: Option<Vec<String>>,
    /// The position of the score's class among the classes; None for the last one.
    #[serde(default)]
    pub positive: Option<usize>,
    /// Of two columns of the output the first is the last class's.
    #[serde(default)]
    pub is_reversed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundInput {
    /// The graph's name for it.
    pub name: String,
    pub element: Takes,
    /// More than one for a tensor of several columns.
    pub columns: Vec<String>,
    /// The text that stands for NULL.
    pub missing: String,
}

/// What an input takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Takes {
    Float,
    Double,
    Whole,
    Text,
}

/// Bytes of the name of a column.
const LONGEST_NAME: usize = 63;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("model has no inputs")]
    NoInputs,
    #[error("input \"{input}\" is no tensor")]
    UnsupportedInput { input: String },
    #[error("input \"{input}\" takes values of a type that cannot be given")]
    UnsupportedElement { input: String },
    #[error("input \"{input}\" has no dimension, and so none for the rows")]
    NoRows { input: String },
    #[error("input \"{input}\" takes no columns")]
    NoColumns { input: String },
    #[error(
        "input \"{input}\" has one dimension, which is that of the rows, and so takes one column"
    )]
    OneDimension { input: String },
    #[error(
        "inputs \"{input}\" and \"{other}\" take different numbers of rows at a time, {n} and {other_n}"
    )]
    DifferentRows { input: String, n: i64, other: String, other_n: i64 },
    #[error("inputs \"{input}\" and \"{other}\" both leave open how many columns they take")]
    OpenWidths { input: String, other: String },
    #[error(
        "input \"{input}\" takes tensors of {n} dimensions, whose sizes behind the rows are open"
    )]
    OpenDimensions { input: String, n: usize },
    #[error("input \"{input}\" takes {n} rows at a time")]
    RowsAtOnce { input: String, n: i64 },
    #[error("input \"{input}\" takes {n} columns, which have no names")]
    UnnamedColumns { input: String, n: i64 },
    #[error("input \"{input}\" leaves open how many columns it takes")]
    OpenWidth { input: String },
    #[error("{found} names are given for the {expected} columns of the model's inputs")]
    WrongNumberOfNames { inputs: Vec<String>, expected: i64, found: usize },
    #[error("no column can have the {} bytes of the name \"{name}\"", name.len())]
    LongName { name: String },
    #[error("a feature has an empty name")]
    EmptyName,
    #[error("feature \"{name}\" is named twice")]
    DuplicateName { name: String },
    #[error("model has no output \"{output}\"")]
    UnknownOutput { output: String, outputs: Vec<String> },
    #[error("output \"{output}\" is no score: it {why}")]
    NotAScore { output: String, why: String },
    #[error(
        "output \"{output}\" has the probabilities of a support vector machine multiplied by a number"
    )]
    ScaledProbabilities { output: String },
    /// `reasons` says of each output why it is none; `possible` are those that may be asked for.
    #[error("model has no output of probabilities or values")]
    NoScore { reasons: Vec<String>, possible: Vec<String> },
    #[error("model has several outputs that may be the score")]
    SeveralScores { outputs: Vec<String> },
}

/// `output` picks the output of the score, `features` names the columns of a single tensor.
pub fn bind(
    summary: &Summary,
    output: Option<&str>,
    features: Option<&[String]>,
) -> Result<Bound, Error> {
    let inputs = inputs(summary, features)?;
    let chosen = output::choose(summary, output)?;
    let Chosen { output, mut reason, part, is_value, is_single, is_reversed, .. } = chosen;
    let own = own_classes(summary);
    match &own {
        Some((classes, class)) if !is_single => reason.push_str(&format!(
            "; the score is that of \"{}\", which the graph calls the positive class",
            classes[*class]
        )),
        _ => reason.push_str(part),
    }
    let (classes, class, positive) = match own {
        Some((classes, class)) => {
            let class = (!is_single).then_some(class);
            (Some(classes), class, class)
        }
        None => {
            let n_classes = summary.classes.as_ref().map(Vec::len);
            let of_as_many =
                chosen.class.filter(|(_, n)| n_classes.is_none_or(|known| known == *n));
            (summary.classes.clone(), None, of_as_many.map(|(place, _)| place))
        }
    };
    if summary.quantises_batches {
        reason.push_str("; the graph quantises each batch by its own values, so that a score hangs on the rows beside it");
    }
    Ok(Bound { inputs, output, class, reason, is_value, classes, positive, is_reversed })
}

impl Bound {
    /// The columns of all inputs in order.
    pub fn columns(&self) -> impl Iterator<Item = (&str, Takes)> {
        self.inputs
            .iter()
            .flat_map(|input| input.columns.iter().map(|column| (column.as_str(), input.element)))
    }
}

/// How many rows the graph takes at a time, where it says so.
pub fn rows_at_once(summary: &Summary) -> Option<i64> {
    summary.inputs.iter().find_map(rows_of)
}

fn rows_of(port: &Port) -> Option<i64> {
    let Kind::Tensor { shape, .. } = &port.kind else { return None };
    *shape.first()?
}

fn check_rows(ports: &[Port]) -> Result<(), Error> {
    let mut first = None;
    for port in ports {
        let Some(n) = rows_of(port) else { continue };
        if !(1..=i64::from(MAX_ROWS)).contains(&n) {
            return Err(Error::RowsAtOnce { input: port.name.clone(), n });
        }
        let (known, known_n) = *first.get_or_insert((port, n));
        if known_n != n {
            let (input, other) = (known.name.clone(), port.name.clone());
            return Err(Error::DifferentRows { input, n: known_n, other, other_n: n });
        }
    }
    Ok(())
}

fn inputs(summary: &Summary, features: Option<&[String]>) -> Result<Vec<BoundInput>, Error> {
    let ports = &summary.inputs;
    check_rows(ports)?;
    let widths = ports.iter().map(width).collect::<Result<Vec<_>, _>>()?;
    let mut features = match features {
        _ if ports.is_empty() => return Err(Error::NoInputs),
        Some(features) => named(ports, &widths, features)?,
        None => {
            // An open width beside other inputs is one column: some exporters leave all dimensions open.
            let is_one = |width: &Option<i64>| width.map_or(ports.len() > 1, |n| n == 1);
            if let Some(wide) = widths.iter().position(|width| !is_one(width)) {
                let input = ports[wide].name.clone();
                return Err(match widths[wide] {
                    Some(n) => Error::UnnamedColumns { input, n },
                    None => Error::OpenWidth { input },
                });
            }
            let own: Vec<Vec<String>> = ports.iter().map(|port| vec![port.name.clone()]).collect();
            check_names(own.iter().flatten())?;
            own
        }
    }
    .into_iter();
    let bound = |port: &Port| {
        let is_mark = |key: &String| key.strip_prefix(MISSING_TEXT_KEY) == Some(&port.name);
        let mark = summary.metadata.iter().find(|(key, _)| is_mark(key));
        Ok(BoundInput {
            name: port.name.clone(),
            element: takes(port)?,
            columns: features.next().unwrap_or_default(),
            missing: mark.map_or(String::new(), |(_, mark)| mark.clone()),
        })
    };
    ports.iter().map(bound).collect()
}

/// The names for all columns, parted among the inputs. One whose width is open has those that the others leave.
fn named(
    ports: &[Port],
    widths: &[Option<i64>],
    features: &[String],
) -> Result<Vec<Vec<String>>, Error> {
    let known: i64 = widths.iter().flatten().fold(0, |sum, n| sum.saturating_add(*n));
    let n_open = widths.iter().filter(|width| width.is_none()).count() as i64;
    let found = features.len() as i64;
    let open = if n_open == 1 { (found - known).max(1) } else { 1 };
    let expected = known.saturating_add(open * n_open);
    if found != expected {
        let mut open = ports.iter().zip(widths).filter(|(_, width)| width.is_none());
        if let (Some((input, _)), Some((other, _))) = (open.next(), open.next()) {
            let (input, other) = (input.name.clone(), other.name.clone());
            return Err(Error::OpenWidths { input, other });
        }
        let has_one_dimension =
            |port: &&Port| matches!(&port.kind, Kind::Tensor { shape, .. } if shape.len() == 1);
        if let Some(input) = ports.iter().find(has_one_dimension) {
            return Err(Error::OneDimension { input: input.name.clone() });
        }
        return Err(Error::WrongNumberOfNames {
            inputs: names(ports),
            expected,
            found: features.len(),
        });
    }
    let mut rest = features;
    let part = |width: &Option<i64>| {
        let (here, after) = rest.split_at(width.unwrap_or(open) as usize);
        rest = after;
        // A column may go into several inputs.
        check_names(here.iter())?;
        Ok(here.to_vec())
    };
    widths.iter().map(part).collect()
}

/// What a column of PostgreSQL can be called, each once.
fn check_names<'a>(names: impl Iterator<Item = &'a String> + Clone) -> Result<(), Error> {
    let mut known = HashSet::new();
    for name in names {
        if name.is_empty() {
            return Err(Error::EmptyName);
        }
        if name.len() > LONGEST_NAME {
            return Err(Error::LongName { name: name.clone() });
        }
        if !known.insert(name) {
            return Err(Error::DuplicateName { name: name.clone() });
        }
    }
    Ok(())
}

/// The columns that an input takes, its dimensions behind the rows multiplied: None where the graph leaves it open.
fn width(port: &Port) -> Result<Option<i64>, Error> {
    let input = || port.name.clone();
    match &port.kind {
        Kind::Tensor { ranked: false, .. } => Ok(None),
        Kind::Tensor { shape, .. } => match shape[..] {
            [] => Err(Error::NoRows { input: input() }),
            [_, ref sizes @ ..] if sizes.contains(&Some(0)) => {
                Err(Error::NoColumns { input: input() })
            }
            [_] => Ok(Some(1)),
            [_, width] => Ok(width),
            [_, ref sizes @ ..] => {
                let product = sizes.iter().try_fold(1_i64, |n, size| n.checked_mul((*size)?));
                let (input, n) = (input(), shape.len());
                product.map(Some).ok_or(Error::OpenDimensions { input, n })
            }
        },
        _ => Err(Error::UnsupportedInput { input: input() }),
    }
}

fn takes(port: &Port) -> Result<Takes, Error> {
    let Kind::Tensor { element, .. } = port.kind else {
        return Err(Error::UnsupportedInput { input: port.name.clone() });
    };
    match element {
        Element::Double => Ok(Takes::Double),
        Element::String => Ok(Takes::Text),
        element if element.is_fraction() => Ok(Takes::Float),
        element if element.is_whole() => Ok(Takes::Whole),
        _ => Err(Error::UnsupportedElement { input: port.name.clone() }),
    }
}

/// The classes and the position of the positive one where the graph says so: our own export does.
fn own_classes(summary: &Summary) -> Option<(Vec<String>, usize)> {
    let value = |wanted: &str| {
        summary.metadata.iter().find(|(key, _)| key == wanted).map(|(_, value)| value)
    };
    let classes: Vec<String> = serde_json::from_str(value("persona.classes")?).ok()?;
    let positive = value("persona.positive_class")?;
    let class = classes.iter().position(|class| class == positive)?;
    Some((classes, class))
}

fn names<'a>(ports: impl IntoIterator<Item = &'a Port>) -> Vec<String> {
    ports.into_iter().map(|port| port.name.clone()).collect()
}
