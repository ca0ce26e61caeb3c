//! List of a data set's images, whatever they are stored in.

use crate::escape::printable;
use crate::image::decode::endings;
use crate::layouts::LAYOUT;
use crate::{Error, PassedOver, Result};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// Requirements on the classes of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// At least two classes, each with images: enough for training.
    Trainable,
    /// Any number of classes. Class folders without images are ignored.
    WithImages,
    /// All class folders, including those without images.
    All,
    /// Images with or without classes.
    LabelsOptional,
}

/// Images as they were found: names in one text, so that a million of them take little memory.
#[derive(Debug, Clone)]
pub(crate) struct Found<P> {
    text: String,
    /// End of each name in `text`.
    ends: Vec<usize>,
    places: Vec<P>,
}

impl<P> Default for Found<P> {
    fn default() -> Self {
        Found { text: String::new(), ends: Vec::new(), places: Vec::new() }
    }
}

impl<P: Copy> Found<P> {
    pub(crate) fn push(&mut self, name: &str, place: P) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
        self.places.push(place);
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn name(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.text[start..self.ends[i]]
    }

    pub(crate) fn get(&self, i: usize) -> (&str, P) {
        (self.name(i), self.places[i])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, P)> {
        (0..self.len()).map(|i| self.get(i))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|i| self.name(i))
    }

    /// The images of these numbers, in this order.
    pub(crate) fn ordered(&self, order: &[u32]) -> Found<P> {
        let mut ordered = Found { text: String::with_capacity(self.text.len()), ..Found::default() };
        ordered.ends.reserve_exact(order.len());
        ordered.places.reserve_exact(order.len());
        for &i in order {
            let (name, place) = self.get(i as usize);
            ordered.push(name, place);
        }
        ordered
    }
}

/// List of a data set's images in their final order.
#[derive(Debug)]
pub(crate) struct Listing<P> {
    pub(crate) classes: Vec<String>,
    /// Names, such as `class/file.jpg`, and places of the bytes.
    pub(crate) images: Found<P>,
    pub(crate) labels: Vec<u32>,
    /// Class folders without images.
    pub(crate) empty: Vec<String>,
}

impl<P: Copy> Listing<P> {
    /// Images in this order, without classes.
    pub(crate) fn unlabelled(images: Found<P>) -> Self {
        let labels = vec![0; images.len()];
        Listing { classes: Vec::new(), images, labels, empty: Vec::new() }
    }

    /// Sorts the entries found at `path` by name. If all are in folders, these are the classes; otherwise there are none. The
    /// class is the folder at `depth`: 0 for the outermost, 1 within splits.
    pub(crate) fn loose(path: &Path, depth: usize, found: Found<P>, passed: &PassedOver) -> Result<Self> {
        if found.is_empty() {
            return Err(Error::file(
                path,
                format!("no images here (*.{{{}}}){}", endings().collect::<Vec<_>>().join(", "), and_passed_over(passed)),
            ));
        }
        if found.names().all(|name| name.split('/').count() > depth + 1) {
            let classes: BTreeSet<&str> = found.names().map(|name| folder(name, depth)).collect();
            let classes = classes.into_iter().map(String::from).collect();
            return Ok(Self::labelled(classes, depth, &found));
        }
        let mut order: Vec<u32> = (0..found.len() as u32).collect();
        order.sort_by(|&a, &b| found.name(a as usize).cmp(found.name(b as usize)));
        Ok(Self::unlabelled(found.ordered(&order)))
    }

    /// Sorts the entries found at `path` by name and assigns labels. `folders` are the class folders, including empty ones.
    pub(crate) fn new(path: &Path, demand: Demand, folders: Vec<String>, found: Found<P>, passed: &PassedOver) -> Result<Self> {
        let mut classes = folders;
        classes.sort();
        classes.dedup();
        let problem = |text: String| Err(Error::file(path, text));
        if let Some(name) = found.names().filter(|name| !name.contains('/')).min() {
            return problem(format!("{} is not in a class folder; {LAYOUT}", printable(name)));
        }
        if classes.is_empty() || (found.is_empty() && demand != Demand::Trainable) {
            return problem(format!("no images here; {LAYOUT}{}", and_passed_over(passed)));
        }
        if let (Demand::Trainable, [only]) = (demand, classes.as_slice()) {
            let inner: BTreeSet<&str> = found.names().map(|name| folder(name, 1)).collect();
            let inner: Vec<&str> = inner.into_iter().take(2).collect();
            // A wrapper folder around the classes was packed or given.
            let hint = match inner.as_slice() {
                [first, second, ..] if found.names().all(|name| name.split('/').count() > 2) => {
                    let [first, second] = [first, second].map(|name| printable(name));
                    format!(
                        "; if {first}, {second} and so on are the classes, use that folder (or pack it: tar -cf set.tar -C FOLDER .)"
                    )
                }
                _ => String::new(),
            };
            return problem(format!("only one class, {}; {LAYOUT}{hint}", printable(only)));
        }
        if u32::try_from(found.len()).is_err() {
            return problem("more than 4 billion images".into());
        }
        let with_images: HashSet<&str> = found.names().map(|name| folder(name, 0)).collect();
        let empty: Vec<String> = classes.iter().filter(|class| !with_images.contains(class.as_str())).cloned().collect();
        match demand {
            Demand::Trainable => {
                if let Some(class) = empty.first() {
                    return problem(format!(
                        "class {} has no images (*.{{{}}}); remove its folder or fill it{}",
                        printable(class),
                        endings().collect::<Vec<_>>().join(", "),
                        and_passed_over(passed)
                    ));
                }
            }
            Demand::WithImages => classes.retain(|class| empty.binary_search(class).is_err()),
            Demand::All | Demand::LabelsOptional => {}
        }
        Ok(Listing { empty, ..Self::labelled(classes, 0, &found) })
    }

