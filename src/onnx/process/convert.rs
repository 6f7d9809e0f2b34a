//! Columns to ONNX Runtime's tensors and back.
//!
//! The model says which type it takes; a wider or narrower column is turned into it where no value is lost but the last
//! digits of a double. A ZipMap comes back as its classes and one matrix.

use std::collections::HashMap;

use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::{
    DynMap, DynMapValueType, DynValue, SequenceValueType, TensorElementType, TensorRef, ValueType,
};

use super::system::strings_length;
use crate::onnx::wire::{self, Batch, Data, Element, Output, Port, Tensor, collect, with_room};

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("model has no input \"{0}\"")]
    UnknownInput(String),
    #[error("input \"{0}\" is given twice")]
    TwiceGiven(String),
    #[error("input \"{0}\" is not given")]
    MissingInput(String),
    #[error("input \"{name}\" takes {expected} columns, not {found}")]
    Width { name: String, expected: i64, found: u32 },
    #[error("input \"{name}\" takes {expected} rows at a time, not {found}")]
    Rows { name: String, expected: i64, found: u32 },
    #[error("input \"{0}\" has a type that cannot be given")]
    UnsupportedInput(String),
    #[error("input \"{name}\" takes {expected}, not {found}")]
    Type { name: String, expected: &'static str, found: &'static str },
    #[error("input \"{name}\" cannot hold the value {value}")]
    OutOfRange { name: String, value: i64 },
    #[error("input \"{name}\" cannot hold the value {value}, which is beyond its 16 bits")]
    TooLarge { name: String, value: f32 },
    #[error("input \"{0}\" has text with a NUL byte")]
    Nul(String),
    #[error("output \"{0}\" has a type that cannot be read")]
    UnsupportedOutput(String),
    #[error(
        "output \"{name}\" has no row for each of the {expected} rows that the model takes at a time"
    )]
    OutputRows { name: String, expected: u32 },
    #[error("output \"{0}\" has different classes from row to row")]
    UnevenClasses(String),
    #[error("model gave no output \"{0}\"")]
    NoOutput(String),
    #[error("output \"{name}\" has {found} bytes, and only {allowed} may be answered")]
    OutputTooLarge { name: String, found: u64, allowed: u64 },
    #[error("{0}")]
    NoMemory(#[from] wire::Error),
    #[error("{0}")]
    Runtime(#[from] ort::Error),
}

/// The inputs in the model's order.
pub(super) fn inputs<'a>(
    batch: &'a Batch,
    ports: &'a [Port],
) -> Result<Vec<(&'a str, SessionInputValue<'a>)>, Error> {
    let mut given: HashMap<&str, &Tensor> = HashMap::with_capacity(batch.tensors.len());
    for tensor in &batch.tensors {
        if given.insert(&tensor.name, tensor).is_some() {
            return Err(Error::TwiceGiven(tensor.name.clone()));
        }
    }
    let mut inputs = Vec::with_capacity(ports.len());
    for port in ports {
        let tensor = given
            .remove(port.name.as_str())
            .ok_or_else(|| Error::MissingInput(port.name.clone()))?;
        inputs.push((port.name.as_str(), input(port, tensor, batch.n_rows)?));
    }
    match given.keys().min() {
        Some(unknown) => Err(Error::UnknownInput((*unknown).to_owned())),
        None => Ok(inputs),
    }
}

