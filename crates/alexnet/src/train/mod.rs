//! Training: recipes as data, and what carries them out, stops and resumes without losing a bit.
//!
//! [`Settings`] is a run to be; [`Settings::run`] trains. Below it: [`recipe`] says how, [`config`] holds the settings as resolved,
//! [`run_dir`] names a run's files, [`loaders`] turns images into batches, [`Trainer`] takes the steps, [`state`] is all that an interrupted
//! run needs. Fine-tuning: [`finetune`] takes a model's parameters, [`param_groups`] says how fast each layer learns, `feature_cache` keeps
//! the features of frozen layers. An [`Observer`] follows a run.

pub mod config;
mod data_sets;
mod engines;
mod feature_cache;
pub mod finetune;
pub mod image_lists;
pub mod loaders;
mod observer;
pub mod param_groups;
pub mod recipe;
mod resolve;
mod run;
pub mod run_dir;
mod settings;
pub mod state;
mod trainer;

#[cfg(test)]
pub(crate) mod tests;

pub use data_sets::data_sets;
pub use engines::{CpuEngines, EngineRequest, Engines};
pub use feature_cache::Plan as FrozenPlan;
pub use observer::{Finished, Observer, Started};
pub use run::{Environment, Outcome, RUNS};
pub use settings::Settings;
pub use trainer::{CommStats, Event, OnDecodeError, StopReason, Trainer, TrainerOptions};