    /// Images in this order, with indices into `classes` as labels. Classes without images are left out, unless all are demanded: a
    /// published set has the names of classes that a part of it lacks.
    pub(crate) fn in_order(
        path: &Path,
        demand: Demand,
        classes: Vec<String>,
        images: Found<P>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        let problem = |text: String| Err(Error::file(path, text));
        let mut sorted: Vec<&String> = classes.iter().collect();
        sorted.sort();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return problem(format!("class {} has two labels", printable(pair[0])));
        }
        let mut used = vec![false; classes.len()];
        for (i, &label) in labels.iter().enumerate() {
            match used.get_mut(label as usize) {
                Some(used) => *used = true,
                None => {
                    let (name, classes) = (printable(images.name(i)), classes.len());
                    return problem(format!("{name} has label {label}, but there are {classes} class names"));
                }
            }
        }
        if u32::try_from(images.len()).is_err() {
            return problem("more than 4 billion images".into());
        }
        if images.is_empty() {
            return problem("no images here".into());
        }
        let unused = |class: usize| !used[class];
        let empty: Vec<String> = (0..classes.len()).filter(|&class| unused(class)).map(|class| classes[class].clone()).collect();
        if demand == Demand::Trainable && classes.len() - empty.len() == 1 {
            let only = classes.iter().find(|class| !empty.contains(class)).map_or("", String::as_str);
            return problem(format!("only one class, {}", printable(only)));
        }
        if matches!(demand, Demand::All | Demand::LabelsOptional) {
            return Ok(Listing { classes, images, labels, empty });
        }
        // The label of each class among those with images.
        let mut next = 0;
        let count = |&used: &bool| {
            next += u32::from(used);
            next.saturating_sub(1)
        };
        let new: Vec<u32> = used.iter().map(count).collect();
        let labels = labels.into_iter().map(|label| new[label as usize]).collect();
        let classes = classes.into_iter().zip(&used).filter(|(_, used)| **used).map(|(class, _)| class).collect();
        Ok(Listing { classes, images, labels, empty })
    }

    /// Labels images by their folders, all of which are among the sorted `classes`.
    fn labelled(classes: Vec<String>, depth: usize, found: &Found<P>) -> Self {
        let label = |name: &str| {
            let class = folder(name, depth);
            classes.binary_search_by(|known| known.as_str().cmp(class)).unwrap_or_default() as u32
        };
        let labels: Vec<u32> = found.names().map(label).collect();
        Self::by_label(classes, found, &labels)
    }

    /// Images with these labels, sorted by label first, then by name: the order of PyTorch's `ImageFolder`. By name alone, a/b.jpg
    /// and a-b/c.jpg would mix.
    pub(crate) fn by_label(classes: Vec<String>, found: &Found<P>, labels: &[u32]) -> Self {
        let mut order: Vec<u32> = (0..found.len() as u32).collect();
        order.sort_by_key(|&i| (labels[i as usize], found.name(i as usize)));
        let labels = order.iter().map(|&i| labels[i as usize]).collect();
        Listing { classes, images: found.ordered(&order), labels, empty: Vec::new() }
    }
}

/// The folder at this depth of a name.
fn folder(name: &str, depth: usize) -> &str {
    name.split('/').nth(depth).unwrap_or_default()
}

/// Suffix of an error that may be caused by skipped files.
fn and_passed_over(passed: &PassedOver) -> String {
    if passed.is_empty() { String::new() } else { format!("; skipped: {}", passed.words()) }
}
