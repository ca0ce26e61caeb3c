//! `train --dashboard`: the run's state for the live page.

use super::pace::Pace;
use crate::output;
use crate::progress::duration;
use alexnet::data::Dataset;
use alexnet::data::loader::Loader;
use alexnet::draw::INK;
use alexnet::draw::contact_sheet::{Cell, ContactSheet};
use alexnet::image::{Image, Preprocess};
use alexnet::report::REPORT;
use alexnet::train::{Event, Observer, Started, StopReason};
use alexnet_serve::dashboard::{self, Dashboard};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, UNIX_EPOCH};

/// Number of images shown.
const SHOWN: usize = 24;

/// Observer that serves a live page, if a port is given. With several ranks, the first one does.
pub(super) struct LivePage {
    port: Option<u16>,
    stop: Arc<AtomicBool>,
    since: Instant,
    pace: Pace,
    run: Option<Arc<LiveRun>>,
}

/// What the page's server reads.
struct LiveRun {
    status: Mutex<Status>,
    stop: Arc<AtomicBool>,
    report: PathBuf,
    images: Images,
    /// The drawing of an epoch's images.
    drawn: Mutex<Option<(usize, String)>>,
}

/// Training images as the net sees them.
struct Images {
    loader: Loader,
    preprocess: Preprocess,
    source: Arc<dyn Dataset>,
}

#[derive(Default)]
struct Status {
    run: String,
    phase: &'static str,
    epoch: usize,
    epochs: usize,
    step: u64,
    steps: u64,
    loss: Option<f64>,
    top1: Option<f64>,
    val_top1: Option<f64>,
    val_macro_f1: Option<f64>,
    rate: Option<f64>,
    left: Option<String>,
}

impl LivePage {
    /// The page of a run, at a port that is free: a run that has been created is not lost to a port that is in use.
    pub(super) fn new(port: Option<u16>, rank: usize, stop: Arc<AtomicBool>) -> anyhow::Result<LivePage> {
        let port = port.filter(|_| rank == 0);
        if let Some(port) = port {
            drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|cause| no_port(port, &cause))?);
        }
        Ok(LivePage { port, stop, since: Instant::now(), pace: Pace::default(), run: None })
    }

    fn update(&self, change: impl FnOnce(&mut Status)) {
        if let Some(run) = &self.run {
            change(&mut run.status.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

fn no_port(port: u16, cause: &std::io::Error) -> alexnet::Error {
    let advice = "choose another port, or --dashboard for any free one";
    alexnet::Error::Invalid(format!("--dashboard={port}: cannot listen: {cause}; {advice}"))
}

impl Observer for LivePage {
    fn started(&mut self, run: &Started<'_>) -> alexnet::Result<()> {
        let Some(port) = self.port else { return Ok(()) };
        let epochs = run.config.recipe.epochs;
        let status = Status {
            run: run.dir.path().display().to_string(),
            phase: "training",
            epoch: epochs.min(run.state.epoch + 1),
            epochs,
            step: run.step,
            steps: (epochs * run.steps_per_epoch()) as u64,
            ..Status::default()
        };
        let images =
            Images { loader: run.loaders.train.clone(), preprocess: run.loaders.preprocess.clone(), source: run.train.clone() };
        let live = Arc::new(LiveRun {
            status: Mutex::new(status),
            stop: self.stop.clone(),
            report: run.dir.file(REPORT),
            images,
            drawn: Mutex::new(None),
        });
        let failed = |error| match error {
            alexnet_serve::Error::Listen { cause, .. } => no_port(port, &cause),
            error => alexnet::Error::Invalid(format!("--dashboard: {error}")),
        };
        let dashboard = Dashboard::start(port, live.clone()).map_err(failed)?;
        output::note(&format!("dashboard: {}", dashboard.url()));
        (self.run, self.since) = (Some(live), Instant::now());
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) {
        if self.run.is_none() {
            return;
        }
        match event {
            Event::Step { epoch, steps: (_, all), loss, top1, images, step, until, .. } => {
                self.pace.step(self.since.elapsed(), *epoch, *images);
                self.update(|status| {
                    (status.epoch, status.step) = (*epoch, *step);
                    (status.epochs, status.steps) = (until.div_ceil(*all as u64) as usize, *until);
                    (status.loss, status.top1) = (Some(*loss), Some(*top1));
                    status.rate = self.pace.rate();
                    status.left = self.pace.left(status.steps.saturating_sub(*step)).map(duration);
                });
            }
            Event::Epoch { row, .. } | Event::InitialValidation { row, .. } => self.update(|status| {
                status.val_top1 = row.val.map(|val| val.top1);
                status.val_macro_f1 = row.val.and_then(|val| val.macro_f1);
            }),
            Event::Broken { .. } => {}
        }
    }

    fn stopped(&mut self, _: &alexnet::Result<StopReason>) {
        self.update(|status| (status.phase, status.left) = ("stopped", None));
    }
}

impl dashboard::Run for LiveRun {
    fn status(&self) -> Value {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let stopping = self.stop.load(Ordering::Relaxed) && status.phase == "training";
        // Changes whenever the report is written.
        let written = std::fs::metadata(&self.report).and_then(|report| report.modified()).ok();
        let written = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|at| at.as_millis() as u64);
        json!({
            "run": status.run, "phase": if stopping { "saving" } else { status.phase },
            "epoch": status.epoch, "epochs": status.epochs, "step": status.step, "steps": status.steps,
            "loss": status.loss, "top1": status.top1, "val_top1": status.val_top1, "val_macro_f1": status.val_macro_f1,
            "images_per_second": status.rate, "left": status.left, "report": written,
        })
    }

    fn report(&self) -> Option<String> {
        alexnet::files::read_text(&self.report).ok()
    }

    fn images(&self) -> Option<String> {
        let epoch = self.status.lock().unwrap_or_else(PoisonError::into_inner).epoch;
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.as_ref().is_none_or(|(of, _)| *of != epoch) {
            *drawn = Some((epoch, self.images.draw(epoch.saturating_sub(1))?));
        }
        drawn.as_ref().map(|(_, svg)| svg.clone())
    }

    fn stop(&self) {
        if !self.stop.swap(true, Ordering::Relaxed) {
            output::note("");
            output::note("saving, as the dashboard requests...; press Ctrl-C to quit without saving");
        }
    }
}

impl Images {
    /// Draws the first images of an epoch, counted from 0.
    fn draw(&self, epoch: usize) -> Option<String> {
        let epoch = epoch as u64;
        let first: Vec<u32> = self.loader.plan(epoch).into_iter().next()?.into_iter().take(SHOWN).collect();
        let batch = self.loader.load(epoch, &first);
        let tensors = batch.images.chunks_exact(batch.images.len() / batch.indices.len().max(1));
        let cell = |(tensor, &i): (&[f32], &u32)| {
            let class = &self.source.classes()[self.source.label(i as usize) as usize];
            Cell::photograph(Image::from_tensor(&self.preprocess, tensor)).line(output::name(class), INK)
        };
        let cells = tensors.zip(&batch.indices).map(cell).collect();
        let title = format!("The first images of epoch {}", epoch + 1);
        Some(ContactSheet::of(title, 8, 128, cells).scene().svg())
    }
}
