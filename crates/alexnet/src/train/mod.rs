//! Training: recipes as data, and what carries them out, stops and goes on without losing a bit.
//!
//! [`recipe`] says how, [`config`] what a run was told, [`folder`] where its files are, [`prepare`] makes its loaders,
//! [`Trainer`] does the work, [`state`] is all that an interrupted run needs. Fine-tuning: [`begin`] takes a model's parameters,
//! [`layers`] says how fast each layer learns, `frozen` keeps what those give that do not.

pub mod config;
mod feature_cache;
pub mod finetune;
pub mod image_lists;
pub mod loaders;
pub mod param_groups;
pub mod recipe;
pub mod run_dir;
pub mod state;
mod trainer;

#[cfg(test)]
pub(crate) mod tests;

pub use feature_cache::Plan as FrozenPlan;
pub use trainer::{CommStats, Event, OnDecodeError, StopReason, Trainer, TrainerOptions};
