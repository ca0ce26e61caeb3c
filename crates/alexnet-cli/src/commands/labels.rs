//! `--labels` and `--label-order`: what a model's outputs are called, and which class folders they are.

use alexnet::class_match::LabelOrder;
use alexnet::files;
use alexnet::formats::Model;
use alexnet::formats::imagenet::{self, Order};
use anyhow::{Context, bail};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

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
        apply(model, self.labels.as_deref(), self.label_order.map(LabelOrder::from))
    }
}

/// [`Labels::apply`], for options that a run has kept.
pub(crate) fn apply(model: &mut Model, labels: Option<&Path>, order: Option<LabelOrder>) -> anyhow::Result<LabelOrder> {
    if let Some(labels) = labels {
        let names = read(labels)?;
        if names.len() != model.classes.len() {
            bail!("--labels {}: {} names, but the model has {} outputs", labels.display(), names.len(), model.classes.len());
        }
        imagenet::check_names(&model.classes, &names).with_context(|| format!("--labels {}", labels.display()))?;
        model.classes = names;
    }
    Ok(order.unwrap_or(if labels.is_some() { LabelOrder::Names } else { LabelOrder::Unknown }))
}

/// A file's names, or a built-in list.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<String>> {
    match synthetic(path) {
        Some(order) => Ok(order.names()),
        None => {
            let text = files::read_text(path).map_err(|error| alexnet::Error::io(path, error))?;
            imagenet::read_labels(&text).map_err(anyhow::Error::msg).with_context(|| path.display().to_string())
        }
    }
}

/// The list that a word stands for.
fn synthetic(path: &Path) -> Option<Order> {
    match path.to_str() {
        Some("imagenet") => Some(Order::Sorted),
        Some("devkit") => Some(Order::Devkit),
        _ => None,
    }
}

/// The same labels from any folder, so that a run can be resumed from another one.
pub(crate) fn absolute(labels: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    let absolute = |path: &Path| if synthetic(path).is_some() { Ok(path.to_path_buf()) } else { std::path::absolute(path) };
    Ok(labels.map(absolute).transpose()?)
}
