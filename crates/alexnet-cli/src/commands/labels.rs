//! `--labels` and `--label-order`: what a model's outputs are called, and which class folders they are.

use alexnet::class_match::LabelOrder;
use alexnet::formats::Model;
use alexnet::labels;
use clap::ValueEnum;
use std::path::PathBuf;

/// How a model's outputs are matched with class folders.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Labels {
    /// Class names of a model whose file has none, in the order of its outputs: `imagenet` (1,000, sorted by WordNet identifier),
    /// `devkit` (the challenge's own numbers) or a file: a name a line, synset_words.txt, or JSON
    #[arg(long, value_name = "imagenet|devkit|FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Order of the class folders that the outputs of a model without class names stand for: `text` (0, 1, 10, 11, 2, ..., as PyTorch's
    /// ImageFolder sorts) or `number` (0, 1, 2, ...)
    #[arg(long, value_enum, value_name = "text|number", hide_possible_values = true)]
    pub(crate) label_order: Option<Sorting>,
}

/// How class folders are sorted.
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
    /// Gives a model the names of `--labels`, and returns how its outputs are matched with class folders.
    pub(crate) fn apply(&self, model: &mut Model) -> anyhow::Result<LabelOrder> {
        Ok(labels::apply(model, self.labels.as_deref(), self.label_order.map(LabelOrder::from))?)
    }
}
