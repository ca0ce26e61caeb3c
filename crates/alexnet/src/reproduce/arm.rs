//! What a study trains.

use crate::train::Settings;

/// One of the models that a study compares, trained once per seed.
#[derive(Debug, Clone)]
pub struct Arm {
    /// Name, which begins the names of its run folders.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
    /// Settings of its runs; seed and folder are added.
    pub settings: Settings,
    /// Early end, for arms that race.
    pub race: Option<Race>,
}

/// A race to a training error. A run ends when it gets there, or when a run of the same group and seed has been there with fewer
/// epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct Race {
    /// Arms of a group differ only in what the fastest of them is searched for, such as the learning rate.
    pub group: String,
    /// Training error to reach, 0 to 1.
    pub error: f64,
}

impl Arm {
    /// An arm without an early end.
    pub fn new(name: impl Into<String>, title: impl Into<String>, settings: Settings) -> Arm {
        Arm { name: name.into(), title: title.into(), settings, race: None }
    }
}
