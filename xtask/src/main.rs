//! Chores of the repository: `cargo xtask check` runs all that CI runs.

use std::process::Command;

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("check") => check(),
        _ => anyhow::bail!("usage: cargo xtask check"),
    }
}

/// Format, lints, documentation and tests, in the order of their cost.
fn check() -> anyhow::Result<()> {
    run("cargo", &["fmt", "--all", "--check"])?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    run("cargo", &["doc", "--workspace", "--no-deps", "--document-private-items"])?;
    run("cargo", &["test", "--workspace"])
}

fn run(program: &str, args: &[&str]) -> anyhow::Result<()> {
    eprintln!("$ {program} {}", args.join(" "));
    let status = Command::new(program).args(args).status()?;
    anyhow::ensure!(status.success(), "{program} {} failed", args.join(" "));
    Ok(())
}
