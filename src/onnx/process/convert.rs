//! Columns to ONNX Runtime's tensors.
//!
//! The model says which type it takes; a wider or narrower column is turned into it where no value is lost but the last
//! digits of a double.

use std::collections::HashMap;

use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::TensorRef;

use crate::onnx::wire::{self, Batch, Data, Element, ErrorKind, Port, Tensor, collect, with_room};

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

impl Error {
    /// What is wrong where inputs cannot be made.
    pub(super) fn of_inputs(&self) -> ErrorKind {
        match self {
            Self::OutOfRange { .. } | Self::TooLarge { .. } => ErrorKind::ValueOutOfRange,
            _ => ErrorKind::InputMismatch,
        }
    }
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
pub(super) fn probe(bytes: u64) -> Result<(), Error> {
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
