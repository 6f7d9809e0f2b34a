//! Keys as SQL gives and takes them: bigint or text, over a model whose keys are whole numbers or text.

use crate::algo::recommend::Keys;
use crate::pg::error::Report;
use crate::pg::rows::bulk::RowWriter;
use crate::pg::types::key::canonical;

use super::served::KeyColumn;

/// A type of key in a SQL function's arguments and results.
pub(super) trait Key: Sized + ToString + 'static {
    /// Whether every key of the model can be given as this type.
    fn can_read(keys: &Keys) -> bool;
    /// The code of a key that is written in any way that is equal in the column's type.
    fn find(&self, column: &KeyColumn, keys: &Keys) -> Result<Option<u32>, Report>;
    /// The key of a code; a code of the model always has one where [`Key::can_read`] says so.
    fn read(keys: &Keys, code: u32) -> Self;
}

impl Key for i64 {
    fn can_read(keys: &Keys) -> bool {
        matches!(keys, Keys::Integer(_))
    }

    fn find(&self, column: &KeyColumn, keys: &Keys) -> Result<Option<u32>, Report> {
        match keys {
            Keys::Integer(_) => Ok(keys.find_integer(*self)),
            Keys::Text(_) | Keys::Folded { .. } => find_text(&self.to_string(), column, keys),
        }
    }

    fn read(keys: &Keys, code: u32) -> Self {
        match keys {
            Keys::Integer(keys) => keys.get(code as usize).copied().unwrap_or_default(),
            Keys::Text(_) | Keys::Folded { .. } => 0,
        }
    }
}

impl Key for String {
    fn can_read(_: &Keys) -> bool {
        true
    }

    fn find(&self, column: &KeyColumn, keys: &Keys) -> Result<Option<u32>, Report> {
        find_text(self, column, keys)
    }

    fn read(keys: &Keys, code: u32) -> Self {
        keys.text(code)
    }
}

/// Writes a key as a field of a row.
pub(super) fn write(keys: &Keys, code: u32, row: &mut RowWriter) {
    match keys {
        Keys::Integer(keys) => row.integer(keys.get(code as usize).copied().unwrap_or_default()),
        Keys::Text(shown) | Keys::Folded { shown, .. } => {
            row.text(shown.get(code as usize).map_or("", String::as_str))
        }
    }
}

/// The code of a key from its text, however the column's type lets it be written.
pub(super) fn find_text(
    text: &str,
    column: &KeyColumn,
    keys: &Keys,
) -> Result<Option<u32>, Report> {
    Ok(canonical(column.form, text).and_then(|key| keys.find_text(&key)))
}
