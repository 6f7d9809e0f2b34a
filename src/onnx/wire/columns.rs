//! Batches and outputs: columns of numbers and text, the bulk of what is sent.

use super::bytes::{Reader, put_text, put_texts, put_words, with_room};
use super::{Error, MAX_COLUMNS, MAX_ROWS};

/// Rows by columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub n_rows: u32,
    pub tensors: Vec<Tensor>,
}

/// The values for one input of the model, row by row, `width` to a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub width: u32,
    pub data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I64(Vec<i64>),
    Str(Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    pub name: String,
    pub shape: Vec<i64>,
    pub data: Data,
    /// What the columns stand for, when the model says so (ZipMap): I64 or Str.
    pub classes: Option<Data>,
}

impl Data {
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::Str(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds other values of the same type; false, and nothing added, of another one.
    pub fn append(&mut self, other: Self) -> Result<bool, Error> {
        match (self, other) {
            (Self::F32(values), Self::F32(other)) => extend(values, other),
            (Self::F64(values), Self::F64(other)) => extend(values, other),
            (Self::I64(values), Self::I64(other)) => extend(values, other),
            (Self::Str(values), Self::Str(other)) => extend(values, other),
            _ => return Ok(false),
        }?;
        Ok(true)
    }

    pub fn truncate(&mut self, n: usize) {
        match self {
            Self::F32(values) => values.truncate(n),
            Self::F64(values) => values.truncate(n),
            Self::I64(values) => values.truncate(n),
            Self::Str(values) => values.truncate(n),
        }
    }

    /// Some rows of `width` values, the last one again and again where there are fewer than `n_rows` of them.
    fn rows(&self, first: usize, n_rows: usize, width: usize) -> Result<Self, Error> {
        let last = (self.len() / width.max(1)).saturating_sub(1);
        let places = (first..first + n_rows).flat_map(|row| {
            let start = row.min(last) * width;
            start..start + width
        });
        Ok(match self {
            Self::F32(values) => Self::F32(collect_rows(places, n_rows * width, values)?),
            Self::F64(values) => Self::F64(collect_rows(places, n_rows * width, values)?),
            Self::I64(values) => Self::I64(collect_rows(places, n_rows * width, values)?),
            Self::Str(values) => Self::Str(collect_rows(places, n_rows * width, values)?),
        })
    }

    /// The bytes that it has in a frame.
    pub(super) fn size(&self) -> u64 {
        let n = self.len() as u64;
        9 + match self {
            Self::F32(_) => 4 * n,
            Self::F64(_) | Self::I64(_) => 8 * n,
            Self::Str(values) => 4 * n + values.iter().map(|text| text.len() as u64).sum::<u64>(),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let (tag, len) = match self {
            Self::F32(values) => (1_u8, values.len()),
            Self::F64(values) => (2, values.len()),
            Self::I64(values) => (3, values.len()),
            Self::Str(values) => (4, values.len()),
        };
        out.push(tag);
        out.extend_from_slice(&(len as u64).to_le_bytes());
        match self {
            Self::F32(values) => put_words(out, values, f32::to_le_bytes),
            Self::F64(values) => put_words(out, values, f64::to_le_bytes),
            Self::I64(values) => put_words(out, values, i64::to_le_bytes),
            Self::Str(values) => put_texts(out, values),
        }
    }

    pub(super) fn get(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let tag = reader.u8()?;
        let len = usize::try_from(reader.u64()?).map_err(|_| Error::Truncated)?;
        match tag {
            1 => Ok(Self::F32(reader.f32s(len)?)),
            2 => Ok(Self::F64(reader.f64s(len)?)),
            3 => Ok(Self::I64(reader.i64s(len)?)),
            4 => Ok(Self::Str(reader.texts(len)?)),
            _ => Err(Error::Malformed { what: "column type" }),
        }
    }
}

fn extend<T>(values: &mut Vec<T>, other: Vec<T>) -> Result<(), Error> {
    let bytes = (other.len() * size_of::<T>()) as u64;
    values.try_reserve(other.len()).map_err(|_| Error::NoMemory { bytes })?;
    values.extend(other);
    Ok(())
}

fn collect_rows<T: Clone>(
    places: impl Iterator<Item = usize>,
    n: usize,
    values: &[T],
) -> Result<Vec<T>, Error> {
    let mut rows = with_room(n)?;
    rows.extend(places.map(|place| values[place].clone()));
    Ok(rows)
}

impl Batch {
    /// The rows in parts of so many, the last one filled up with its last row.
    pub fn parts(&self, n_rows: u32) -> Result<Vec<Self>, Error> {
        limit("rows", n_rows.into(), MAX_ROWS.into())?;
        let part = |first: u32| {
            let tensors = self.tensors.iter().map(|Tensor { name, width, data }| {
                let data = data.rows(first as usize, n_rows as usize, *width as usize)?;
                Ok(Tensor { name: name.clone(), width: *width, data })
            });
            Ok(Self { n_rows, tensors: tensors.collect::<Result<_, Error>>()? })
        };
        (0..self.n_rows).step_by(n_rows.max(1) as usize).map(part).collect()
    }

    /// What both sides hold a batch to.
    pub fn check(&self) -> Result<(), Error> {
        limit("rows", self.n_rows.into(), MAX_ROWS.into())?;
        let columns = self.tensors.iter().map(|tensor| u64::from(tensor.width)).sum();
        limit("columns", columns, MAX_COLUMNS.into())?;
        limit("inputs", self.tensors.len() as u64, MAX_COLUMNS.into())?;
        for Tensor { name, width, data } in &self.tensors {
            let expected = u64::from(*width) * u64::from(self.n_rows);
            if data.len() as u64 != expected {
                return Err(Error::DimensionMismatch {
                    name: name.clone(),
                    expected,
                    found: data.len() as u64,
                });
            }
        }
        Ok(())
    }
}

impl Tensor {
    pub(super) fn size(&self) -> u64 {
        8 + self.name.len() as u64 + self.data.size()
    }
}

impl Output {
    /// The bytes that it has in a frame.
    pub fn size(&self) -> u64 {
        let shape = 8 * self.shape.len() as u64;
        let classes = self.classes.as_ref().map_or(0, Data::size);
        6 + self.name.len() as u64 + shape + self.data.size() + classes
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_text(out, &self.name);
        out.push(self.shape.len() as u8);
        self.shape.iter().for_each(|size| out.extend_from_slice(&size.to_le_bytes()));
        self.data.put(out);
        out.push(u8::from(self.classes.is_some()));
        self.classes.iter().for_each(|classes| classes.put(out));
    }

    pub(super) fn get(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let name = reader.text()?;
        let rank = reader.u8()?;
        let shape = reader.i64s(rank.into())?;
        let data = Data::get(reader)?;
        // The shape is what the caller indexes by.
        let due =
            shape.iter().try_fold(1_u64, |due, &size| due.checked_mul(u64::try_from(size).ok()?));
        if due != Some(data.len() as u64) {
            return Err(Error::DimensionMismatch {
                name,
                expected: due.unwrap_or(0),
                found: data.len() as u64,
            });
        }
        let classes = match reader.u8()? {
            0 => None,
            _ => Some(Data::get(reader)?),
        };
        if let Some(classes) = &classes {
            let columns = shape.get(1).map_or(1, |&columns| columns as u64);
            if shape.len() > 2 || classes.len() as u64 != columns {
                return Err(Error::DimensionMismatch {
                    name,
                    expected: columns,
                    found: classes.len() as u64,
                });
            }
        }
        Ok(Self { name, shape, data, classes })
    }
}

pub(super) fn limit(what: &'static str, found: u64, allowed: u64) -> Result<(), Error> {
    if found > allowed { Err(Error::TooMany { what, found, allowed }) } else { Ok(()) }
}
