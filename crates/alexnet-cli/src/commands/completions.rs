//! `alexnet completions`: what a shell needs to complete our options.

use crate::output;

/// Options of `alexnet completions`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell; its own documentation says where such a script belongs
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args, mut program: clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "alexnet", &mut script);
    output::print_as_is(&String::from_utf8(script)?)
}
