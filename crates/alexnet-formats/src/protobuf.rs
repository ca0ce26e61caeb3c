//! Protocol buffers on the wire: enough to walk through a message and locate its long fields, and to write one without holding it
//! in memory.
//!
//! Code generators (prost, protobuf) load the whole message into memory, once as bytes and once as values. This module reads only
//! the weights that are needed, and a message consists of just four kinds of fields.

use super::reader::{Cursor, ParseResult};
use super::tensor_data::{LateValues, write_values};
use std::io::{self, Write};

/// A field's content.
#[derive(Debug)]
pub(crate) enum Field<'a> {
    /// An integer of any kind.
    Varint(u64),
    /// 8 bytes: a double.
    Fixed64([u8; 8]),
    /// 4 bytes: a float.
    Fixed32([u8; 4]),
    /// A string, a message, or packed numbers.
    Bytes(Cursor<'a>),
}

/// The next field and its number, or `None` at the end of the message.
///
/// # Errors
/// A field longer than the remaining bytes, or of an unknown wire type.
pub(crate) fn next<'a>(cursor: &mut Cursor<'a>) -> ParseResult<Option<(u64, Field<'a>)>> {
    if cursor.left() == 0 {
        return Ok(None);
    }
    let at = cursor.at();
    let tag = varint(cursor)?;
    if tag >> 3 == 0 {
        // Gigabytes of zeros, such as a preallocated download, would otherwise be walked through two bytes at a time.
        return Err(format!("damaged: invalid protobuf field number 0 at byte {at}"));
    }
    let field = match tag & 7 {
        0 => Field::Varint(varint(cursor)?),
        1 => Field::Fixed64(cursor.array()?),
        2 => {
            let length = varint(cursor)?;
            Field::Bytes(cursor.part(length)?)
        }
        5 => Field::Fixed32(cursor.array()?),
        kind => return Err(format!("damaged: invalid protobuf wire type {kind} at byte {at}")),
    };
    Ok(Some((tag >> 3, field)))
}

/// Reads an integer in groups of seven bits.
pub(crate) fn varint(cursor: &mut Cursor<'_>) -> ParseResult<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = cursor.byte()?;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(format!("damaged: the number before byte {} does not end", cursor.at()))
}

impl Field<'_> {
    /// A string of at most 64 KiB.
    pub(crate) fn text(self) -> ParseResult<String> {
        self.text_of(1 << 16)
    }

    /// A string of at most this many bytes.
    pub(crate) fn text_of(self, most: u64) -> ParseResult<String> {
        match self {
            Field::Bytes(mut cursor) if cursor.left() <= most => cursor.text(cursor.left()),
            Field::Bytes(cursor) => Err(format!("damaged: a name of {} bytes", cursor.left())),
            _ => Err("damaged: expected a string, got a number".into()),
        }
    }

    /// An integer.
    pub(crate) fn int(self) -> ParseResult<i64> {
        if let Field::Varint(number) = self { Ok(number as i64) } else { Err("damaged: expected a number".into()) }
    }

    /// A float.
    pub(crate) fn float(self) -> ParseResult<f32> {
        if let Field::Fixed32(bytes) = self { Ok(f32::from_le_bytes(bytes)) } else { Err("damaged: expected a float".into()) }
    }

    /// Appends integers, packed or unpacked; at most `most` in total.
    pub(crate) fn ints(self, into: &mut Vec<i64>, most: usize) -> ParseResult<()> {
        let mut push = |number: u64| {
            if into.len() == most {
                return Err(format!("damaged: a list of more than {most} numbers"));
            }
            into.push(number as i64);
            Ok(())
        };
        match self {
            Field::Varint(number) => push(number),
            Field::Bytes(mut cursor) => {
                while cursor.left() > 0 {
                    push(varint(&mut cursor)?)?;
                }
                Ok(())
            }
            _ => Err("damaged: expected integers".into()),
        }
    }
}

/// A message to write: short fields are stored as bytes, weights as references whose values are fetched while writing.
#[derive(Default)]
pub struct Message<'a> {
    pieces: Vec<Piece<'a>>,
    length: u64,
}

enum Piece<'a> {
    Bytes(Vec<u8>),
    Later(&'a dyn LateValues),
    Values(&'a [f32]),
}

impl<'a> Message<'a> {
    /// Appends an integer field.
    pub fn int(mut self, field: u32, number: u64) -> Self {
        let mut bytes = tag(field, 0);
        push_varint(&mut bytes, number);
        self.push(bytes);
        self
    }

    /// Appends a float field.
    pub fn float(mut self, field: u32, number: f32) -> Self {
        let mut bytes = tag(field, 5);
        bytes.extend(number.to_le_bytes());
        self.push(bytes);
        self
    }

    /// Appends a double field.
    pub fn double(mut self, field: u32, number: f64) -> Self {
        let mut bytes = tag(field, 1);
        bytes.extend(number.to_le_bytes());
        self.push(bytes);
        self
    }

    /// Appends a string or bytes field.
    pub fn text(mut self, field: u32, text: impl AsRef<[u8]>) -> Self {
        let mut bytes = tag(field, 2);
        push_varint(&mut bytes, text.as_ref().len() as u64);
        bytes.extend(text.as_ref());
        self.push(bytes);
        self
    }

    /// Appends a field of packed integers.
    pub fn ints(self, field: u32, numbers: impl IntoIterator<Item = u64>) -> Self {
        let mut packed = Vec::new();
        numbers.into_iter().for_each(|number| push_varint(&mut packed, number));
        self.text(field, packed)
    }

    /// Appends a submessage.
    pub fn message(mut self, field: u32, message: Message<'a>) -> Self {
        let mut bytes = tag(field, 2);
        push_varint(&mut bytes, message.length);
        self.push(bytes);
        self.length += message.length;
        self.pieces.extend(message.pieces);
        self
    }

    /// Appends a field of f32 values, fetched while writing. Raw bytes and packed floats have the same encoding.
    pub(crate) fn late_values(mut self, field: u32, values: &'a dyn LateValues) -> Self {
        self.long(field, (values.count() * size_of::<f32>()) as u64, Piece::Later(values));
        self
    }

    /// Appends a field of these f32 values.
    pub fn values(mut self, field: u32, values: &'a [f32]) -> Self {
        self.long(field, size_of_val(values) as u64, Piece::Values(values));
        self
    }

    fn long(&mut self, field: u32, length: u64, piece: Piece<'a>) {
        let mut bytes = tag(field, 2);
        push_varint(&mut bytes, length);
        self.push(bytes);
        self.length += length;
        self.pieces.push(piece);
    }

    fn push(&mut self, mut bytes: Vec<u8>) {
        self.length += bytes.len() as u64;
        if let Some(Piece::Bytes(last)) = self.pieces.last_mut() {
            last.append(&mut bytes);
        } else {
            self.pieces.push(Piece::Bytes(bytes));
        }
    }

    /// Writes the message.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Bytes(bytes) => out.write_all(bytes),
            Piece::Later(values) => write_values(out, &values.values()),
            Piece::Values(values) => write_values(out, values),
        })
    }
}

fn tag(field: u32, kind: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_varint(&mut bytes, u64::from(field) << 3 | u64::from(kind));
    bytes
}

fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
