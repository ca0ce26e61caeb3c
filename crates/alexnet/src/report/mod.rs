//! What a run came to, for people: `report.html`, runs side by side, and TensorBoard's events.
//!
//! A [`Recorder`] listens to the trainer's events. It writes `RUN/log.jsonl`, where alone clock times are kept, and from it,
//! `config.toml` and `metrics.csv` again and again the [`Page`] `RUN/report.html`. A [`Run`] is all this read back.

mod chart;
mod classes;
pub mod compare;
mod examples;
mod filters;
mod html;
mod log;
mod machine;
mod page;
mod recorder;
mod reliability;
mod run;

#[cfg(test)]
mod tests;

pub use filters::Filters;
pub use log::Ended;
pub use machine::Machine;
pub use page::{Evaluated, Page};
pub use recorder::{About, REPORT, Recorder, Writes, newest_model, warning};
pub use run::{Epoch, Run};
