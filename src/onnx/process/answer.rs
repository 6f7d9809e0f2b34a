//! Outputs of ONNX Runtime as a backend is told them: a ZipMap as its classes and one matrix, those of several batches as one.

use half::{bf16, f16};
use ort::value::{
    DynMap, DynMapValueType, DynValue, SequenceValueType, TensorElementType, ValueType,
};

use super::convert::{Error, probe};
use super::system::strings_length;
use crate::onnx::wire::{Data, Output, collect, with_room};

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

/// A model that takes one row at a time may leave out the dimension of the rows.
pub(super) fn as_rows(outputs: &mut [Output], n_rows: u32) {
    for output in outputs.iter_mut().filter(|output| n_rows == 1 && output.shape.len() <= 1) {
        if output.shape != [1] {
            output.shape.insert(0, 1);
        }
    }
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
        let is_alike = output.name == piece.name
            && output.shape[1..] == piece.shape[1..]
            && output.classes == piece.classes;
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
