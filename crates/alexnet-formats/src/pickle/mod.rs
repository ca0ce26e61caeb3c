//! Python pickles, read and written without Python.
//!
//! A pickle is a program that may call any function of any module. This reader never calls anything. It supports only the opcodes
//! that describe data, and only the globals on a format's allow-list. A call of one of them is recorded as a value for the
//! format's reader to interpret; everything else is an error that names it.

pub(crate) mod checkpoint;
#[cfg(test)]
mod tests;
mod value;
mod vm;
mod write;

pub(crate) use value::{Id, Pickle, Value};
pub(crate) use vm::{Allowed, read};
pub(crate) use write::Writer;
