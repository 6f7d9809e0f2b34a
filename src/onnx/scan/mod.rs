//! What an ONNX model is, read before any runtime sees it; what could reach outside it is refused.
//!
//! ONNX Runtime resolves a tensor's external data against the working directory, so a model could read files of the
//! server. A tensor may hide in an initializer, a sparse one, an attribute, a sub-graph, a function body or the training
//! part: the scan walks every message of the file by the schema, and refuses fields that the schema does not know. The
//! wire format allows a message to come in several parts; each is walked. What would keep a runtime busy for hours is
//! refused by its size: nodes, their nesting, and what the model's own functions come to once they are inlined.

mod expansion;
mod origin;
mod protobuf;
mod schema;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

pub use origin::{Machine, Origin};
use protobuf::{Field, Fields, Value};
use schema::{Holds, Message, holds};
pub use summary::{Element, Kind, Opset, Port, Summary};

/// The largest model: what a large object import accepts.
pub const MAX_BYTES: usize = 1 << 30;
/// Messages within messages; protobuf's own readers stop at 100.
pub const MAX_DEPTH: usize = 64;
/// Nodes, tensors, attributes … in all. A thousand trees of depth ten are a single node.
pub const MAX_MESSAGES: usize = 4_000_000;
/// Nodes of all graphs and functions, also with the functions inlined. ONNX Runtime 1.31 takes 3 s to inline as many and
/// 1 s to load them without functions, and minutes for 200,000.
pub const MAX_NODES: usize = 50_000;
/// Functions that the model brings along.
pub const MAX_FUNCTIONS: usize = 10_000;
/// Functions called by functions.
pub const MAX_CALL_DEPTH: usize = 32;
/// Weights of all graphs.
pub const MAX_INITIALIZERS: usize = 100_000;
/// Inputs or outputs of the graph.
pub const MAX_PORTS: usize = 4_096;
const MAX_NAME: usize = 4_096;

/// The operators that every build of ONNX Runtime brings; any other would need a library loaded at run time.
const KNOWN_DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];
/// Operators of a known domain that name a file or run code of the host: a compiled context, Python.
const REFUSED_OPERATORS: [&str; 3] = ["EPContext", "PythonOp", "PythonOpGrad"];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("model is empty")]
    Empty,
    #[error("model has {found} bytes, more than {allowed}")]
    TooLarge { found: usize, allowed: usize },
    #[error("model is in ONNX Runtime's own format, not ONNX")]
    NotOnnx,
    #[error("model ends within a field")]
    Truncated,
    #[error("model is malformed: bad {what}")]
    Malformed { what: &'static str },
    #[error("model has an unknown field {number} in its {message}")]
    UnknownField { message: String, number: u32 },
    #[error("model nests deeper than {allowed} messages")]
    TooDeep { allowed: usize },
    #[error("model calls functions within functions more than {allowed} deep")]
    CallsTooDeep { allowed: usize },
    #[error("model has more than {allowed} {what}")]
    TooMany { what: &'static str, allowed: usize },
    #[error("model refers to data outside itself")]
    ExternalData,
    #[error("model uses an operator of the unknown domain \"{domain}\"")]
    UnknownDomain { domain: String },
    #[error("model uses the operator \"{operator}\", which is not allowed")]
    RefusedOperator { operator: String },
    #[error("model has a name that is not UTF-8")]
    NotUtf8,
    #[error("model has a name with a NUL byte")]
    NulInName,
    #[error("model has a name of {found} bytes, more than {allowed}")]
    NameTooLong { found: usize, allowed: usize },
    #[error("model has no graph")]
    NoGraph,
    #[error("model has no outputs")]
    NoOutputs,
    #[error("model has an input or output without a name")]
    Unnamed,
    #[error("model has two inputs or two outputs called \"{name}\"")]
    Duplicate { name: String },
}

/// Walks the whole model and says what it takes and gives, or why it is refused.
pub fn scan(model: &[u8]) -> Result<Summary, Error> {
    if model.is_empty() {
        return Err(Error::Empty);
    }
    if model.len() > MAX_BYTES {
        return Err(Error::TooLarge { found: model.len(), allowed: MAX_BYTES });
    }
    if model.get(4..8) == Some(b"ORTM") {
        return Err(Error::NotOnnx);
    }
    let mut walk = Walk::default();
    walk.message(Message::Model, model, 0)?;
    walk.check_domains()?;
    expansion::check(model)?;
    summary::read(model)
}

#[derive(Default)]
struct Walk<'a> {
    messages: usize,
    nodes: usize,
    functions: usize,
    initializers: usize,
    node_domains: HashSet<&'a str>,
    /// A function of the model itself may have a domain of its own.
    function_domains: HashSet<&'a str>,
}