fn input<'a>(port: &Port, tensor: &'a Tensor, n_rows: u32) -> Result<SessionInputValue<'a>, Error> {
    let shape = shape(port, tensor.width, n_rows)?;
    let wrong = |expected, found| Error::Type { name: port.name.clone(), expected, found };
    let too_large = |value: f32| Error::TooLarge { name: port.name.clone(), value };
    let narrow = |value: i64| Error::OutOfRange { name: port.name.clone(), value };
    Ok(match (port.element, &tensor.data) {
        (Element::Float, Data::F32(values)) => {
            TensorRef::from_array_view((shape, values.as_slice()))?.into()
        }
        (Element::Float, Data::F64(values)) => {
            owned(shape, collect(values.iter().map(|&value| value as f32))?)?
        }
        (Element::Float, Data::I64(values)) => {
            owned(shape, collect(values.iter().map(|&value| value as f32))?)?
        }
        (Element::Double, Data::F64(values)) => {
            TensorRef::from_array_view((shape, values.as_slice()))?.into()
        }
        (Element::Double, Data::F32(values)) => {
            owned(shape, collect(values.iter().map(|&value| f64::from(value)))?)?
        }
        (Element::Double, Data::I64(values)) => {
            owned(shape, collect(values.iter().map(|&value| value as f64))?)?
        }
        (Element::Int64, Data::I64(values)) => {
            TensorRef::from_array_view((shape, values.as_slice()))?.into()
        }
        (Element::Half, Data::F32(values)) => {
            owned(shape, halved(values, f16::from_f32, f16::is_finite, too_large)?)?
        }
        (Element::BFloat, Data::F32(values)) => {
            owned(shape, halved(values, bf16::from_f32, bf16::is_finite, too_large)?)?
        }
        (Element::Int32, Data::I64(values)) => owned(shape, cut::<i32>(values, narrow)?)?,
        (Element::Int16, Data::I64(values)) => owned(shape, cut::<i16>(values, narrow)?)?,
        (Element::Int8, Data::I64(values)) => owned(shape, cut::<i8>(values, narrow)?)?,
        (Element::Uint64, Data::I64(values)) => owned(shape, cut::<u64>(values, narrow)?)?,
        (Element::Uint32, Data::I64(values)) => owned(shape, cut::<u32>(values, narrow)?)?,
        (Element::Uint16, Data::I64(values)) => owned(shape, cut::<u16>(values, narrow)?)?,
        (Element::Uint8, Data::I64(values)) => owned(shape, cut::<u8>(values, narrow)?)?,
        (Element::Bool, Data::I64(values)) => {
            let mut cut = with_room(values.len())?;
            for &value in values {
                cut.push(match value {
                    0 => false,
                    1 => true,
                    _ => return Err(narrow(value)),
                });
            }
            owned(shape, cut)?
        }
        (Element::String, Data::Str(values)) => {
            if values.iter().any(|value| value.contains('\0')) {
                return Err(Error::Nul(port.name.clone()));
            }
            // The binding makes a copy of each, and a list of those.
            probe(values.iter().map(|value| value.len() as u64 + 64).sum())?;
            ort::value::Tensor::from_string_array((shape, values.as_slice()))?.into()
        }
        (Element::Other, _) => return Err(Error::UnsupportedInput(port.name.clone())),
        (Element::String, _) => return Err(wrong("text", kind(&tensor.data))),
        (element, _) if element.is_whole() => {
            return Err(wrong("whole numbers", kind(&tensor.data)));
        }
        (_, Data::Str(_)) => return Err(wrong("numbers", "text")),
        (_, other) => return Err(wrong("32-bit fractions", kind(other))),
    })
}

/// Floats of 16 bits; refuses one that is beyond them.
fn halved<T: Copy>(
    values: &[f32],
    half: impl Fn(f32) -> T,
    is_finite: impl Fn(T) -> bool,
    too_large: impl Fn(f32) -> Error,
) -> Result<Vec<T>, Error> {
    let mut halves = with_room(values.len())?;
    for &value in values {
        let half = half(value);
        if value.is_finite() && !is_finite(half) {
            return Err(too_large(value));
        }
        halves.push(half);
    }
    Ok(halves)
}

/// Whole numbers of fewer bits.
fn cut<T: TryFrom<i64>>(values: &[i64], narrow: impl Fn(i64) -> Error) -> Result<Vec<T>, Error> {
    let mut cut = with_room(values.len())?;
    for &value in values {
        cut.push(T::try_from(value).map_err(|_| narrow(value))?);
    }
    Ok(cut)
}

/// Whether so many bytes are to be had, before the binding takes them without asking.
fn probe(bytes: u64) -> Result<(), Error> {
    with_room::<u8>(usize::try_from(bytes).unwrap_or(usize::MAX)).map(drop).map_err(Error::from)
}

fn kind(data: &Data) -> &'static str {
    match data {
        Data::F32(_) | Data::F64(_) => "fractions",
        Data::I64(_) => "whole numbers",
        Data::Str(_) => "text",
    }
}

fn owned<T>(shape: Vec<i64>, values: Vec<T>) -> Result<SessionInputValue<'static>, Error>
where
    T: ort::value::PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    Ok(ort::value::Tensor::from_array((shape, values))?.into())
}

/// How many rows the model takes at a time, where it says so.
pub(super) fn rows_at_once(ports: &[Port]) -> Option<u32> {
    let firsts = ports.iter().filter_map(|port| port.shape.first());
    firsts.filter_map(|&first| u32::try_from(first).ok()).find(|first| *first > 0)
}

