//! What a scanned model says of itself: versions, producer, inputs and outputs.
//!
//! Runs after the walk, so names are checked and unknown fields are gone; it still trusts no length.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::origin::{self, Origin};
use super::protobuf::{Fields, Value};
use super::{Error, MAX_PORTS, name};

/// Entries of ours in the metadata, and their bytes: a few for each input.
const MAX_METADATA: usize = 4 * MAX_PORTS;
const MAX_METADATA_BYTES: usize = 16 << 20;
/// Of operators: a model names two or three.
const MAX_OPSETS: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub ir_version: i64,
    pub opsets: Vec<Opset>,
    pub producer: String,
    pub producer_version: String,
    pub graph: String,
    /// Without those that an initializer already fills.
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    /// Where each output comes from.
    pub origins: Vec<Origin>,
    /// What the graph calls its classes, the one of the score last.
    pub classes: Option<Vec<String>>,
    /// It quantises values by the range that they have in a batch, so that each row's score hangs on the others.
    pub quantises_batches: bool,
    /// What our own export says of itself: the entries of the metadata whose key begins with `persona.`.
    pub metadata: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opset {
    pub domain: String,
    pub version: i64,
}

/// An input or an output of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A dimension that is open is None; no shape at all is an empty vector with `ranked` false.
    Tensor {
        element: Element,
        ranked: bool,
        shape: Vec<Option<i64>>,
    },
    /// A sequence of maps: what a classifier's ZipMap gives.
    MapSequence {
        key: Element,
        value: Element,
    },
    Other,
    /// The graph does not say.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Element {
    Float,
    Double,
    Half,
    BFloat,
    Int64,
    Int32,
    Int16,
    Int8,
    Uint64,
    Uint32,
    Uint16,
    Uint8,
    Bool,
    String,
    /// Any other.
    Other,
}

impl Element {
    fn of(number: u64) -> Self {
        match number {
            1 => Self::Float,
            2 => Self::Uint8,
            3 => Self::Int8,
            4 => Self::Uint16,
            5 => Self::Int16,
            6 => Self::Int32,
            7 => Self::Int64,
            8 => Self::String,
            9 => Self::Bool,
            10 => Self::Half,
            11 => Self::Double,
            12 => Self::Uint32,
            13 => Self::Uint64,
            16 => Self::BFloat,
            _ => Self::Other,
        }
    }

    pub fn is_fraction(self) -> bool {
        matches!(self, Self::Float | Self::Double | Self::Half | Self::BFloat)
    }

    pub fn is_whole(self) -> bool {
        !self.is_fraction() && !matches!(self, Self::String | Self::Other)
    }
}

pub(super) fn read(model: &[u8]) -> Result<Summary, Error> {
    let mut summary = Summary {
        ir_version: 0,
        opsets: Vec::new(),
        producer: String::new(),
        producer_version: String::new(),
        graph: String::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        origins: Vec::new(),
        classes: None,
        quantises_batches: false,
        metadata: Vec::new(),
    };
    let mut filled = HashSet::new();
    // A message may come in several parts.
    let (mut graphs, mut metadata_bytes) = (Vec::new(), 0);
    let mut fields = Fields::of(model);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Varint(version)) => summary.ir_version = version as i64,
            (2, Value::Bytes(bytes)) => summary.producer = name(bytes)?.to_owned(),
            (3, Value::Bytes(bytes)) => summary.producer_version = name(bytes)?.to_owned(),
            (7, Value::Bytes(bytes)) => {
                graphs.push(bytes);
                graph(bytes, &mut summary, &mut filled)?;
            }
            (8, Value::Bytes(bytes)) => summary.opsets.push(opset(bytes)?),
            (14, Value::Bytes(bytes)) => {
                if let Some((key, value)) = own_metadata(bytes)? {
                    metadata_bytes += key.len() + value.len();
                    if metadata_bytes > MAX_METADATA_BYTES {
                        let what = "bytes of metadata";
                        return Err(Error::TooMany { what, allowed: MAX_METADATA_BYTES });
                    }
                    summary.metadata.push((key.to_owned(), value.to_owned()));
                }
            }
            _ => {}
        }
        for (what, found, allowed) in [
            ("sets of operators", summary.opsets.len(), MAX_OPSETS),
            ("entries of metadata", summary.metadata.len(), MAX_METADATA),
        ] {
            if found > allowed {
                return Err(Error::TooMany { what, allowed });
            }
        }
    }
    if graphs.is_empty() {
        return Err(Error::NoGraph);
    }
    summary.inputs.retain(|input| !filled.contains(input.name.as_str()));
    if summary.outputs.is_empty() {
        return Err(Error::NoOutputs);
    }
    check_names(&summary.inputs)?;
    check_names(&summary.outputs)?;
    let nodes = origin::read(&graphs, &summary.inputs, &summary.outputs)?;
    (summary.origins, summary.classes) = (nodes.origins, nodes.classes);
    summary.quantises_batches = nodes.quantises_batches;
    Ok(summary)
}

