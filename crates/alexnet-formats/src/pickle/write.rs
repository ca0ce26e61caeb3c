//! Writer for the few opcodes that weights need: protocol 2, which every Python reads, and 4 for long bytes.

use std::io::{self, Write};

/// Writes opcodes.
pub(crate) struct Writer<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Writer<'a> {
    /// Starts a pickle of this protocol.
    pub(crate) fn begin(out: &'a mut dyn Write, protocol: u8) -> io::Result<Self> {
        out.write_all(&[0x80, protocol])?;
        Ok(Writer { out })
    }

    /// Writes opcodes without arguments, in the notation of CPython's `pickle.py`: `(` mark, `t` tuple, `}` empty dictionary, `)`
    /// empty tuple, `R` call, `b` set state, `u` set items, `Q` persistent, `N` none.
    pub(crate) fn raw(&mut self, opcodes: &[u8]) -> io::Result<()> {
        self.out.write_all(opcodes)
    }

    /// Pushes a function or class.
    pub(crate) fn global(&mut self, module: &str, name: &str) -> io::Result<()> {
        write!(self.out, "c{module}\n{name}\n")
    }

    /// Pushes a string.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(b"X")?;
        self.out.write_all(&(text.len() as u32).to_le_bytes())?;
        self.out.write_all(text.as_bytes())
    }

    /// Pushes an integer: LONG1 of 8 bytes, enough for any count.
    pub(crate) fn int(&mut self, number: usize) -> io::Result<()> {
        match (u8::try_from(number), i32::try_from(number)) {
            (Ok(small), _) => self.out.write_all(&[b'K', small]),
            (_, Ok(middle)) => self.out.write_all(&[&b"J"[..], &middle.to_le_bytes()].concat()),
            _ => self.out.write_all(&[&[0x8A, 8][..], &(number as u64).to_le_bytes()].concat()),
        }
    }

    /// Pushes a boolean.
    pub(crate) fn bool(&mut self, value: bool) -> io::Result<()> {
        self.out.write_all(&[if value { 0x88 } else { 0x89 }])
    }

    /// Pushes a tuple of integers.
    pub(crate) fn counts(&mut self, numbers: &[usize]) -> io::Result<()> {
        self.raw(b"(")?;
        numbers.iter().try_for_each(|&number| self.int(number))?;
        self.raw(b"t")
    }

    /// Pushes short bytes (protocol 3).
    pub(crate) fn short_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(&[b'C', bytes.len() as u8])?;
        self.out.write_all(bytes)
    }

    /// Pushes f32 values as bytes of any length (protocol 4), little-endian.
    pub(crate) fn values(&mut self, values: &[f32]) -> io::Result<()> {
        self.out.write_all(&[0x8E])?;
        self.out.write_all(&(size_of_val(values) as u64).to_le_bytes())?;
        super::super::tensor_data::write_values(self.out, values)
    }

    /// Ends the pickle.
    pub(crate) fn end(self) -> io::Result<()> {
        self.out.write_all(b".")
    }
}
