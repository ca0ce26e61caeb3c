//! Answers of `alexnet predict` as text, JSON and table rows.

use crate::output;
use alexnet::answers::{Cell, Column, Kind, Row};
use alexnet::net::imagenet::with_word;
use alexnet::{Prediction, Predictions};
use serde_json::{Value, json};

/// What is answered where no class reaches the threshold.
pub(super) const UNKNOWN: &str = "unknown";

/// Content of the answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers {
    pub(super) crops: usize,
    /// Number of classes per image, at most all.
    pub(super) top: usize,
    pub(super) threshold: Option<f64>,
}

impl Answers {
    /// Whether the image is unknown; `None` without a threshold.
    fn is_unknown(&self, answer: &Predictions) -> Option<bool> {
        self.threshold.map(|threshold| answer.above(threshold).is_none())
    }

    /// One line: `cat.jpg: tabby 81.7 %, lynx 6.2 %`, or `cat.jpg: unknown (tabby 31.7 %, lynx 16.2 %)`.
    pub(super) fn line(&self, name: &str, answer: &Predictions) -> String {
        let word = |p: &Prediction| format!("{} {:.1} %", output::name(&with_word(&p.label)), p.probability * 100.0);
        let labels = answer.top(self.top).iter().map(word).collect::<Vec<_>>().join(", ");
        match self.is_unknown(answer) {
            Some(true) => format!("{}: {UNKNOWN} ({labels})\n", output::name(name)),
            _ => format!("{}: {labels}\n", output::name(name)),
        }
    }

    /// The JSON object of an image.
    pub(super) fn json(&self, name: &str, answer: &Predictions) -> Value {
        let one = |p: &Prediction| json!({ "index": p.index, "label": p.label, "probability": p.probability });
        let top: Vec<_> = answer.top(self.top).iter().map(one).collect();
        let mut object = json!({ "path": name, "crops": self.crops, "top": top });
        if let Some(unknown) = self.is_unknown(answer) {
            object["unknown"] = unknown.into();
        }
        object
    }

    /// Columns: `path`, `label`, `probability`, with a threshold `best_label`, then `label_2`, `probability_2`, ..., and `error`.
    pub(super) fn columns(&self) -> Vec<Column> {
        let mut columns =
            vec![Column::new("path", Kind::Text), Column::new("label", Kind::Text), Column::new("probability", Kind::Number)];
        columns.extend(self.threshold.map(|_| Column::new("best_label", Kind::Text)));
        for k in 2..=self.top {
            columns
                .extend([Column::new(format!("label_{k}"), Kind::Text), Column::new(format!("probability_{k}"), Kind::Number)]);
        }
        columns.push(Column::new("error", Kind::Text));
        columns
    }

    /// The row of an image, or of one that could not be read.
    pub(super) fn row(&self, name: &str, answer: alexnet::Result<Predictions>) -> Row {
        let mut cells = vec![Cell::Text(name.into())];
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let error = error.to_string();
                cells.resize(self.columns().len() - 1, Cell::Empty);
                cells.push(Cell::Text(error.clone()));
                return Row { cells, json: json!({ "path": name, "error": error }) };
            }
        };
        for (k, Prediction { label, probability, .. }) in answer.top(self.top).into_iter().enumerate() {
            match self.is_unknown(&answer).filter(|_| k == 0) {
                Some(unknown) => {
                    let shown = if unknown { UNKNOWN.to_string() } else { label.clone() };
                    cells.extend([Cell::Text(shown), Cell::Number(probability), Cell::Text(label)]);
                }
                None => cells.extend([Cell::Text(label), Cell::Number(probability)]),
            }
        }
        cells.push(Cell::Empty);
        Row { cells, json: self.json(name, &answer) }
    }
}
