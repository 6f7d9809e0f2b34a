//! Keys as SQL gives and takes them: bigint or text, over a model whose keys are whole numbers or text.

use crate::algo::recommend::Keys;
use crate::pg::bulk::RowWriter;

/// A type of key in a SQL function's arguments and results.
pub(super) trait Key: Sized + 'static {
    /// Whether every key of the model can be given as this type.
    fn can_read(keys: &Keys) -> bool;
    fn find(&self, keys: &Keys) -> Option<u32>;
    /// The key of a code; a code of the model always has one where [`Key::can_read`] says so.
    fn read(keys: &Keys, code: u32) -> Self;
}

impl Key for i64 {
    fn can_read(keys: &Keys) -> bool {
        matches!(keys, Keys::Integer(_))
    }

    fn find(&self, keys: &Keys) -> Option<u32> {
        keys.find_integer(*self)
    }

    fn read(keys: &Keys, code: u32) -> Self {
        match keys {
            Keys::Integer(keys) => keys.get(code as usize).copied().unwrap_or_default(),
            Keys::Text(_) => 0,
        }
    }
}

impl Key for String {
    fn can_read(_: &Keys) -> bool {
        true
    }

    fn find(&self, keys: &Keys) -> Option<u32> {
        keys.find_text(self)
    }

    fn read(keys: &Keys, code: u32) -> Self {
        keys.label(code)
    }
}

/// Writes a key as a field of a row.
pub(super) fn write(keys: &Keys, code: u32, row: &mut RowWriter) {
    match keys {
        Keys::Integer(keys) => row.integer(keys.get(code as usize).copied().unwrap_or_default()),
        Keys::Text(keys) => row.text(keys.get(code as usize).map_or("", String::as_str)),
    }
}
