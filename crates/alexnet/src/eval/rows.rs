//! Rows of `alexnet eval --answers`.

use super::Answer;
use crate::answers::{Cell, Column, Kind, Row};
use serde_json::json;

/// Description of the rows: the names behind the numbers of an [`Answer`].
#[derive(Debug, Clone, Copy)]
pub struct AnswerRows<'a> {
    /// Names of the classes.
    pub classes: &'a [String],
    /// Number of classes per row, from the most probable.
    pub top: usize,
    /// Whether there is a threshold.
    pub threshold: bool,
}

impl AnswerRows<'_> {
    fn top(&self) -> usize {
        self.top.clamp(1, self.classes.len().max(1))
    }

    /// Columns: `name`, `label`, `predicted`, `probability`, `label_probability`, `label_rank`, `correct`, `answered` with a
    /// threshold, then `predicted_2`, `probability_2`, ..., and `error`.
    pub fn columns(&self) -> Vec<Column> {
        let mut columns = vec![
            Column::new("name", Kind::Text),
            Column::new("label", Kind::Text),
            Column::new("predicted", Kind::Text),
            Column::new("probability", Kind::Number),
            Column::new("label_probability", Kind::Number),
            Column::new("label_rank", Kind::Integer),
            Column::new("correct", Kind::Flag),
        ];
        columns.extend(self.threshold.then(|| Column::new("answered", Kind::Flag)));
        for k in 2..=self.top() {
            columns.extend([
                Column::new(format!("predicted_{k}"), Kind::Text),
                Column::new(format!("probability_{k}"), Kind::Number),
            ]);
        }
        columns.push(Column::new("error", Kind::Text));
        columns
    }

    /// The row of an image. `label` is its true class, which an unreadable image has too.
    pub fn row(&self, name: &str, label: usize, answer: &Answer) -> Row {
        let class = |index: usize| Cell::Text(self.classes[index].clone());
        let mut cells = vec![Cell::Text(name.into()), class(label)];
        let ranked = match &answer.outcome {
            Ok(ranked) => ranked,
            Err(error) => {
                cells.resize(self.columns().len() - 1, Cell::Empty);
                cells.push(Cell::Text(error.clone()));
                let json = json!({ "name": name, "label": self.classes[label], "error": error });
                return Row { cells, json };
            }
        };
        let (best, correct) = (ranked.top.first(), ranked.rank == 1);
        cells.push(best.map_or(Cell::Empty, |best| class(best.index)));
        cells.push(best.map_or(Cell::Empty, |best| Cell::Number(best.probability)));
        cells.extend([Cell::Number(ranked.of_label), Cell::Integer(ranked.rank as i64), Cell::Flag(correct)]);
        cells.extend(ranked.answered.map(Cell::Flag));
        cells.extend(ranked.top.iter().skip(1).flat_map(|score| [class(score.index), Cell::Number(score.probability)]));
        cells.push(Cell::Empty);
        let top = ranked
            .top
            .iter()
            .map(|score| json!({ "index": score.index, "label": self.classes[score.index], "probability": score.probability }));
        let mut json = json!({
            "name": name,
            "label": self.classes[label],
            "predicted": best.map(|best| &self.classes[best.index]),
            "probability": best.map(|best| best.probability),
            "label_probability": ranked.of_label,
            "label_rank": ranked.rank,
            "correct": correct,
            "top": top.collect::<Vec<_>>(),
        });
        if let Some(answered) = ranked.answered {
            json["answered"] = answered.into();
        }
        Row { cells, json }
    }
}
