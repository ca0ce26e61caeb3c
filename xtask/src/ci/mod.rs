//! What CI runs, on a fresh clone: stages in the order of this list, each timed. `.ci/run` is `cargo xtask ci full`.

mod stages;

use anyhow::{Context, bail, ensure};
use stages::STAGES;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A part of the run with a name of its own.
pub(super) struct Stage {
    /// Its name, as the command line takes it.
    pub(super) name: &'static str,
    /// Whether `ci quick` runs it, too.
    pub(super) quick: bool,
    /// A script for `bash -euo pipefail`, in the repository's root. `$run` is an empty folder that all stages of a run share;
    /// `$alexnet` is the release build of the program.
    pub(super) script: &'static str,
}

/// Runs the stages of a level (`quick` or `full`) or those that are named, stops at the first that fails, and prints what each took.
pub(super) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let (quick, names) = match arguments.split_first() {
        Some((level, names)) if level == "quick" => (true, names),
        Some((level, names)) if level == "full" => (false, names),
        _ => (false, arguments),
    };
    if let Some(unknown) = names.iter().find(|name| STAGES.iter().all(|stage| stage.name != **name)) {
        let known: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
        bail!("unknown stage {unknown}; known: {}", known.join(", "));
    }
    let chosen = |stage: &&Stage| if names.is_empty() { stage.quick || !quick } else { names.iter().any(|n| n == stage.name) };
    let folder = ScratchFolder::new()?;
    let mut times: Vec<(&str, Duration)> = Vec::new();
    let mut outcome = Ok(());
    for stage in STAGES.iter().filter(chosen) {
        eprintln!("==== {}", stage.name);
        let begin = Instant::now();
        outcome = bash(stage, &folder.0);
        times.push((stage.name, begin.elapsed()));
        if outcome.is_err() {
            break;
        }
    }
    eprintln!("==== time by stage");
    for (name, time) in &times {
        eprintln!("{:7.0} s  {name}", time.as_secs_f64());
    }
    eprintln!("{:7.0} s  in all", times.iter().map(|(_, time)| time.as_secs_f64()).sum::<f64>());
    outcome
}

fn bash(stage: &Stage, folder: &Path) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository's root")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", stage.script]).current_dir(root);
    command.env("run", folder).env("alexnet", target.join("release/alexnet"));
    let status = command.status().context("bash")?;
    ensure!(status.success(), "stage {} failed: {status}", stage.name);
    Ok(())
}

/// A folder for what stages leave each other, removed at the end.
struct ScratchFolder(PathBuf);

impl ScratchFolder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("alexnet-ci-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("{}", path.display()))?;
        Ok(ScratchFolder(path))
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // What is left in a temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
