//! Repository automation.

mod ci;
mod dist;

const USAGE: &str = "usage: cargo xtask ci [quick|full] [STAGE...]
       cargo xtask dist [TARGET...]
  quick  what to run before a commit: format, lints, documentation, tests
  full   everything that CI runs (the default); installs what it needs with apt-get, pip and npm
  STAGE  only these stages, by name
  TARGET a platform to build a release's archive for, such as x86_64-unknown-linux-musl; by default this machine's";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)).unwrap_or_default();
    match command {
        "ci" => ci::run(rest),
        "dist" => dist::run(rest),
        _ => anyhow::bail!("{USAGE}"),
    }
}
