//! CI on a fresh clone: timed stages, run in order. `.ci/run` is `cargo xtask ci full`.

mod stages;

use anyhow::{Context, bail, ensure};
use stages::STAGES;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A named CI stage.
pub(super) struct Stage {
    /// Name on the command line.
    pub(super) name: &'static str,
    /// Whether `ci quick` runs it too.
    pub(super) quick: bool,
    /// Script for `bash -euo pipefail`, run in the repository root. `$run` is a scratch folder, empty at first and
    /// shared by all stages of a run; `$alexnet` is the release build of the program.
    pub(super) script: &'static str,
}

/// Run time of a stage.
struct Times {
    /// Wall-clock time.
    elapsed: Duration,
    /// Processor time of all its processes, which is more meaningful than `elapsed` on a busy machine; may be missing
    /// for a failed stage.
    processor: Option<Duration>,
}

/// Runs the stages of a level (`quick` or `full`) or the named ones, stops at the first failure, and prints the times of each.
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
    let mut times: Vec<(&str, Times)> = Vec::new();
    let mut outcome = Ok(());
    for stage in STAGES.iter().filter(chosen) {
        eprintln!("==== {}", stage.name);
        let begin = Instant::now();
        outcome = bash(stage, &folder.0);
        let processor = std::fs::read_to_string(folder.0.join(TIMES)).ok().and_then(|text| sum_of_times(&text));
        times.push((stage.name, Times { elapsed: begin.elapsed(), processor }));
        if outcome.is_err() {
            break;
        }
    }
    print(&times);
    outcome
}

fn print(stages: &[(&str, Times)]) {
    eprintln!("==== seconds by stage\nelapsed  processor");
    let line = |name: &str, elapsed: Duration, processor: Option<Duration>| {
        let processor = processor.map_or("-".into(), |time| format!("{:.0}", time.as_secs_f64()));
        eprintln!("{:7.0}  {processor:>9}  {name}", elapsed.as_secs_f64());
    };
    for (name, times) in stages {
        line(name, times.elapsed, times.processor);
    }
    let processor = stages.iter().filter_map(|(_, times)| times.processor).sum();
    line("total", stages.iter().map(|(_, times)| times.elapsed).sum(), Some(processor));
}

/// File in the scratch folder to which a stage's shell writes the output of `times`.
const TIMES: &str = "times";

fn bash(stage: &Stage, folder: &Path) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository's root")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let script = format!("trap 'times >\"$run/{TIMES}\"' EXIT\n{}", stage.script);
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &script]).current_dir(root);
    command.env("run", folder).env("alexnet", target.join("release/alexnet"));
    let status = command.status().context("bash")?;
    ensure!(status.success(), "stage {} failed: {status}", stage.name);
    Ok(())
}

/// Sum of the times printed by bash's `times`: user and system time of the shell and of its children, as `1m2.345s`.
fn sum_of_times(text: &str) -> Option<Duration> {
    let seconds = |time: &str| {
        let (minutes, seconds) = time.strip_suffix('s')?.split_once('m')?;
        Some(60.0 * minutes.parse::<f64>().ok()? + seconds.parse::<f64>().ok()?)
    };
    text.split_whitespace().map(seconds).sum::<Option<f64>>().map(Duration::from_secs_f64)
}

/// A scratch folder shared by the stages, removed at the end.
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
        // A leftover temporary folder is harmless.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_shell_and_its_children_are_added() {
        let text = "0m0.500s 0m0.250s\n2m1.000s 0m3.250s\n";
        assert_eq!(sum_of_times(text), Some(Duration::from_secs(125)));
        assert_eq!(sum_of_times("none"), None);
    }

    #[test]
    fn stage_names_differ() {
        let names: std::collections::BTreeSet<_> = STAGES.iter().map(|stage| stage.name).collect();
        assert_eq!(names.len(), STAGES.len());
    }
}
