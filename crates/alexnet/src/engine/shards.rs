//! Parts of a net, for engines that are spread over ranks. They run on the CPU.

pub(crate) use super::cpu::dropout;
pub(crate) use super::cpu::linear_shard::LinearShard;
pub(crate) use super::cpu::segment::Segment;
