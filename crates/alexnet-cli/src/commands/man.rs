//! `alexnet man`: manual pages generated from the `--help` texts.

use crate::output;
use anyhow::Context;

use std::path::{Path, PathBuf};

/// Options of `alexnet man`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write all pages (alexnet.1, alexnet-train.1, ...) into this folder instead of printing the main page
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, mut program: clap::Command) -> anyhow::Result<()> {
    // Names and usage lines of subcommands are complete only once built.
    program.build();
    let Some(folder) = &args.out else { return output::print_as_is(&String::from_utf8(page(&program)?)?) };
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot create this folder", folder.display()))?;
    write(folder, "alexnet", &program)
}

/// Writes the page of a command and those of its subcommands.
fn write(folder: &Path, name: &str, command: &clap::Command) -> anyhow::Result<()> {
    let page = page(&command.clone().name(name.to_string()))?;
    alexnet::files::write_atomic(folder.join(format!("{name}.1")), |file| file.write_all(&page))?;
    for inner in command.get_subcommands().filter(|c| c.get_name() != "help") {
        write(folder, &format!("{name}-{}", inner.get_name()), inner)?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}
