//! Shared parts of the explanations: model, image, classes and output file.

use crate::commands::engine_args::EngineArgs;
use crate::{model_file, net_option, numbers, output};
use alexnet::draw::contact_sheet::{Cell, ContactSheet};
use alexnet::draw::{Format, INK};
use alexnet::engine::Engine;
use alexnet::explain::{View, class, scores};
use alexnet::formats::Model;
use alexnet::image::{Image, decode};
use alexnet::predict::ClassScore;
use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Options shared by all explanations.
#[derive(clap::Args)]
pub(super) struct Common {
    /// Model file, such as RUN/best.safetensors, or one of PyTorch, ONNX, Caffe or Paddle; or published weights, such as torchvision
    #[arg(long, value_name = "FILE")]
    pub(super) model: PathBuf,
    /// Network in the model file, if the file does not specify it
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true)]
    net: Option<String>,
    /// Output file, .png or .svg [default: COMMAND.png, or none with --json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the numbers as one JSON object
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) machine: EngineArgs,
}

impl Common {
    /// Opens the model and creates an engine with its parameters.
    ///
    /// Checks the output file's name first, so that nobody waits for a drawing that cannot be written.
    pub(super) fn open(&self, batch: usize, quiet: bool) -> anyhow::Result<(Model, Box<dyn Engine>)> {
        if let Some(out) = &self.out {
            Format::of(out)?;
        }
        let mut model = model_file::open(&model_file::locate(&self.model, quiet)?, self.net.as_deref())?;
        let engine = self.machine.engine_of(&mut model, batch)?;
        Ok((model, engine))
    }

    /// The output path, if any.
    pub(super) fn out(&self, name: &str) -> Option<PathBuf> {
        self.out.clone().or_else(|| (!self.json).then(|| PathBuf::from(format!("{name}.png"))))
    }

    /// Writes the drawing, then prints the JSON or a one-line summary.
    pub(super) fn finish(&self, name: &str, sheet: &ContactSheet, summary: &str, json: Value, quiet: bool) -> anyhow::Result<()> {
        let path = self.out(name);
        if let Some(path) = &path {
            sheet.scene().write(path)?;
        }
        match path {
            _ if self.json => output::print_json(&json),
            Some(path) if !quiet => output::print(&format!("{}: {}\n", output::path(&path), output::name(summary))),
            _ => Ok(()),
        }
    }
}

/// An image with the model's predictions.
pub(super) struct Seen {
    /// The image's path.
    path: PathBuf,
    /// The centre crop.
    pub(super) view: View,
    /// All classes, the most probable first.
    scores: Vec<ClassScore>,
}

/// Number of predictions shown and printed.
const TOP: usize = 5;

impl Seen {
    /// Reads and classifies an image.
    pub(super) fn new(path: &Path, model: &Model, engine: &mut dyn Engine) -> anyhow::Result<Seen> {
        let view = View::centre(&read(path)?, &model.preprocess);
        let scores = scores(engine, &view.tensor)?;
        Ok(Seen { path: path.to_path_buf(), view, scores })
    }

    /// The requested classes, or the most probable one.
    pub(super) fn classes(&self, wanted: &[String], model: &Model) -> anyhow::Result<Vec<usize>> {
        if wanted.is_empty() {
            return Ok(vec![self.scores[0].index]);
        }
        wanted.iter().map(|name| Ok(class(name, &model.classes)?)).collect()
    }

    /// Probability of a class.
    pub(super) fn probability(&self, class: usize) -> f64 {
        self.scores.iter().find(|score| score.index == class).map_or(0.0, |score| score.probability)
    }

    /// The image as the network sees it.
    pub(super) fn cell(&self) -> Cell {
        Cell::photograph(self.view.image.clone()).line("network input", INK)
    }

    /// The top predictions in one line. As bars below one image they would leave an empty strip below the others.
    pub(super) fn top_predictions(&self, model: &Model) -> String {
        let labels: Vec<_> = self.scores.iter().take(TOP).map(|score| self.class_text(score.index, model)).collect();
        labels.join(", ")
    }

    /// `hat 91.3 %`
    pub(super) fn class_text(&self, class: usize, model: &Model) -> String {
        format!("{} {:.1} %", model.classes[class], self.probability(class) * 100.0)
    }

    /// The image's file name.
    pub(super) fn file(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// JSON fields shared by all explanations of an image: its path, the crop, and the predictions.
    pub(super) fn json(&self, model: &Model) -> serde_json::Map<String, Value> {
        let score = |g: &ClassScore| class_json(g.index, g.probability, model);
        let area = self.view.area;
        let mut object = serde_json::Map::new();
        object.insert("path".into(), json!(self.path.to_string_lossy()));
        object.insert("seen".into(), json!({ "top": area.top, "left": area.left, "height": area.height, "width": area.width }));
        object.insert("top".into(), self.scores.iter().take(TOP).map(score).collect());
        object
    }
}

/// JSON form of a class.
pub(super) fn class_json(index: usize, probability: f64, model: &Model) -> Value {
    json!({ "index": index, "label": model.classes[index], "probability": probability })
}

fn read(path: &Path) -> anyhow::Result<Image> {
    let image = decode::read(path).and_then(|bytes| decode::decode(&bytes));
    image.map_err(|why| anyhow!(why)).with_context(|| path.display().to_string())
}

/// Parser of a count of at least 1.
pub(super) fn count() -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    numbers::count
}
