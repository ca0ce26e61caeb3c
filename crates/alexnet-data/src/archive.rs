//! Class folders in an archive, by the names of its members.

use crate::escape::printable;
use crate::listing::{Found, Listing};
use crate::passed_over::{Reason, is_hidden};
use crate::sniff::{self, Content};
use crate::stored::{Store, Stored, is_image};
use crate::{Demand, Error, Opened, PassedOver, Result, Split, Splits};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Levels of folders whose own entries are kept, and in which splits are searched.
const LEVELS: usize = 8;

/// Members of an archive as they are found.
pub(crate) struct Members<P> {
    /// All regular files, since links may lead to any of them.
    files: Found<P>,
    /// Links, with their targets within the archive.
    links: Vec<(String, Option<String>)>,
    folders: BTreeSet<String>,
    hidden: BTreeSet<String>,
    passed: PassedOver,
}

impl<P> Default for Members<P> {
    fn default() -> Self {
        let (files, links, passed) = (Found::default(), Vec::new(), PassedOver::default());
        Members { files, links, folders: BTreeSet::new(), hidden: BTreeSet::new(), passed }
    }
}

impl<P: Copy> Members<P> {
    /// Adds a regular file.
    pub(crate) fn file(&mut self, name: &str, place: P) {
        self.is_hidden(name);
        self.files.push(name, place);
    }

    /// Adds a folder.
    pub(crate) fn folder(&mut self, name: &str) {
        if !self.is_hidden(name) && name.matches('/').count() < LEVELS {
            self.folders.insert(name.into());
        }
    }

    /// Adds a link; `None` for a target outside the archive.
    pub(crate) fn link(&mut self, name: &str, target: Option<String>) {
        if !self.is_hidden(name) {
            self.links.push((name.into(), target));
        }
    }

    /// Counts a member that cannot be used.
    pub(crate) fn pass_over(&mut self, reason: Reason, name: &str) {
        if !self.is_hidden(name) {
            self.passed.add(reason, name);
        }
    }

    /// Whether a member is hidden, in which case it is counted.
    fn is_hidden(&mut self, name: &str) -> bool {
        let hidden = is_hidden_within(name);
        if hidden && !self.hidden.contains(hidden_part(name)) {
            self.hidden.insert(hidden_part(name).into());
        }
        hidden
    }

    /// Resolves the links, and picks the images. `start` reads the first [`sniff::START`] bytes of a file.
    pub(crate) fn images<E>(self, start: impl Fn(P) -> Result<Vec<u8>, E>) -> Images<P> {
        let Members { files, links, folders, hidden, mut passed } = self;
        // Most archives hold only images: a million names need no second list.
        if links.is_empty() && hidden.is_empty() && files.names().all(|name| is_image(name.rsplit('/').next().unwrap_or(name))) {
            return Images { images: files, folders, passed };
        }
        let resolved = resolve(&files, links, &mut passed);
        hidden.into_iter().for_each(|name| passed.add(Reason::Hidden, name));
        let linked = resolved.iter().map(|(name, place)| (name.as_str(), *place));
        let mut images = Found::default();
        for (name, place) in files.iter().chain(linked).filter(|(name, _)| !is_hidden_within(name)) {
            match kind_of(name, || start(place)) {
                None => images.push(name, place),
                Some(why) => passed.add(why, name),
            }
        }
        Images { images, folders, passed }
    }
}

/// Images of an archive.
pub(crate) struct Images<P> {
    pub(crate) images: Found<P>,
    /// Folders with entries of their own, from the outermost levels.
    pub(crate) folders: BTreeSet<String>,
    pub(crate) passed: PassedOver,
}

/// A data set of class folders in the archive at `path`. `split`: `None` for all of them, with or without classes.
pub(crate) fn class_folders<S: Store + 'static>(
    path: &Path,
    found: Images<S::Place>,
    store: S,
    split: Option<Split>,
    demand: Demand,
) -> Result<Opened> {
    match split {
        Some(split) => open(path, found, store, split, demand),
        None => open_loose(path, found, store),
    }
}

/// Lists the images of an archive, sorted by class and name.
fn open<S: Store + 'static>(path: &Path, found: Images<S::Place>, store: S, split: Split, demand: Demand) -> Result<Opened> {
    let Images { mut images, mut folders, mut passed } = found;
    let (root, splits) = splits(path, &images, &folders)?;
    let taken = splits.as_ref().map(|splits| splits.name_of(split).to_string());
    if let (Some(taken), Some(splits)) = (&taken, &splits) {
        let prefix = |split: &str| if root.is_empty() { format!("{split}/") } else { format!("{root}/{split}/") };
        let (taken, all) = (prefix(taken), splits.names.iter().map(|name| prefix(name)).collect::<Vec<_>>());
        let mut inside = Found::default();
        for (name, place) in images.iter() {
            match name.strip_prefix(&taken) {
                Some(name) => inside.push(name, place),
                None if all.iter().any(|split| name.starts_with(split)) => {}
                None => passed.add(Reason::OutsideSplit, name),
            }
        }
        images = inside;
        folders = folders.iter().filter_map(|name| Some(name.strip_prefix(&taken)?.to_string())).collect();
    }
    let mut classes: BTreeSet<&str> = images.names().filter_map(|name| Some(name.split_once('/')?.0)).collect();
    classes.extend(folders.iter().filter(|name| !name.contains('/')).map(String::as_str));
    let classes = classes.into_iter().map(String::from).collect();
    let root = within(path, &root);
    let at = taken.as_ref().map_or(root.clone(), |taken| root.join(taken));
    let mut listing = Listing::new(&at, demand, classes, images, &passed)?;
    let empty = std::mem::take(&mut listing.empty);
    let source = Stored::new(without_doubles(path, listing)?, store);
    Ok(Opened { splits, taken, in_class_folders: true, empty, passed_over: passed, root, ..Opened::whole(&at, source) })
}

