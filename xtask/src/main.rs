//! Repository automation.

mod ci;

const USAGE: &str = "usage: cargo xtask ci [quick|full] [STAGE...]
  quick  what to run before a commit: format, lints, documentation, tests
  full   everything that CI runs (the default); installs what it needs with apt-get, pip and npm
  STAGE  only these stages, by name";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)).unwrap_or_default();
    match command {
        "ci" => ci::run(rest),
        _ => anyhow::bail!("{USAGE}"),
    }
}
