//! Where a graph's outputs come from: which repeat an input, which are columns of one value, and what a classifier calls its classes.
//!
//! Names alone mislead: ML.NET hands every input out again under another name. Two passes over the nodes, which ONNX has in the order
//! of evaluation; graphs within nodes are left out. Runs after the walk, and keeps nothing that a hostile model could make large.

use std::collections::{HashMap, HashSet};

use super::protobuf::{Fields, Value};
use super::summary::Port;
use super::{Error, name};

/// Where an output comes from, past the nodes that only move values about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The output has an input's values, and no others.
    pub is_echo: bool,
    /// The value that it was taken from.
    pub value: String,
    /// The operator that reckons that value; none is known of an input.
    pub operator: Option<String>,
    /// What the operator does to its result at last, as `LOGISTIC`.
    pub post_transform: Option<String>,
    /// The dimension that the operator works along, where it says so.
    pub axis: Option<i64>,
    /// Which of the operator's outputs it is, counted from 0: the first one of a classifier is its label.
    pub place: usize,
    /// A ZipMap gives each of its values the name of a class.
    pub is_map: bool,
    /// What it holds where the operator is a support vector machine that classifies.
    pub machine: Option<Machine>,
    /// The same where the operator multiplies what such a machine gave.
    pub scaled: Option<Machine>,
}

/// What a support vector machine gives for each of its classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    Probabilities,
    /// Decision values.
    Values,
    /// Decision values of two classes, which ONNX Runtime writes the wrong way round: the first is high where the second class is
    /// likely. It takes libsvm's value, which is high for the first class, for that of the second.
    Reversed,
}

/// Operators whose output has the values of their first input, or some of them.
const MOVERS: [&str; 12] = [
    "ArrayFeatureExtractor",
    "Cast",
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
    "CastLike",
];
/// Operators whose output has the values of all their inputs.
const JOINERS: [&str; 2] = ["Concat", "FeatureVectorizer"];
/// Gives each value another name.
const RELABELS: &str = "LabelEncoder";
const ZIP_MAP: &str = "ZipMap";
/// The start of the operators that quantise their input by the range of all its values.
const DYNAMIC_QUANTIZE: &str = "DynamicQuantize";
/// Names of values that repeat an input; beyond that a graph is left to its names.
const MAX_ECHOES: usize = 65_536;
const MAX_CLASSES: usize = 10_000;
/// Of a node that are looked at: it may have a great many.
const MAX_OUTPUTS: usize = 4_096;

/// What the nodes say of a graph.
pub(super) struct Nodes {
    /// Of each output, in their order.
    pub(super) origins: Vec<Origin>,
    pub(super) classes: Option<Vec<String>>,
    pub(super) quantises_batches: bool,
}

pub(super) fn read(graphs: &[&[u8]], inputs: &[Port], outputs: &[Port]) -> Result<Nodes, Error> {
    let mut echoes: HashSet<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    let mut nodes = Vec::new();
    let mut classes = Classes::default();
    let mut quantises_batches = false;
    for graph in graphs {
        let mut fields = Fields::of(graph);
        while let Some(field) = fields.next_field()? {
            if let (1, Value::Bytes(bytes)) = (field.number, field.value) {
                let node = Node::read(bytes)?;
                classes.see(&node)?;
                quantises_batches |= node.operator.starts_with(DYNAMIC_QUANTIZE);
                if node.repeats(&echoes)? && echoes.len() < MAX_ECHOES {
                    echoes.extend(node.outputs()?);
                }
                nodes.push(node);
            }
        }
    }
    let origins = origins(&nodes, outputs, &echoes)?;
    Ok(Nodes { origins, classes: classes.found(), quantises_batches })
}

