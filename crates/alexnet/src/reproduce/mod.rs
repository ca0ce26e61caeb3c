//! The paper's claims as studies: each trains what it needs, and sets the paper's number beside its own.
//!
//! A [`Study`] is a row of [`STUDIES`]: a claim, the [arms](Arm) that are trained for it, and a function that draws a [`Finding`] from
//! the trained runs. Every arm is trained once per seed into a run folder of its own, by the same code as any other run, so that a
//! study resumes where it was stopped. [`Study::run`] writes `report.html` and `report.json`.

mod ablation;
mod arm;
mod comparison;
mod error_rates;
mod figure_1;
mod figures;
mod finding;
mod page;
mod runner;
mod setup;
mod statistics;
mod study;
mod votes;

#[cfg(test)]
mod tests;

pub use arm::{Arm, Race};
pub use finding::{Bar, Curve, Curves, Finding, Picture, Table, Verdict};
pub use runner::{Plan, Progress, Reports};
pub use setup::{Scale, Setup};
pub use statistics::{Difference, difference};
pub use study::{STUDIES, Study, Trained, by_name};
