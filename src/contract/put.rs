//! Writes protobuf from what is borrowed: no message is built in memory first, and nothing is allocated but the bytes.
//!
//! The bytes are those that `prost` makes of the generated types, when fields are written in the order of their numbers: tests
//! beside the callers compare them.

/// Writes the fields of a message at the end of a buffer. Those with default values are left out, as in proto3, unless they
/// are optional.
pub(crate) struct Put<'b>(pub(crate) &'b mut Vec<u8>);

/// How a value is encoded: the lowest bits of a key.
const VARINT: u32 = 0;
const BYTES: u32 = 2;

impl Put<'_> {
    /// Most numbers have one byte: that deserves a path of its own.
    #[inline]
    fn varint(&mut self, value: u64) {
        match u8::try_from(value) {
            Ok(byte) if byte < 0x80 => self.0.push(byte),
            _ => self.long_varint(value),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            #[allow(clippy::cast_possible_truncation)] // seven bits at a time
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        #[allow(clippy::cast_possible_truncation)] // the last seven
        self.0.push(value as u8);
    }

    #[inline]
    fn key(&mut self, number: u32, kind: u32) {
        self.varint(u64::from(number << 3 | kind));
    }

    /// `uint32`, `uint64`.
    #[inline]
    pub(crate) fn uint(&mut self, number: u32, value: impl Into<u64>) {
        let value = value.into();
        if value != 0 {
            self.always_uint(number, value);
        }
    }

    /// The same, optional.
    #[inline]
    pub(crate) fn optional_uint(&mut self, number: u32, value: Option<impl Into<u64>>) {
        if let Some(value) = value {
            self.always_uint(number, value.into());
        }
    }

    #[inline]
    fn always_uint(&mut self, number: u32, value: u64) {
        self.key(number, VARINT);
        self.varint(value);
    }

    /// `int32`, `int64` and enums: negative ones have ten bytes.
    #[inline]
    pub(crate) fn int(&mut self, number: u32, value: impl Into<i64>) {
        #[allow(clippy::cast_sign_loss)] // two's complement, as the format wants it
        self.uint(number, value.into() as u64);
    }

    /// An optional enum.
    #[inline]
    pub(crate) fn optional_int(&mut self, number: u32, value: Option<impl Into<i64>>) {
        #[allow(clippy::cast_sign_loss)] // as above
        self.optional_uint(number, value.map(|value| value.into() as u64));
    }

    /// `sint64`.
    #[inline]
    pub(crate) fn sint(&mut self, number: u32, value: i64) {
        self.uint(number, zigzag(value));
    }

    /// The same, optional.
    #[inline]
    pub(crate) fn optional_sint(&mut self, number: u32, value: Option<i64>) {
        self.optional_uint(number, value.map(zigzag));
    }

    /// `bool`.
    #[inline]
    pub(crate) fn flag(&mut self, number: u32, value: bool) {
        self.uint(number, value);
    }

    /// `string`, `bytes`.
    #[inline]
    pub(crate) fn bytes(&mut self, number: u32, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        if !value.is_empty() {
            self.always_bytes(number, value);
        }
    }

    /// The same, optional.
    #[inline]
    pub(crate) fn optional_bytes(&mut self, number: u32, value: Option<impl AsRef<[u8]>>) {
        if let Some(value) = value {
            self.always_bytes(number, value.as_ref());
        }
    }

    #[inline]
    fn always_bytes(&mut self, number: u32, value: &[u8]) {
        // Room for it all at once: key and length take six bytes at most where the value is shorter than 2 MiB.
        self.0.reserve(value.len() + 6);
        self.key(number, BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// A message, there even where it is empty.
    #[inline]
    pub(crate) fn message(&mut self, number: u32, fields: impl FnOnce(&mut Put<'_>)) {
        self.key(number, BYTES);
        let length_at = self.0.len();
        // Most are short: a length of more than a byte makes room for itself.
        self.0.push(0);
        let begin = self.0.len();
        fields(&mut Put(self.0));
        let length = self.0.len() - begin;
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => self.0[length_at] = short,
            _ => self.long(length_at, length),
        }
    }

    fn long(&mut self, length_at: usize, length: usize) {
        let mut prefix = Vec::with_capacity(10);
        Put(&mut prefix).varint(length as u64);
        self.0.splice(length_at..=length_at, prefix);
    }
}

/// Small numbers of either sign have few bytes.
const fn zigzag(value: i64) -> u64 {
    #[allow(clippy::cast_sign_loss)] // what the format is about
    let bits = ((value << 1) ^ (value >> 63)) as u64;
    bits
}
