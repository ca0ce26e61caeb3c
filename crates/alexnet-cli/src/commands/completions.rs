//! `alexnet completions`: shell completion scripts.

use crate::output;

/// Options of `alexnet completions`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Shell; see its documentation for where to install the script
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args, mut program: clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "alexnet", &mut script);
    output::print_as_is(&String::from_utf8(script)?)
}
