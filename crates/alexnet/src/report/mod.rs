//! What a run came to, for people: `report.html`, runs side by side, and TensorBoard's events.
//!
//! A [`Recorder`] listens to the trainer's events. It writes `RUN/log.jsonl`, where alone clock times are kept, and from it,
//! `config.toml` and `metrics.csv` again and again the [`Page`] `RUN/report.html`. A [`Run`] is all this read back.

mod chart;
pub mod compare;
mod confusion;
mod event_log;
mod examples;
mod filters;
mod host_info;
mod html;
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