/// Adds the outputs of further rows, of which each output has `n_rows`.
pub(super) fn join(all: &mut Vec<Output>, piece: Vec<Output>, n_rows: u32) -> Result<(), Error> {
    if let Some(output) = piece.iter().find(|one| one.shape.first() != Some(&i64::from(n_rows))) {
        return Err(Error::OutputRows { name: output.name.clone(), expected: n_rows });
    }
    if all.is_empty() {
        *all = piece;
        return Ok(());
    }
    for (output, piece) in all.iter_mut().zip(piece) {
        let is_alike = output.shape[1..] == piece.shape[1..] && output.classes == piece.classes;
        if !is_alike || !output.data.append(piece.data)? {
            return Err(Error::UnevenClasses(output.name.clone()));
        }
        output.shape[0] += i64::from(n_rows);
    }
    Ok(())
}

/// Leaves out the rows behind the first ones: they were there to fill the model's own number.
pub(super) fn shorten(outputs: &mut [Output], n_rows: u32) {
    for output in outputs {
        let width: i64 = output.shape[1..].iter().product();
        output.shape[0] = i64::from(n_rows);
        output.data.truncate((i64::from(n_rows) * width) as usize);
    }
}

/// The shape to give: the model's own with the first dimension as rows; [rows, width] where it leaves that open.
fn shape(port: &Port, width: u32, n_rows: u32) -> Result<Vec<i64>, Error> {
    let (rows, columns) = (i64::from(n_rows), i64::from(width));
    let wrong_width = |expected| Error::Width { name: port.name.clone(), expected, found: width };
    let Some((&first, rest)) = port.shape.split_first() else { return Ok(vec![rows, columns]) };
    if first >= 0 && first != rows {
        return Err(Error::Rows { name: port.name.clone(), expected: first, found: n_rows });
    }
    match rest {
        [] if width == 1 => Ok(vec![rows]),
        [] => Err(wrong_width(1)),
        [open] if *open < 0 => Ok(vec![rows, columns]),
        _ => {
            let expected = rest.iter().try_fold(1_i64, |product, &size| {
                if size < 0 { None } else { product.checked_mul(size) }
            });
            match expected {
                Some(expected) if expected == columns => Ok([&[rows], rest].concat()),
                Some(expected) => Err(wrong_width(expected)),
                None => Err(Error::UnsupportedInput(port.name.clone())),
            }
        }
    }
}

/// An output of at most `allowed` bytes; what it has is known before it is copied.
pub(super) fn output(name: &str, value: &DynValue, allowed: u64) -> Result<Output, Error> {
    match value.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            // As many as a frame can say.
            if shape.len() > usize::from(u8::MAX) {
                return Err(Error::UnsupportedOutput(name.to_owned()));
            }
            check_size(name, tensor_size(*ty, shape, value)?, allowed)?;
            let data = tensor_data(name, *ty, value)?;
            Ok(Output { name: name.to_owned(), shape: shape.to_vec(), data, classes: None })
        }
        ValueType::Sequence(inner) => match inner.as_ref() {
            ValueType::Map { key, value: probability } => {
                zipmap(name, value, *key, *probability, allowed)
            }
            _ => Err(Error::UnsupportedOutput(name.to_owned())),
        },
        _ => Err(Error::UnsupportedOutput(name.to_owned())),
    }
}

fn check_size(name: &str, found: u64, allowed: u64) -> Result<(), Error> {
    if found > allowed {
        return Err(Error::OutputTooLarge { name: name.to_owned(), found, allowed });
    }
    Ok(())
}

/// What a tensor comes to in a frame.
fn tensor_size(element: TensorElementType, shape: &[i64], value: &DynValue) -> Result<u64, Error> {
    let n = shape.iter().try_fold(1_u64, |n, &size| n.checked_mul(u64::try_from(size).ok()?));
    let n = n.unwrap_or(u64::MAX);
    Ok(match element {
        TensorElementType::Float32 | TensorElementType::Float16 | TensorElementType::Bfloat16 => {
            n.saturating_mul(4)
        }
        // The place of each, too.
        TensorElementType::String => n.saturating_mul(40).saturating_add(strings_length(value)?),
        // Whole numbers of any width become eight bytes.
        _ => n.saturating_mul(8),
    })
}

