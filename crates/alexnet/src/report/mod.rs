//! Reports of runs: `report.html`, side-by-side comparison, and TensorBoard events.
//!
//! A [`Recorder`] receives the trainer's events. It writes `RUN/log.jsonl`, the only file with timestamps, and regularly
//! generates the [`Page`] `RUN/report.html` from it, `config.toml` and `metrics.csv`. A [`Run`] reads all of these.

pub(crate) mod chart;
pub mod compare;
mod confusion;
mod event_log;
mod examples;
mod filters;
mod host_info;
pub(crate) mod html;
mod recorder;
mod reliability;
mod run;
mod run_page;
mod run_report;

#[cfg(test)]
mod tests;

pub use event_log::Ended;
pub use filters::Filters;
pub use host_info::HostInfo;
pub use recorder::{About, REPORT, Recorder, Writes, newest_model, warning};
pub use run::{Epoch, Run};
pub use run_page::{Evaluated, Page};
pub use run_report::RunReport;
