//! Search for system fonts with characters that the built-in font lacks.
//!
//! Only the character table of each font file in the well-known folders is read, at most once, and only when a character is
//! missing. All of this is bounded: a font folder may be on a slow network, or not contain fonts.

use skrifa::raw::tables::cmap::Cmap;
use skrifa::raw::{FontData, FontRead};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Environment variable with a font file or folder to try first.
pub(super) const VARIABLE: &str = "ALEXNET_FONT";
/// Maximum folder depth.
const DEPTH: usize = 6;
/// Maximum number of folder entries.
const ENTRIES: usize = 20_000;
/// Time limit of a search.
const TIME: Duration = Duration::from_secs(3);
/// Maximum size of a character table in bytes. Those of Chinese, Japanese and Korean together have 300,000.
const MAP_BYTES: u32 = 4 << 20;
/// Maximum size of a loaded font in bytes. Noto's font of five East Asian languages has 20 million.
const FONT_BYTES: u64 = 128 << 20;

/// Font search with its results so far.
pub(super) struct FontSearch {
    /// A font file or folder with priority.
    named: Option<PathBuf>,
    folders: Vec<PathBuf>,
    /// `None` before the first search.
    files: Option<Vec<Candidate>>,
    left: Duration,
}

/// A font file and the character ranges that it covers, once read.
struct Candidate {
    path: PathBuf,
    letters: Option<Vec<[u32; 2]>>,
}

impl FontSearch {
    /// Creates a search in these places, in this order.
    pub(super) fn new(named: Option<PathBuf>, folders: Vec<PathBuf>) -> FontSearch {
        FontSearch { named, folders, files: None, left: TIME }
    }

    /// Creates a search on this machine, with priority for `ALEXNET_FONT`.
    pub(super) fn of_this_machine() -> FontSearch {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = variable("HOME");
        let within = |base: Option<PathBuf>, path: &str| base.map(|base| base.join(path));
        let own = [
            within(variable("XDG_DATA_HOME"), "fonts"),
            within(home.clone(), ".local/share/fonts"),
            within(home.clone(), ".fonts"),
            within(home, "Library/Fonts"),
            within(variable("LOCALAPPDATA"), "Microsoft\\Windows\\Fonts"),
            within(variable("WINDIR"), "Fonts"),
        ];
        let common = [
            "/usr/share/fonts",
            "/usr/local/share/fonts",
            "/run/current-system/sw/share/X11/fonts",
            "/System/Library/Fonts",
            "/Library/Fonts",
            "/system/fonts",
            "C:\\Windows\\Fonts",
        ];
        let folders = own.into_iter().flatten().chain(common.into_iter().map(PathBuf::from)).collect();
        FontSearch::new(variable(VARIABLE), folders)
    }

    /// Loads the font file that covers most of these characters, the best-ranked of equals; `None` if no font covers any.
    pub(super) fn find(&mut self, letters: &BTreeSet<char>) -> Option<Vec<u8>> {
        let start = Instant::now();
        let left = self.left;
        let files = self.files.get_or_insert_with(|| list(self.named.as_deref(), &self.folders, start + left));
        let mut best: Option<(usize, usize)> = None;
        for (i, file) in files.iter_mut().enumerate() {
            if file.letters.is_none() && start.elapsed() > left {
                break;
            }
            let ranges = file.letters.get_or_insert_with(|| letters_of(&file.path).unwrap_or_default());
            let has = letters.iter().filter(|letter| contains(ranges, **letter as u32)).count();
            if has > best.map_or(0, |(has, _)| has) {
                best = Some((has, i));
            }
            // The user's own font is used if it covers any character.
            if has == letters.len() || (has > 0 && self.named.as_deref() == Some(&file.path)) {
                break;
            }
        }
        self.left = left.saturating_sub(start.elapsed());
        let chosen = &mut files[best?.1];
        // Loaded at most once: characters that turn out to have no outline are not searched in it again.
        chosen.letters = Some(Vec::new());
        let bytes = load(&chosen.path);
        log::debug!("{} for {}", chosen.path.display(), letters.iter().collect::<String>());
        // An unreadable font is skipped; the next search tries another.
        Some(bytes.unwrap_or_default())
    }
}

/// Opens a regular file. Anything else, such as a pipe, could block.
fn open(path: &Path) -> Option<File> {
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    File::open(path).ok()
}