/// From the last node to the first: each that makes a wanted value says what it is, or of which value it is a part.
fn origins(nodes: &[Node], outputs: &[Port], echoes: &HashSet<&str>) -> Result<Vec<Origin>, Error> {
    let mut origins: Vec<Origin> = outputs
        .iter()
        .map(|output| Origin {
            is_echo: echoes.contains(output.name.as_str()),
            value: output.name.clone(),
            ..Origin::default()
        })
        .collect();
    // By value, the outputs that come from it, and whether they are multiples of it.
    let mut wanted: HashMap<String, Vec<(usize, bool)>> = HashMap::new();
    for (index, output) in outputs.iter().enumerate() {
        wanted.entry(output.name.clone()).or_default().push((index, false));
    }
    for node in nodes.iter().rev() {
        for (place, output) in node.outputs()?.into_iter().enumerate() {
            let Some(found) = wanted.remove(output) else { continue };
            let is_map = node.operator == ZIP_MAP;
            // The first output of a machine is its label.
            let machine = if place == 1 { node.machine()? } else { None };
            for (index, is_scaled) in found {
                let origin = &mut origins[index];
                let is_next_scaled = match node.first_input {
                    Some(input) if is_map || node.is_mover() || node.operator == RELABELS => {
                        if !is_scaled {
                            origin.value = input.to_owned();
                            origin.is_map |= is_map;
                        }
                        Some(is_scaled)
                    }
                    _ if is_scaled => {
                        origin.scaled = machine;
                        None
                    }
                    _ => {
                        origin.operator = Some(node.operator.to_owned());
                        origin.post_transform = node.post_transform.map(str::to_owned);
                        origin.axis = node.axis;
                        (origin.place, origin.machine) = (place, machine);
                        (node.operator == "Mul").then_some(true)
                    }
                };
                if let (Some(is_scaled), Some(input)) = (is_next_scaled, node.first_input) {
                    wanted.entry(input.to_owned()).or_default().push((index, is_scaled));
                }
            }
        }
    }
    Ok(origins)
}

/// A node of the main graph, in the model's own bytes.
struct Node<'a> {
    bytes: &'a [u8],
    operator: &'a str,
    first_input: Option<&'a str>,
    post_transform: Option<&'a str>,
    axis: Option<i64>,
}

