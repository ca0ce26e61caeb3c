//! Checks of the Markdown files: equal commands in both READMEs, and links that lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code blocks of a Markdown text: fenced ones, and lines indented by four spaces.
fn code_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let (mut block, mut is_fenced) = (String::new(), false);
    for line in text.lines() {
        let is_fence = line.starts_with("```");
        if is_fence || is_fenced || line.starts_with("    ") {
            block += line;
            block += "\n";
        } else if !block.is_empty() {
            blocks.push(std::mem::take(&mut block));
        }
        is_fenced ^= is_fence;
    }
    if !block.is_empty() {
        blocks.push(block);
    }
    blocks
}

/// Targets of the inline links and images of a Markdown text, outside code.
fn link_targets(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut is_fenced = false;
    for line in text.lines() {
        let is_fence = line.starts_with("```");
        is_fenced ^= is_fence;
        if is_fence || is_fenced || line.starts_with("    ") {
            continue;
        }
        // Inline code is every second piece between backquotes; the label of a link may contain some.
        let prose: String = line.split('`').step_by(2).collect();
        targets.extend(prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(String::from));
    }
    targets
}

/// The anchor of a heading, as GitHub forms it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().map(|c| if c == ' ' { '-' } else { c }).filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

fn anchors(text: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// The Markdown files of the root and of `docs`.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in [root().to_path_buf(), root().join("docs"), root().join("docs/guide")] {
        for entry in fs::read_dir(&folder).expect("a folder of pages") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The CI stages `first-command` and `tests` run README.md's commands; equal blocks extend that to the Chinese README.
#[test]
fn both_readmes_have_the_same_code() {
    let blocks = |name: &str| code_blocks(&read(&root().join(name)));
    let english = blocks("README.md");
    assert!(english.iter().any(|block| block.contains("cargo run --release -- train")), "the first command is missing");
    assert_eq!(english, blocks("README.zh-CN.md"));
}

#[test]
fn readmes_are_short() {
    for name in ["README.md", "README.zh-CN.md"] {
        let lines = read(&root().join(name)).lines().count();
        assert!(lines < 150, "{name}: {lines} lines");
    }
}

#[test]
fn links_between_pages_resolve() {
    let pages = pages();
    assert!(pages.len() > 15, "only {} pages found", pages.len());
    let mut broken = Vec::new();
    for page in &pages {
        for target in link_targets(&read(page)).iter().filter(|target| !target.contains("://")) {
            let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
            let linked = if path.is_empty() { page.clone() } else { page.with_file_name(path) };
            let is_page = linked.extension().is_some_and(|extension| extension == "md");
            let has_fragment =
                || fragment.is_empty() || !is_page || anchors(&read(&linked)).iter().any(|anchor| anchor == fragment);
            if !linked.exists() || !has_fragment() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

/// The parser above, on a small page.
#[test]
fn markdown_is_parsed() {
    let text = "# A `b`, c\n[x](y.md#z) and `[no](link)`\n\n    $ indented\n\n```rust\n[no](link)\n\nfenced\n```\n![p](q.png)\n";
    assert_eq!(code_blocks(text), ["    $ indented\n", "```rust\n[no](link)\n\nfenced\n```\n"]);
    assert_eq!(link_targets(text), ["y.md#z", "q.png"]);
    assert_eq!(anchors("# A `b`, c"), ["a-b-c"]);
}