fn tensor_data(name: &str, element: TensorElementType, value: &DynValue) -> Result<Data, Error> {
    macro_rules! whole {
        ($kind:ty) => {
            Data::I64(collect(
                value.try_extract_tensor::<$kind>()?.1.iter().map(|&value| i64::from(value)),
            )?)
        };
    }
    Ok(match element {
        TensorElementType::Float32 => Data::F32(copy(value.try_extract_tensor::<f32>()?.1)?),
        TensorElementType::Float64 => Data::F64(copy(value.try_extract_tensor::<f64>()?.1)?),
        TensorElementType::Float16 => {
            let values = value.try_extract_tensor::<f16>()?.1;
            Data::F32(collect(values.iter().map(|value| value.to_f32()))?)
        }
        TensorElementType::Bfloat16 => {
            let values = value.try_extract_tensor::<bf16>()?.1;
            Data::F32(collect(values.iter().map(|value| value.to_f32()))?)
        }
        // Beyond the whole numbers of PostgreSQL they are told as fractions.
        TensorElementType::Uint64 => {
            let values = value.try_extract_tensor::<u64>()?.1;
            match values.iter().all(|&value| i64::try_from(value).is_ok()) {
                true => Data::I64(collect(values.iter().map(|&value| value.cast_signed()))?),
                false => Data::F64(collect(values.iter().map(|&value| value as f64))?),
            }
        }
        TensorElementType::Int64 => Data::I64(copy(value.try_extract_tensor::<i64>()?.1)?),
        TensorElementType::Int32 => whole!(i32),
        TensorElementType::Int16 => whole!(i16),
        TensorElementType::Int8 => whole!(i8),
        TensorElementType::Uint32 => whole!(u32),
        TensorElementType::Uint16 => whole!(u16),
        TensorElementType::Uint8 => whole!(u8),
        TensorElementType::Bool => whole!(bool),
        TensorElementType::String => {
            let (length, n) = (strings_length(value)?, value.shape().num_elements() as u64);
            // All of it in one piece, then each by itself, and the places of both.
            probe(length.saturating_mul(2).saturating_add(n.saturating_mul(64)))?;
            Data::Str(value.try_extract_strings()?.1)
        }
        _ => return Err(Error::UnsupportedOutput(name.to_owned())),
    })
}

fn copy<T: Copy>(values: &[T]) -> Result<Vec<T>, Error> {
    Ok(collect(values.iter().copied())?)
}

fn zipmap(
    name: &str,
    value: &DynValue,
    key: TensorElementType,
    probability: TensorElementType,
    allowed: u64,
) -> Result<Output, Error> {
    if probability != TensorElementType::Float32 {
        return Err(Error::UnsupportedOutput(name.to_owned()));
    }
    let maps = value.view().downcast::<SequenceValueType<DynMapValueType>>()?;
    let n_rows = maps.len();
    let map = |row| maps.get(row).ok_or_else(|| Error::UnsupportedOutput(name.to_owned()));
    let (shape, data, classes) = match key {
        TensorElementType::Int64 => {
            let (n_classes, values, classes) = rows::<i64>(name, n_rows, map, allowed)?;
            ([n_rows as i64, n_classes], values, Data::I64(classes))
        }
        TensorElementType::String => {
            let (n_classes, values, classes) = rows::<String>(name, n_rows, map, allowed)?;
            ([n_rows as i64, n_classes], values, Data::Str(classes))
        }
        _ => return Err(Error::UnsupportedOutput(name.to_owned())),
    };
    Ok(Output {
        name: name.to_owned(),
        shape: shape.to_vec(),
        data: Data::F32(data),
        classes: Some(classes),
    })
}

/// Every row must have the classes of the first, in its order.
fn rows<K>(
    name: &str,
    n_rows: usize,
    map: impl Fn(usize) -> Result<DynMap, Error>,
    allowed: u64,
) -> Result<(i64, Vec<f32>, Vec<K>), Error>
where
    K: ort::value::IntoTensorElementType + Clone + std::hash::Hash + Eq,
{
    let mut classes: Vec<K> = Vec::new();
    let mut values = Vec::new();
    for row in 0..n_rows {
        let pairs: Vec<(K, f32)> = map(row)?.try_extract_key_values()?;
        if row == 0 {
            let n_values = pairs.len().saturating_mul(n_rows);
            check_size(name, (n_values as u64).saturating_mul(4), allowed)?;
            classes = pairs.iter().map(|(class, _)| class.clone()).collect();
            values = with_room(n_values)?;
        }
        if !classes.iter().eq(pairs.iter().map(|(class, _)| class)) {
            return Err(Error::UnevenClasses(name.to_owned()));
        }
        values.extend(pairs.iter().map(|(_, value)| value));
    }
    Ok((classes.len() as i64, values, classes))
}
