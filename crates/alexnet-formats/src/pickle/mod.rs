//! Python's pickles, read and written without Python.
//!
//! A pickle is a program: it may call any function of any module. Here nothing is ever called. Only the opcodes that
//! describe data are known, only the names that a format's reader lists may occur, and a call of one of them is kept as
//! a note that the reader understands or not; everything else is an error that names it.

pub(crate) mod checkpoint;
#[cfg(test)]
mod tests;
mod value;
mod vm;
mod write;

pub(crate) use value::{Id, Pickle, Value};
pub(crate) use vm::{Allowed, read};
pub(crate) use write::Writer;