impl<'a> Node<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut node =
            Self { bytes, operator: "", first_input: None, post_transform: None, axis: None };
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.next_field()? {
            match (field.number, field.value) {
                (1, Value::Bytes(input)) if node.first_input.is_none() => {
                    node.first_input = Some(name(input)?);
                }
                (4, Value::Bytes(text)) => node.operator = name(text)?,
                (5, Value::Bytes(attribute)) => {
                    let attribute = Attribute::read(attribute)?;
                    match attribute.name {
                        "post_transform" => node.post_transform = attribute.text,
                        "axis" => node.axis = attribute.whole,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Ok(node)
    }

    fn is_mover(&self) -> bool {
        MOVERS.contains(&self.operator)
    }

    fn outputs(&self) -> Result<Vec<&'a str>, Error> {
        let mut outputs = Vec::new();
        let mut fields = Fields::of(self.bytes);
        while let Some(field) = fields.next_field()? {
            if let (2, Value::Bytes(output)) = (field.number, field.value)
                && outputs.len() < MAX_OUTPUTS
            {
                outputs.push(name(output)?);
            }
        }
        Ok(outputs)
    }

    /// What it gives, if it is a support vector machine that classifies.
    fn machine(&self) -> Result<Option<Machine>, Error> {
        if self.operator != "SVMClassifier" {
            return Ok(None);
        }
        let (mut has_vectors, mut has_probabilities, mut n_classes) = (false, false, 0);
        let mut fields = Fields::of(self.bytes);
        while let Some(field) = fields.next_field()? {
            let (5, Value::Bytes(attribute)) = (field.number, field.value) else { continue };
            let attribute = Attribute::read(attribute)?;
            match attribute.name {
                "prob_a" => has_probabilities = attribute.has_numbers()?,
                // Without them it is a linear one, which has a value of its own for each class.
                "vectors_per_class" => has_vectors = attribute.has_numbers()?,
                "classlabels_ints" | "classlabels_strings" => {
                    n_classes = attribute.texts()?.map_or(n_classes, |classes| classes.len());
                }
                _ => {}
            }
        }
        Ok(Some(match (has_probabilities, has_vectors, n_classes) {
            (true, ..) => Machine::Probabilities,
            (false, true, 2) => Machine::Reversed,
            _ => Machine::Values,
        }))
    }

    /// Whether it hands on what is known to repeat an input.
    fn repeats(&self, echoes: &HashSet<&str>) -> Result<bool, Error> {
        let Some(first) = self.first_input.filter(|first| echoes.contains(first)) else {
            return Ok(false);
        };
        if self.is_mover() {
            return Ok(!first.is_empty());
        }
        if !JOINERS.contains(&self.operator) {
            return Ok(false);
        }
        let mut fields = Fields::of(self.bytes);
        while let Some(field) = fields.next_field()? {
            if let (1, Value::Bytes(input)) = (field.number, field.value)
                && !echoes.contains(name(input)?)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

struct Attribute<'a> {
    name: &'a str,
    text: Option<&'a str>,
    whole: Option<i64>,
    bytes: &'a [u8],
}

impl<'a> Attribute<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let (mut own_name, mut text, mut whole) = ("", None, None);
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.next_field()? {
            match (field.number, field.value) {
                (1, Value::Bytes(bytes)) => own_name = name(bytes)?,
                (3, Value::Varint(number)) => whole = Some(number as i64),
                (4, Value::Bytes(bytes)) => text = std::str::from_utf8(bytes).ok(),
                _ => {}
            }
        }
        Ok(Self { name: own_name, text, whole, bytes })
    }

    fn has_numbers(&self) -> Result<bool, Error> {
        let mut fields = Fields::of(self.bytes);
        while let Some(field) = fields.next_field()? {
            match (field.number, field.value) {
                (7 | 8, Value::Bytes([])) => {}
                (7 | 8, _) => return Ok(true),
                _ => {}
            }
        }
        Ok(false)
    }

    /// Its texts or whole numbers as text; None of others, or of too many.
    fn texts(&self) -> Result<Option<Vec<String>>, Error> {
        let mut found = Vec::new();
        let mut fields = Fields::of(self.bytes);
        while let Some(field) = fields.next_field()? {
            match (field.number, field.value) {
                (8, Value::Varint(number)) => found.push((number as i64).to_string()),
                // Packed, as some writers have them.
                (8, Value::Bytes(mut packed)) => {
                    while let Some((number, rest)) = varint(packed) {
                        if found.len() > MAX_CLASSES {
                            return Ok(None);
                        }
                        found.push((number as i64).to_string());
                        packed = rest;
                    }
                }
                (9, Value::Bytes(text)) => {
                    let Ok(text) = name(text) else { return Ok(None) };
                    found.push(text.to_owned());
                }
                _ => {}
            }
            if found.len() > MAX_CLASSES {
                return Ok(None);
            }
        }
        Ok((!found.is_empty()).then_some(found))
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}

/// The names of classes that nodes have: a ZipMap's count, else those of classifiers that agree.
#[derive(Default)]
struct Classes {
    of_zip_map: Option<Vec<String>>,
    of_classifiers: Option<Vec<String>>,
    differ: bool,
}

impl Classes {
    fn see(&mut self, node: &Node) -> Result<(), Error> {
        let is_zip_map = node.operator == ZIP_MAP;
        if !is_zip_map && !node.operator.ends_with("Classifier") {
            return Ok(());
        }
        let mut fields = Fields::of(node.bytes);
        while let Some(field) = fields.next_field()? {
            let (5, Value::Bytes(attribute)) = (field.number, field.value) else { continue };
            let attribute = Attribute::read(attribute)?;
            if !attribute.name.starts_with("classlabels_") {
                continue;
            }
            let Some(mut found) = attribute.texts()? else { continue };
            if is_zip_map {
                match attribute.name {
                    "classlabels_strings" => found.sort_unstable(),
                    _ => found.sort_by_key(|class| class.parse::<i64>().unwrap_or_default()),
                }
                self.of_zip_map = Some(found);
            } else {
                self.differ |= self.of_classifiers.as_ref().is_some_and(|known| *known != found);
                self.of_classifiers = Some(found);
            }
        }
        Ok(())
    }

    /// The last one is that of the score: a ZipMap's are in sort order, as its score is taken, others in the order of the columns.
    fn found(self) -> Option<Vec<String>> {
        self.of_zip_map.or(self.of_classifiers.filter(|_| !self.differ))
    }
}