impl<'a> Walk<'a> {
    fn message(&mut self, message: Message, bytes: &'a [u8], depth: usize) -> Result<(), Error> {
        if depth >= MAX_DEPTH {
            return Err(Error::TooDeep { allowed: MAX_DEPTH });
        }
        count(&mut self.messages, "messages", MAX_MESSAGES)?;
        match message {
            Message::Node => count(&mut self.nodes, "nodes", MAX_NODES)?,
            Message::Function => count(&mut self.functions, "functions", MAX_FUNCTIONS)?,
            _ => {}
        }
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.next_field()? {
            self.field(message, field, depth)?;
        }
        Ok(())
    }

    fn field(&mut self, message: Message, field: Field<'a>, depth: usize) -> Result<(), Error> {
        let Field { number, value } = field;
        let Some(held) = holds(message, number) else {
            return Err(Error::UnknownField { message: format!("{message:?}"), number });
        };
        match (held, value) {
            (Holds::Inner(inner), Value::Bytes(bytes)) => {
                if message == Message::Tensor && number == 13 {
                    return Err(Error::ExternalData);
                }
                if message == Message::Graph && matches!(number, 5 | 15) {
                    count(&mut self.initializers, "initializers", MAX_INITIALIZERS)?;
                }
                self.message(inner, bytes, depth + 1)
            }
            (Holds::Number, Value::Varint(value)) => {
                // Readers cut the value to 32 bits; whatever is not plainly "within the model" is refused.
                if message == Message::Tensor && number == 14 && value != 0 {
                    return Err(Error::ExternalData);
                }
                Ok(())
            }
            (Holds::Name, Value::Bytes(bytes)) => self.name(message, number, name(bytes)?),
            (Holds::Bytes, Value::Bytes(_))
            | (Holds::Float, Value::Fixed32)
            | (Holds::Numbers, _) => Ok(()),
            // A reader would take a known field of another form for an unknown one, and keep it.
            _ => Err(Error::Malformed { what: "field type" }),
        }
    }

    fn name(&mut self, message: Message, number: u32, name: &'a str) -> Result<(), Error> {
        match (message, number) {
            (Message::Node, 4) if REFUSED_OPERATORS.contains(&name) => {
                return Err(Error::RefusedOperator { operator: name.to_owned() });
            }
            (Message::Node, 7) => {
                self.node_domains.insert(name);
            }
            (Message::Function, 10) => {
                self.function_domains.insert(name);
            }
            _ => {}
        }
        Ok(())
    }

    fn check_domains(&self) -> Result<(), Error> {
        let unknown = self
            .node_domains
            .iter()
            .filter(|domain| {
                !KNOWN_DOMAINS.contains(domain) && !self.function_domains.contains(*domain)
            })
            .min();
        match unknown {
            Some(domain) => Err(Error::UnknownDomain { domain: (*domain).to_owned() }),
            None => Ok(()),
        }
    }
}

fn count(found: &mut usize, what: &'static str, allowed: usize) -> Result<(), Error> {
    *found += 1;
    if *found > allowed { Err(Error::TooMany { what, allowed }) } else { Ok(()) }
}

/// A name that may become SQL text.
fn name(bytes: &[u8]) -> Result<&str, Error> {
    if bytes.len() > MAX_NAME {
        return Err(Error::NameTooLong { found: bytes.len(), allowed: MAX_NAME });
    }
    let name = std::str::from_utf8(bytes).map_err(|_| Error::NotUtf8)?;
    if name.contains('\0') { Err(Error::NulInName) } else { Ok(name) }
}
