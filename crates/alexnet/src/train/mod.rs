//! Training: recipes as data, and runs that stop and resume without losing a bit.
//!
//! [`Settings`] describes a run; [`Settings::run`] executes it. Underneath, [`recipe`] defines the training procedure, [`config`]
//! holds the resolved settings, [`run_dir`] names a run's files, [`loaders`] turns images into batches, [`Trainer`] takes the
//! steps, and [`state`] is the checkpoint. Fine-tuning: [`finetune`] copies a model's parameters, [`param_groups`] sets per-layer
//! learning rates, `feature_cache` caches the features of frozen layers. An [`Observer`] follows a run.

pub mod config;
mod data_sets;
mod ema;
mod engines;
mod feature_cache;
pub mod finetune;
mod fold;
mod forecast;
pub mod image_lists;
pub mod loaders;
mod lr_change;
pub mod lr_find;
mod observer;
pub mod param_groups;
pub mod recipe;
mod resolve;
mod run;
pub mod run_dir;
mod run_options;
mod settings;
pub mod snapshots;
pub mod state;
pub mod timeline;
mod trainer;

#[cfg(test)]
pub(crate) mod tests;

pub use data_sets::data_sets;
pub use engines::{CpuEngines, EngineRequest, Engines};
pub use feature_cache::Plan as FrozenPlan;
pub use forecast::{Forecast, Shorter};
pub use lr_change::LrChange;
pub use observer::{Finished, Observer, Started};
pub use run::{Environment, Outcome, RUNS};
pub use settings::Settings;
pub use trainer::{CommStats, Event, OnDecodeError, StopReason, Trainer, TrainerOptions, Weights};
