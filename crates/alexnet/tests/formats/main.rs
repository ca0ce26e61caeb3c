//! Model files in every format.

mod conversions;
mod mapped;
