//! `--labels` and `--label-order`: class names of a model's outputs, and how class folders map to them.

use alexnet::class_match::LabelOrder;
use alexnet::formats::Model;
use alexnet::labels;
use clap::ValueEnum;
use std::path::PathBuf;

/// Options that match a model's outputs with class folders.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Labels {
    /// Class names of a model whose file has none, in output order: `imagenet` (1,000 classes sorted by WordNet identifier),
    /// `devkit` (the challenge's own numbering) or a file: one name per line, synset_words.txt, or JSON
    #[arg(long, value_name = "imagenet|devkit|FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Sort order of the class folders behind the outputs of a model without class names: `text` (0, 1, 10, 11, 2, ..., as in
    /// PyTorch's ImageFolder) or `number` (0, 1, 2, ...)
    #[arg(long, value_enum, value_name = "text|number", hide_possible_values = true)]
    pub(crate) label_order: Option<Sorting>,
}

/// Sort order of class folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sorting {
    /// 0, 1, 10, 11, 2
    Text,
    /// 0, 1, 2, 10, 11
    Number,
}

impl From<Sorting> for LabelOrder {
    fn from(sorting: Sorting) -> LabelOrder {
        match sorting {
            Sorting::Text => LabelOrder::Text,
            Sorting::Number => LabelOrder::Number,
        }
    }
}

impl Labels {
    /// Sets a model's class names from `--labels` and returns how its outputs are matched with class folders.
    pub(crate) fn apply(&self, model: &mut Model) -> anyhow::Result<LabelOrder> {
        Ok(labels::apply(model, self.labels.as_deref(), self.label_order.map(LabelOrder::from))?)
    }
}
