//! The messages of onnx.proto that an exported graph consists of, by their field numbers.

use super::protobuf::Message;

/// Collects the nodes and constants of a graph.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Message>,
    initializers: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
    metadata: Vec<(String, String)>,
}

/// TensorProto.DataType.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    Int64 = 7,
    String = 8,
    Double = 11,
}

/// The domain of the classical operators; the empty domain is ONNX's own.
pub(super) const ML: &str = "ai.onnx.ml";

// IR 8 came with ONNX 1.12, opset 17 and ai.onnx.ml 3: read by every ONNX Runtime since 1.12 (2022).
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
const ML_OPSET: i64 = 3;

impl Graph {
    pub(super) fn input(&mut self, name: &str, of: Type) {
        self.inputs.push(value_info(name, of, Some(1)));
    }

    /// `width` is the second dimension, none for a vector of one value per row.
    pub(super) fn output(&mut self, name: &str, of: Type, width: Option<i64>) {
        self.outputs.push(value_info(name, of, width));
    }

    pub(super) fn metadata(&mut self, key: &str, value: &str) {
        self.metadata.push((key.to_owned(), value.to_owned()));
    }

    pub(super) fn doubles(&mut self, name: &str, shape: &[i64], values: &[f64]) -> String {
        self.constant(name, shape, Type::Double, values.iter().flat_map(|v| v.to_le_bytes()))
    }

    pub(super) fn int64s(&mut self, name: &str, shape: &[i64], values: &[i64]) -> String {
        self.constant(name, shape, Type::Int64, values.iter().flat_map(|v| v.to_le_bytes()))
    }

    fn constant(
        &mut self,
        name: &str,
        shape: &[i64],
        of: Type,
        bytes: impl Iterator<Item = u8>,
    ) -> String {
        let tensor = Message::new()
            .each(shape, |m, &dim| m.int(1, dim))
            .int(2, of as i64)
            .text(8, name)
            .bytes(9, &bytes.collect::<Vec<u8>>());
        self.initializers.push(tensor);
        name.to_owned()
    }

    /// Appends a node of one output, which gives the node its name.
    pub(super) fn node(
        &mut self,
        (domain, operator): (&str, &str),
        inputs: &[&str],
        output: &str,
        attributes: Vec<Message>,
    ) -> String {
        let node = Message::new()
            .each(inputs, |m, input| m.text(1, input))
            .text(2, output)
            .text(3, output)
            .text(4, operator)
            .each(attributes, |m, attribute| m.message(5, attribute))
            .text(7, domain);
        self.nodes.push(node);
        output.to_owned()
    }

    pub(super) fn into_model(self, name: &str, doc: &str) -> Vec<u8> {
        let graph = Message::new()
            .each(self.nodes, |m, node| m.message(1, node))
            .text(2, name)
            .each(self.initializers, |m, tensor| m.message(5, tensor))
            .each(self.inputs, |m, input| m.message(11, input))
            .each(self.outputs, |m, output| m.message(12, output));
        let opset = |domain, version| Message::new().text(1, domain).int(2, version);
        Message::new()
            .int(1, IR_VERSION)
            .text(2, env!("CARGO_PKG_NAME"))
            .text(3, env!("CARGO_PKG_VERSION"))
            .text(6, doc)
            .message(7, graph)
            .message(8, opset("", OPSET))
            .message(8, opset(ML, ML_OPSET))
            .each(self.metadata, |m, (key, value)| {
                m.message(14, Message::new().text(1, &key).text(2, &value))
            })
            .into_bytes()
    }
}

/// A tensor of any number of rows.
fn value_info(name: &str, of: Type, width: Option<i64>) -> Message {
    let rows = Message::new().text(2, "N");
    let shape = Message::new()
        .message(1, rows)
        .each(width, |m, width| m.message(1, Message::new().int(1, width)));
    let tensor = Message::new().int(1, of as i64).message(2, shape);
    Message::new().text(1, name).message(2, Message::new().message(1, tensor))
}

pub(super) fn int_attribute(name: &str, value: i64) -> Message {
    Message::new().text(1, name).int(3, value).int(20, 2)
}

pub(super) fn ints_attribute(name: &str, values: impl IntoIterator<Item = i64>) -> Message {
    Message::new().text(1, name).each(values, |m, value| m.int(8, value)).int(20, 7)
}

pub(super) fn strings_attribute<'a>(
    name: &str,
    values: impl IntoIterator<Item = &'a str>,
) -> Message {
    Message::new().text(1, name).each(values, |m, value| m.text(9, value)).int(20, 8)
}
