//! What a study finds.

use super::statistics::Difference;
use crate::image::Image;
use serde::Serialize;

/// Result of a study.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Finding {
    /// Our number, beside the paper's.
    pub ours: String,
    /// Whether the claim holds here.
    pub verdict: Verdict,
    /// Results in detail.
    pub tables: Vec<Table>,
    /// Curves over epochs.
    pub curves: Vec<Curves>,
    /// Bars of a chart of rates, if there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bars: Vec<Bar>,
    /// What a reader must know to judge the numbers.
    pub notes: Vec<String>,
    /// Drawings.
    #[serde(skip)]
    pub pictures: Vec<Picture>,
}

/// Whether a claim holds at the scale of a study.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does: the confidence interval lies on the claim's side.
    Held,
    /// The confidence interval includes no difference.
    NotSeen,
    /// The confidence interval lies on the other side.
    Contradicted,
    /// A single seed, which agrees with the claim, has no confidence interval.
    Agrees,
    /// A single seed, which does not agree with the claim, has no confidence interval.
    Disagrees,
    /// There is nothing to decide: the study shows.
    #[default]
    Shown,
}

impl Verdict {
    /// Verdict on the claim that a difference is above 0.
    pub fn of(difference: &Difference) -> Verdict {
        match (difference.is_above_zero(), difference.is_below_zero()) {
            (Some(true), _) => Verdict::Held,
            (_, Some(true)) => Verdict::Contradicted,
            (Some(false), _) => Verdict::NotSeen,
            (None, _) if difference.mean > 0.0 => Verdict::Agrees,
            (None, _) => Verdict::Disagrees,
        }
    }

    /// The verdict in words.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::NotSeen => "not seen at this scale",
            Verdict::Contradicted => "contradicted",
            Verdict::Agrees => "one seed agrees; more are needed for a verdict",
            Verdict::Disagrees => "one seed disagrees; more are needed for a verdict",
            Verdict::Shown => "shown",
        }
    }
}

/// A table of text.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Table {
    /// Title.
    pub title: String,
    /// Names of the columns.
    pub head: Vec<String>,
    /// Rows.
    pub rows: Vec<Vec<String>>,
}

/// A chart of curves.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Curves {
    /// Title.
    pub title: String,
    /// Curves; those of the same colour belong to the same arm.
    pub curves: Vec<Curve>,
}

/// A curve: a share, 0 to 1, by epoch.
#[derive(Debug, Clone, Serialize)]
pub struct Curve {
    /// Name.
    pub name: String,
    /// Colour of the page, from 1.
    pub colour: usize,
    /// Whether it is drawn faintly.
    pub faint: bool,
    /// Epochs and values.
    pub points: Vec<(f64, f64)>,
}

/// A bar of a chart.
#[derive(Debug, Clone, Serialize)]
pub struct Bar {
    /// Name.
    pub name: String,
    /// Share, 0 to 1.
    pub share: f64,
    /// Whether it is ours.
    pub ours: bool,
}

/// A drawing with its caption.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Caption.
    pub caption: String,
    /// Pixels.
    pub image: Image,
}
