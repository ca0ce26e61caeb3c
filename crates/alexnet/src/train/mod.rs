//! Training: recipes as data, and what carries them out, stops and goes on without losing a bit.
//!
//! [`recipe`] says how, [`config`] what a run was told, [`folder`] where its files are, [`prepare`] makes its loaders,
//! [`Trainer`] does the work, [`state`] is all that an interrupted run needs. Fine-tuning: [`begin`] takes a model's parameters,
//! [`layers`] says how fast each layer learns, `frozen` keeps what those give that do not.

pub mod begin;
pub mod config;
pub mod folder;
mod frozen;
pub mod image_lists;
pub mod layers;
pub mod prepare;
pub mod recipe;
pub mod state;
mod trainer;

#[cfg(test)]
pub(crate) mod tests;

pub use frozen::Plan as FrozenPlan;
pub use trainer::{Ending, Event, OnBad, Options, Traffic, Trainer};
