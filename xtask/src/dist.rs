//! `cargo xtask dist [TARGET...]`: the archives of a release, with their checksums, in `target/archives/`.
//!
//! An archive holds one folder: the stripped program, its licences, README and changelog, shell completions and manual pages. Equal
//! sources and compilers give equal bytes: files are in the order of their names, without times and owners.

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Files of the repository in each archive.
const FILES: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];
/// Shells with completions, and the names by which they find them.
const SHELLS: [(&str, &str); 5] = [
    ("bash", "alexnet.bash"),
    ("elvish", "alexnet.elv"),
    ("fish", "alexnet.fish"),
    ("powershell", "_alexnet.ps1"),
    ("zsh", "_alexnet"),
];

/// Builds for each of the targets, or for this machine.
pub(crate) fn run(targets: &[String]) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository's folder")?;
    let host = host()?;
    let targets = if targets.is_empty() { std::slice::from_ref(&host) } else { targets };
    let out = root.join("target/archives");
    fs::create_dir_all(&out)?;
    // Completions and manual pages are printed by the program of this machine.
    let program = build(root, &host)?;
    let mut sums = String::new();
    for target in targets {
        let name = format!("alexnet-{VERSION}-{target}");
        let folder = out.join(&name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("completions"))?;
        let built = if *target == host { program.clone() } else { build(root, target)? };
        fs::copy(&built, folder.join(built.file_name().context("a program")?))?;
        for file in FILES {
            fs::copy(root.join(file), folder.join(file))?;
        }
        for (shell, file) in SHELLS {
            fs::write(folder.join("completions").join(file), output(Command::new(&program).args(["completions", shell]))?)?;
        }
        output(Command::new(&program).args(["man", "--out"]).arg(folder.join("man")))?;
        let archive = out.join(format!("{name}.tar.gz"));
        let bytes = pack(&folder, &name)?;
        fs::write(&archive, &bytes)?;
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{}: {:.1} MB", archive.display(), bytes.len() as f64 / 1e6);
        sums += &format!("{sum}  {name}.tar.gz\n");
    }
    fs::write(out.join("SHA256SUMS"), sums)?;
    Ok(())
}

/// Compiles the program for a target; returns its path.
fn build(root: &Path, target: &str) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--profile", "dist", "-p", "alexnet-cli", "--target", target]);
    ensure!(
        command.status()?.success(),
        "cargo build for {target} failed; `rustup target add {target}` installs its standard library"
    );
    let name = if target.contains("windows") { "alexnet.exe" } else { "alexnet" };
    Ok(root.join("target").join(target).join("dist").join(name))
}

/// The target of this machine.
fn host() -> anyhow::Result<String> {
    let text = String::from_utf8(output(Command::new("rustc").arg("-vV"))?)?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc -vV has no line `host:`")?.into())
}

/// Standard output of a command that succeeds.
fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let done = command.output().with_context(|| format!("{command:?}"))?;
    if !done.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(done.stdout)
}

/// A compressed archive of a folder under a name.
fn pack(folder: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut archive = tar::Builder::new(compressed);
    archive.mode(tar::HeaderMode::Deterministic);
    add(&mut archive, folder, Path::new(name))?;
    Ok(archive.into_inner()?.finish()?)
}

fn add(archive: &mut tar::Builder<impl std::io::Write>, folder: &Path, name: &Path) -> anyhow::Result<()> {
    let mut entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    entries.sort();
    for entry in entries {
        let name = name.join(entry.file_name().context("a name")?);
        if entry.is_dir() { add(archive, &entry, &name)? } else { archive.append_path_with_name(&entry, &name)? }
    }
    Ok(())
}
