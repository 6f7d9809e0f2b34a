//! A writer of protobuf, as small as the tests need it.

/// A message under construction.
#[derive(Debug, Clone, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

impl Message {
    pub(super) fn varint(mut self, number: u32, value: u64) -> Self {
        self.raw_varint(u64::from(number << 3));
        self.raw_varint(value);
        self
    }

    pub(super) fn bytes(mut self, number: u32, value: impl AsRef<[u8]>) -> Self {
        self.raw_varint(u64::from(number << 3 | 2));
        self.raw_varint(value.as_ref().len() as u64);
        self.0.extend_from_slice(value.as_ref());
        self
    }

    pub(super) fn inner(self, number: u32, value: Message) -> Self {
        self.bytes(number, value.0)
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

pub(super) fn m() -> Message {
    Message::default()
}
