//! The ONNX messages, field by field, as of IR version 13 (onnx.proto of ONNX 1.23).
//!
//! A field that is not listed is refused: it could carry a tensor, and so a file name, past the scan.

/// The messages that a model is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Function,
    ValueInfo,
    Type,
    TensorType,
    SparseTensorType,
    SequenceType,
    MapType,
    OptionalType,
    OpaqueType,
    Shape,
    Dimension,
    OperatorSet,
    Training,
    KeyValue,
    TensorAnnotation,
    Segment,
    Device,
    NodeDevice,
    Sharding,
    ShardedDimension,
    SimpleShardedDimension,
    DeviceGroup,
}

/// What a field holds, and so which wire forms are right for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Number,
    /// Numbers of any width, one by one or packed.
    Numbers,
    Float,
    /// A name: UTF-8 without NUL.
    Name,
    /// Free text or bytes; it never becomes a name.
    Bytes,
    Inner(Message),
}

use Holds::{Bytes, Float, Inner, Name, Number, Numbers};
use Message as M;

/// What field `number` of `message` holds; None when there is no such field.
pub(super) fn holds(message: Message, number: u32) -> Option<Holds> {
    let found = match (message, number) {
        (M::Model, 1 | 5) => Number,
        (M::Model, 2..=4) => Name,
        (M::Model, 6) => Bytes,
        (M::Model, 7) => Inner(M::Graph),
        (M::Model, 8) => Inner(M::OperatorSet),
        (M::Model, 14) => Inner(M::KeyValue),
        (M::Model, 20) => Inner(M::Training),
        (M::Model, 25) => Inner(M::Function),
        (M::Model, 26) => Inner(M::Device),

        (M::Graph, 1) => Inner(M::Node),
        (M::Graph, 2) => Name,
        (M::Graph, 5) => Inner(M::Tensor),
        (M::Graph, 10) => Bytes,
        (M::Graph, 11..=13) => Inner(M::ValueInfo),
        (M::Graph, 14) => Inner(M::TensorAnnotation),
        (M::Graph, 15) => Inner(M::SparseTensor),
        (M::Graph, 16) => Inner(M::KeyValue),

        (M::Node, 1..=4 | 7 | 8) => Name,
        (M::Node, 5) => Inner(M::Attribute),
        (M::Node, 6) => Bytes,
        (M::Node, 9) => Inner(M::KeyValue),
        (M::Node, 10) => Inner(M::NodeDevice),

        (M::Attribute, 1 | 21) => Name,
        (M::Attribute, 2) => Float,
        (M::Attribute, 3 | 20) => Number,
        (M::Attribute, 4 | 9 | 13) => Bytes,
        (M::Attribute, 5 | 10) => Inner(M::Tensor),
        (M::Attribute, 6 | 11) => Inner(M::Graph),
        (M::Attribute, 7 | 8) => Numbers,
        (M::Attribute, 14 | 15) => Inner(M::Type),
        (M::Attribute, 22 | 23) => Inner(M::SparseTensor),

        (M::Tensor, 1 | 4 | 5 | 7 | 10 | 11) => Numbers,
        (M::Tensor, 2 | 14) => Number,
        (M::Tensor, 3) => Inner(M::Segment),
        (M::Tensor, 6 | 9 | 12) => Bytes,
        (M::Tensor, 8) => Name,
        (M::Tensor, 13 | 16) => Inner(M::KeyValue),

        (M::SparseTensor, 1 | 2) => Inner(M::Tensor),
        (M::SparseTensor, 3) => Numbers,

        (M::Function, 1 | 4..=6 | 10 | 13) => Name,
        (M::Function, 7) => Inner(M::Node),
        (M::Function, 8) => Bytes,
        (M::Function, 9) => Inner(M::OperatorSet),
        (M::Function, 11) => Inner(M::Attribute),
        (M::Function, 12) => Inner(M::ValueInfo),
        (M::Function, 14) => Inner(M::KeyValue),

        (M::ValueInfo, 1) => Name,
        (M::ValueInfo, 2) => Inner(M::Type),
        (M::ValueInfo, 3) => Bytes,
        (M::ValueInfo, 4) => Inner(M::KeyValue),

        (M::Type, 1) => Inner(M::TensorType),
        (M::Type, 4) => Inner(M::SequenceType),
        (M::Type, 5) => Inner(M::MapType),
        (M::Type, 6) => Name,
        (M::Type, 7) => Inner(M::OpaqueType),
        (M::Type, 8) => Inner(M::SparseTensorType),
        (M::Type, 9) => Inner(M::OptionalType),
        (M::TensorType | M::SparseTensorType, 1) => Number,
        (M::TensorType | M::SparseTensorType, 2) => Inner(M::Shape),
        (M::SequenceType | M::OptionalType, 1) => Inner(M::Type),
        (M::MapType, 1) => Number,
        (M::MapType, 2) => Inner(M::Type),
        (M::OpaqueType, 1 | 2) => Name,
        (M::Shape, 1) => Inner(M::Dimension),
        (M::Dimension, 1) => Number,
        (M::Dimension, 2 | 3) => Name,

        (M::OperatorSet, 1) => Name,
        (M::OperatorSet, 2) => Number,
        (M::Training, 1 | 2) => Inner(M::Graph),
        (M::Training, 3 | 4) => Inner(M::KeyValue),
        (M::KeyValue, 1) => Name,
        (M::KeyValue, 2) => Bytes,
        (M::TensorAnnotation, 1) => Name,
        (M::TensorAnnotation, 2) => Inner(M::KeyValue),
        (M::Segment, 1 | 2) => Number,

        (M::Device, 1 | 3) => Name,
        (M::Device, 2) => Number,
        (M::NodeDevice, 1) => Name,
        (M::NodeDevice, 2) => Inner(M::Sharding),
        (M::NodeDevice, 3) => Number,
        (M::Sharding, 1) => Name,
        (M::Sharding, 2) => Numbers,
        (M::Sharding, 3) => Inner(M::DeviceGroup),
        (M::Sharding, 4) => Inner(M::ShardedDimension),
        (M::ShardedDimension, 1) => Number,
        (M::ShardedDimension, 2) => Inner(M::SimpleShardedDimension),
        (M::SimpleShardedDimension, 1 | 3) => Number,
        (M::SimpleShardedDimension, 2) => Name,
        (M::DeviceGroup, 1) => Number,
        (M::DeviceGroup, 2) => Numbers,
        _ => return None,
    };
    Some(found)
}