fn load(path: &Path) -> Option<Vec<u8>> {
    let file = open(path)?;
    if file.metadata().ok()?.len() > FONT_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(FONT_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Font files of all places, the most suitable first: the user's, then upright sans serifs of regular weight.
fn list(named: Option<&Path>, folders: &[PathBuf], until: Instant) -> Vec<Candidate> {
    let mut entries = ENTRIES;
    let mut first = Vec::new();
    match named {
        Some(path) if path.is_dir() => walk(path, DEPTH, &mut entries, until, &mut first),
        Some(path) => first.push(path.to_path_buf()),
        None => {}
    }
    let mut others = Vec::new();
    for folder in folders {
        walk(folder, DEPTH, &mut entries, until, &mut others);
    }
    let mut paths = Vec::new();
    for mut group in [first, others] {
        group.sort_by_cached_key(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            (oddness(&name), name, path.clone())
        });
        paths.append(&mut group);
    }
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    paths.into_iter().map(|path| Candidate { path, letters: None }).collect()
}

fn walk(folder: &Path, depth: usize, entries: &mut usize, until: Instant, found: &mut Vec<PathBuf>) {
    let Ok(inside) = std::fs::read_dir(folder) else { return };
    for entry in inside.flatten() {
        if *entries == 0 || Instant::now() > until {
            return;
        }
        *entries -= 1;
        let path = entry.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        if matches!(ending.as_deref(), Some("ttf" | "otf" | "ttc" | "otc")) {
            // macOS has a font in which every character is a box.
            if !path.file_name().is_some_and(|name| name.to_string_lossy().to_ascii_lowercase().contains("lastresort")) {
                found.push(path);
            }
        } else if depth > 0 && path.is_dir() {
            walk(&path, depth - 1, entries, until, found);
        }
    }
}

/// Distance of a font, judged by its name, from an upright sans serif of regular weight.
fn oddness(name: &str) -> usize {
    const ODD: [(&str, usize); 14] = [
        ("italic", 8),
        ("oblique", 8),
        ("bold", 4),
        ("black", 4),
        ("heavy", 4),
        ("thin", 4),
        ("light", 4),
        ("condensed", 4),
        ("mono", 2),
        ("serif", 2),
        ("math", 2),
        ("fallback", 3),
        ("unifont", 3),
        ("emoji", 6),
    ];
    ODD.iter().filter(|(word, _)| name.contains(word)).map(|(_, cost)| cost).sum()
}

/// Characters for which a font file, or the first font of a collection, has outlines.
fn letters_of(path: &Path) -> Option<Vec<[u32; 2]>> {
    let mut file = open(path)?;
    let mut part = |at: u32, len: u32| {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(at.into())).ok()?;
        (&mut file).take(len.into()).read_to_end(&mut bytes).ok()?;
        (bytes.len() == len as usize).then_some(bytes)
    };
    let number = |bytes: &[u8], at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let mut start = 0;
    let mut head = part(0, 16)?;
    if head.starts_with(b"ttcf") {
        start = number(&head, 12)?;
        head = part(start, 12)?;
    }
    let tables = u32::from(u16::from_be_bytes([head[4], head[5]]));
    let directory = part(start.checked_add(12)?, 16 * tables)?;
    let table = |tag: &[u8; 4]| directory.chunks_exact(16).find(|record| record.starts_with(tag));
    // A bitmap-only font has nothing to draw at any size.
    if ![b"glyf", b"CFF ", b"CFF2"].into_iter().any(|tag| table(tag).is_some()) {
        return None;
    }
    let record = table(b"cmap")?;
    let map = part(number(record, 8)?, number(record, 12)?.min(MAP_BYTES))?;
    let (.., map) = Cmap::read(FontData::new(&map)).ok()?.best_subtable()?;
    let mut letters: Vec<u32> = map.iter().filter(|(_, glyph)| glyph.to_u32() != 0).map(|(letter, _)| letter).collect();
    letters.sort_unstable();
    let mut ranges: Vec<[u32; 2]> = Vec::new();
    for letter in letters {
        match ranges.last_mut() {
            Some([_, last]) if letter <= *last + 1 => *last = letter,
            _ => ranges.push([letter, letter]),
        }
    }
    Some(ranges)
}

fn contains(ranges: &[[u32; 2]], letter: u32) -> bool {
    let after = ranges.partition_point(|[first, _]| *first <= letter);
    after > 0 && letter <= ranges[after - 1][1]
}
