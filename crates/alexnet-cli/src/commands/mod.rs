//! One small file a command: its arguments, and what it prints.

pub(crate) mod eval;
mod machine;
pub(crate) mod nets;
pub(crate) mod predict;
pub(crate) mod train;