/// An entry of ours.
fn own_metadata(bytes: &[u8]) -> Result<Option<(&str, &str)>, Error> {
    let (mut key, mut value) = ("", "");
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Bytes(bytes)) => key = std::str::from_utf8(bytes).unwrap_or_default(),
            (2, Value::Bytes(bytes)) => value = std::str::from_utf8(bytes).unwrap_or_default(),
            _ => {}
        }
    }
    Ok(key.starts_with("persona.").then_some((key, value)))
}

fn graph<'a>(
    bytes: &'a [u8],
    summary: &mut Summary,
    filled: &mut HashSet<&'a str>,
) -> Result<(), Error> {
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        let Value::Bytes(bytes) = field.value else { continue };
        match field.number {
            2 => summary.graph = name(bytes)?.to_owned(),
            5 => {
                filled.extend(field_name(bytes, 8)?);
            }
            11 => summary.inputs.push(port(bytes)?),
            12 => summary.outputs.push(port(bytes)?),
            15 => {
                // A sparse initializer is named after its values.
                let mut inner = Fields::of(bytes);
                while let Some(part) = inner.next_field()? {
                    if let (1, Value::Bytes(values)) = (part.number, part.value) {
                        filled.extend(field_name(values, 8)?);
                    }
                }
            }
            _ => {}
        }
        if summary.inputs.len().max(summary.outputs.len()) > MAX_PORTS {
            return Err(Error::TooMany { what: "inputs or outputs", allowed: MAX_PORTS });
        }
    }
    Ok(())
}

fn check_names(ports: &[Port]) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for port in ports {
        if port.name.is_empty() {
            return Err(Error::Unnamed);
        }
        if !seen.insert(port.name.as_str()) {
            return Err(Error::Duplicate { name: port.name.clone() });
        }
    }
    Ok(())
}

fn field_name(bytes: &[u8], number: u32) -> Result<Option<&str>, Error> {
    let mut found = None;
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        if let (true, Value::Bytes(bytes)) = (field.number == number, field.value) {
            found = Some(name(bytes)?);
        }
    }
    Ok(found)
}

fn opset(bytes: &[u8]) -> Result<Opset, Error> {
    let mut opset = Opset { domain: String::new(), version: 0 };
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Bytes(bytes)) => opset.domain = name(bytes)?.to_owned(),
            (2, Value::Varint(version)) => opset.version = version as i64,
            _ => {}
        }
    }
    Ok(opset)
}

fn port(bytes: &[u8]) -> Result<Port, Error> {
    let mut port = Port { name: String::new(), kind: Kind::Unknown };
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Bytes(bytes)) => port.name = name(bytes)?.to_owned(),
            (2, Value::Bytes(bytes)) => port.kind = kind(bytes)?,
            _ => {}
        }
    }
    Ok(port)
}

fn kind(bytes: &[u8]) -> Result<Kind, Error> {
    let mut kind = Kind::Unknown;
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Bytes(tensor)) => kind = tensor_kind(tensor)?,
            (4, Value::Bytes(sequence)) => kind = sequence_kind(sequence)?,
            (5 | 7 | 8 | 9, _) => kind = Kind::Other,
            _ => {}
        }
    }
    Ok(kind)
}

fn tensor_kind(bytes: &[u8]) -> Result<Kind, Error> {
    let (mut element, mut ranked, mut shape) = (Element::Other, false, Vec::new());
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Varint(number)) => element = Element::of(number),
            (2, Value::Bytes(dims)) => {
                ranked = true;
                let mut dims = Fields::of(dims);
                while let Some(dim) = dims.next_field()? {
                    let Value::Bytes(dim) = dim.value else { continue };
                    if shape.len() == 16 {
                        return Err(Error::TooMany { what: "dimensions", allowed: 16 });
                    }
                    shape.push(dimension(dim)?);
                }
            }
            _ => {}
        }
    }
    Ok(Kind::Tensor { element, ranked, shape })
}

fn dimension(bytes: &[u8]) -> Result<Option<i64>, Error> {
    let mut size = None;
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Varint(value)) => size = i64::try_from(value).ok(),
            (2, _) => size = None,
            _ => {}
        }
    }
    Ok(size)
}

fn sequence_kind(bytes: &[u8]) -> Result<Kind, Error> {
    let mut found = Kind::Other;
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        let (1, Value::Bytes(inner)) = (field.number, field.value) else { continue };
        let mut inner = Fields::of(inner);
        while let Some(part) = inner.next_field()? {
            if let (5, Value::Bytes(map)) = (part.number, part.value) {
                found = map_kind(map)?;
            }
        }
    }
    Ok(found)
}

fn map_kind(bytes: &[u8]) -> Result<Kind, Error> {
    let (mut key, mut value) = (Element::Other, Element::Other);
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Varint(number)) => key = Element::of(number),
            (2, Value::Bytes(inner)) => {
                if let Kind::Tensor { element, .. } = kind(inner)? {
                    value = element;
                }
            }
            _ => {}
        }
    }
    Ok(Kind::MapSequence { key, value })
}
