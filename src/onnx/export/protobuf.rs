//! The few parts of protobuf's wire format that writing an ONNX graph takes.
//!
//! Wire types (protobuf.dev, "Encoding"): 0 is a varint, 2 a length and that many bytes, 5 four bytes. A field with an
//! empty or zero value is written too: in a repeated field it counts.

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn int(mut self, field: u32, value: i64) -> Self {
        self.key(field, 0);
        // Negative numbers take ten bytes, as int64 does.
        self.varint(value as u64);
        self
    }

    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub(super) fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub(super) fn message(self, field: u32, value: Message) -> Self {
        self.bytes(field, &value.0)
    }

    /// A repeated field.
    pub(super) fn each<T>(
        self,
        items: impl IntoIterator<Item = T>,
        write: impl Fn(Self, T) -> Self,
    ) -> Self {
        items.into_iter().fold(self, write)
    }

    fn key(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: Message, expected: &[u8]) {
        assert_eq!(message.into_bytes(), expected);
    }

    #[test]
    fn fields_have_the_bytes_of_the_specification() {
        // The examples of protobuf.dev, "Encoding": 150 in field 1, "testing" in field 2, an embedded message in field 3.
        check(Message::new().int(1, 150), &[0x08, 0x96, 0x01]);
        check(
            Message::new().text(2, "testing"),
            &[0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67],
        );
        check(
            Message::new().message(3, Message::new().int(1, 150)),
            &[0x1a, 0x03, 0x08, 0x96, 0x01],
        );
    }

    #[test]
    fn negative_numbers_take_ten_bytes_and_empty_fields_are_written() {
        let mut minus_one = vec![0x08];
        minus_one.extend([0xff; 9]);
        minus_one.push(0x01);
        check(Message::new().int(1, -1), &minus_one);
        check(Message::new().each(["", "a"], |m, s| m.text(1, s)), &[0x0a, 0, 0x0a, 1, b'a']);
    }
}
