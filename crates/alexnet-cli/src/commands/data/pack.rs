//! `alexnet data pack`: a data set in one file.

use crate::{data_set, numbers, output, progress};
use alexnet::data::pack::{self, Form, OnBad, Options, Summary};
use anyhow::{Context, bail};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

pub(super) const EXAMPLES: &str = "\
Examples:
  alexnet data pack clothing clothing.pack
  alexnet train --data clothing.pack

An interrupted run leaves OUT.partial and OUT.partial-index; the same command continues it.";

#[derive(clap::Args)]
pub(super) struct Args {
    /// Images: a folder of class folders, an archive, a list, or another layout that `docs/guide/data.md` names. All splits are packed
    #[arg(value_name = "IN")]
    data: PathBuf,
    /// File to write
    #[arg(value_name = "OUT")]
    out: PathBuf,
    #[command(flatten)]
    lists: data_set::ListArgs,
    /// Short side in pixels to which larger images are resized, or `original` to keep the files as they are
    #[arg(long, value_name = "N", default_value = "256", value_parser = size)]
    size: Size,
    /// Quality of the JPEG files that are made, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 95, value_parser = numbers::whole(1..=100))]
    quality: usize,
    /// Store pixels instead of JPEG files: exact, fastest, and several times larger
    #[arg(long, conflicts_with = "quality")]
    raw: bool,
    /// Handling of unreadable images: leave them out and name them, or stop
    #[arg(long, default_value = "skip", value_parser = ["skip", "stop"])]
    on_bad: String,
    /// Threads, 0: one per core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = numbers::threads)]
    threads: usize,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Size of the packed images.
#[derive(Clone, Copy)]
enum Size {
    Original,
    ShortSide(usize),
}

/// Maximum short side, the same as for preprocessing.
const MAX_SIDE: usize = 4096;
/// Maximum number of skipped images that are named in the text.
const NAMED: usize = 10;

fn size(text: &str) -> Result<Size, String> {
    if text == "original" {
        return Ok(Size::Original);
    }
    numbers::whole(1..=MAX_SIDE)(text).map(Size::ShortSide).map_err(|why| format!("{why}, or original"))
}

impl Args {
    fn form(&self) -> anyhow::Result<Form> {
        Ok(match self.size {
            Size::Original if self.raw => bail!("--raw needs a --size: the pixels of original images take too much space"),
            Size::Original => Form::Original,
            Size::ShortSide(short_side) if self.raw => Form::Raw { short_side },
            Size::ShortSide(short_side) => Form::Jpeg { short_side, quality: self.quality as u8 },
        })
    }
}

pub(super) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let form = args.form()?;
    output::not_over_input("OUT", &args.out, [&args.data].into_iter().chain(&args.lists.classes))?;
    let on_bad = if args.on_bad == "stop" { OnBad::Stop } else { OnBad::Skip };
    let splits = data_set::open_all(&args.lists.source(&args.data), quiet)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build().context("cannot start threads")?;
    let bar = progress::images(splits.iter().map(|split| split.source.len()).sum(), quiet)?;
    let start = Instant::now();
    let written = pool.install(|| {
        pack::write(&splits, &args.out, Options { form, on_bad }, &|done| {
            bar.set_position(done as u64);
            true
        })
    });
    bar.finish_and_clear();
    let summary = written?;
    let seconds = start.elapsed().as_secs_f64();
    if args.json {
        let Summary { totals, resumed, bytes_before, bytes, .. } = &summary;
        return output::print_json(&json!({
            "out": args.out, "form": form, "images": totals.images, "kept": totals.kept, "encoded": totals.encoded,
            "pixels": totals.pixels, "skipped": totals.skipped, "skipped_images": totals.skipped_images,
            "splits": splits.iter().map(|split| &split.taken).collect::<Vec<_>>(),
            "resumed": resumed, "bytes_before": bytes_before, "bytes": bytes, "seconds": seconds,
            "images_per_second": rate(&summary, seconds),
        }));
    }
    for image in summary.totals.skipped_images.iter().take(NAMED) {
        output::note(&format!("skipped {}: {}", output::name(&image.name), image.reason));
    }
    let more = summary.totals.skipped.saturating_sub(NAMED);
    if more > 0 {
        output::note(&format!("skipped {more} more; --json names the first 1000"));
    }
    if quiet { Ok(()) } else { output::print(&text(args, &summary, seconds)) }
}

/// Images that this run packed in a second.
fn rate(summary: &Summary, seconds: f64) -> f64 {
    (summary.totals.images + summary.totals.skipped - summary.resumed) as f64 / seconds
}

fn text(args: &Args, summary: &Summary, seconds: f64) -> String {
    let Summary { totals, resumed, restarted, bytes_before, bytes } = summary;
    let out = output::path(&args.out);
    let mut text = String::new();
    if let Some(why) = restarted {
        text += &format!("{out}: started over, since the unfinished pack could not be continued: {why}\n");
    }
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let before = if *bytes_before > 0 { format!(" from {}", megabytes(*bytes_before)) } else { String::new() };
    text += &format!("{out}: {} images, {}{before}\n", totals.images, megabytes(*bytes));
    let kinds = [
        (totals.encoded, "resized and encoded as JPEG"),
        (totals.pixels, "stored as pixels"),
        (totals.kept, "kept as they were"),
        (totals.skipped, "unreadable and left out"),
    ];
    let kinds: Vec<_> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    text += &format!("  {}\n", kinds.join(", "));
    let done = totals.images + totals.skipped;
    text += &match done - resumed {
        0 => "  packed by an earlier run\n".into(),
        new if *resumed > 0 => {
            format!("  {resumed} by an earlier run, {new} in {seconds:.1} s ({:.0} images/s)\n", rate(summary, seconds))
        }
        _ => format!("  {seconds:.1} s ({:.0} images/s)\n", rate(summary, seconds)),
    };
    text
}