/// Lists the images, with or without classes.
fn open_loose<S: Store + 'static>(path: &Path, found: Images<S::Place>, store: S) -> Result<Opened> {
    let Images { images, folders, passed } = found;
    let (root, splits) = splits(path, &images, &folders)?;
    let depth = usize::from(splits.is_some()) + parts(&root).len();
    let listing = Listing::loose(path, depth, images, &passed)?;
    let source = Stored::new(without_doubles(path, listing)?, store);
    Ok(Opened { splits, passed_over: passed, ..Opened::whole(&within(path, &root), source) })
}

/// The splits of an archive, if any, and the folder that contains them: none, its only folder, and so on.
fn splits<P: Copy>(path: &Path, images: &Found<P>, folders: &BTreeSet<String>) -> Result<(String, Option<Splits>)> {
    let of = |root: &str| -> Result<(Vec<String>, Option<Splits>)> {
        // Folders in the root, and whether they contain folders.
        let mut found: BTreeMap<&str, bool> = BTreeMap::new();
        let inner = |name: &'_ str| {
            if root.is_empty() { Some(0) } else { name.strip_prefix(root)?.starts_with('/').then_some(root.len() + 1) }
        };
        let of_folders = folders.iter().filter_map(|name| Some(&name[inner(name)?..]));
        for name in of_folders {
            let (first, nested) = name.split_once('/').map_or((name, false), |(first, _)| (first, true));
            *found.entry(first).or_default() |= nested;
        }
        for (first, rest) in images.names().filter_map(|name| name[inner(name)?..].split_once('/')) {
            *found.entry(first).or_default() |= rest.contains('/');
        }
        let names: Vec<String> = found.keys().map(|name| (*name).to_string()).collect();
        let splits = Splits::of(&names, &|name| found.get(name).copied().unwrap_or_default());
        Ok((names, splits.map_err(|reason| Error::file(within(path, root), reason))?))
    };
    let (mut root, mut found) = (String::new(), of("")?);
    for _ in 0..LEVELS {
        let (names, None) = &found else { break };
        let [only] = names.as_slice() else { break };
        root = if root.is_empty() { only.clone() } else { format!("{root}/{only}") };
        found = of(&root)?;
    }
    Ok(if found.1.is_some() { (root, found.1) } else { (String::new(), None) })
}

/// A folder of the archive, for messages.
fn within(path: &Path, folder: &str) -> PathBuf {
    if folder.is_empty() { path.to_path_buf() } else { path.join(folder) }
}

fn without_doubles<P: Copy>(path: &Path, listing: Listing<P>) -> Result<Listing<P>> {
    let images = &listing.images;
    match (1..images.len()).find(|&i| images.name(i - 1) == images.name(i)) {
        Some(i) => Err(Error::file(path, format!("contains {} twice", printable(images.name(i))))),
        None => Ok(listing),
    }
}

/// Path components of a name.
pub(crate) fn parts(name: &str) -> Vec<&str> {
    name.split('/').filter(|part| !matches!(*part, "" | ".")).collect()
}

/// Whether a name or a parent folder is hidden. `..`, which leads out of the archive, counts as hidden too.
fn is_hidden_within(name: &str) -> bool {
    name.split('/').any(is_hidden)
}

/// Prefix of a name up to its first hidden component.
fn hidden_part(name: &str) -> &str {
    let mut end = 0;
    for part in name.split('/') {
        end += part.len();
        if is_hidden(part) {
            break;
        }
        end += 1;
    }
    &name[..end.min(name.len())]
}

/// Target of a symbolic link within the archive; `None` if outside.
pub(crate) fn beside(link: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut at = parts(link);
    at.pop();
    for part in parts(target) {
        match part {
            ".." => drop(at.pop()?),
            part => at.push(part),
        }
    }
    Some(at.join("/"))
}

/// Resolves links, including links to links, to the location of the final file. Others are counted.
fn resolve<P: Copy>(files: &Found<P>, links: Vec<(String, Option<String>)>, passed: &mut PassedOver) -> Vec<(String, P)> {
    /// Longer chains are cycles.
    const MOST: usize = 40;
    if links.is_empty() {
        return Vec::new();
    }
    let places: HashMap<&str, P> = files.iter().collect();
    let next: HashMap<&str, &str> = links.iter().filter_map(|(name, target)| Some((name.as_str(), target.as_deref()?))).collect();
    let end = |target: &Option<String>| {
        let mut at = target.as_deref()?;
        for _ in 0..MOST {
            if let Some(place) = places.get(at) {
                return Some(*place);
            }
            at = next.get(at)?;
        }
        None
    };
    let mut resolved = Vec::new();
    for (name, target) in &links {
        match end(target) {
            Some(place) => resolved.push((name.clone(), place)),
            None => passed.add(Reason::Link, name.as_str()),
        }
    }
    resolved
}

/// Reason why an entry is not an image, if any. As in a folder, known extensions are trusted.
fn kind_of<E>(name: &str, start: impl FnOnce() -> Result<Vec<u8>, E>) -> Option<Reason> {
    if is_image(name.rsplit('/').next().unwrap_or(name)) {
        return None;
    }
    match start().map(|start| sniff::content(&start)) {
        Ok(Content::Image) => None,
        Ok(Content::Unread(_)) => Some(Reason::Format),
        Ok(_) => Some(Reason::NotImage),
        Err(_) => Some(Reason::Unreadable),
    }
}
