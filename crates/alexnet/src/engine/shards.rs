//! Parts of a net on the CPU, for engines distributed over ranks.

pub(crate) use super::cpu::dropout;
pub(crate) use super::cpu::linear_shard::LinearShard;
pub(crate) use super::cpu::segment::Segment;
