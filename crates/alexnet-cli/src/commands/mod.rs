//! One small file a command: its arguments, and what it prints.

pub(crate) mod nets;
