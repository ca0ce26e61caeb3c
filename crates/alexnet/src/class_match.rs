//! Matching of a data set's classes with a model's; the only place that compares class names.
//!
//! Names match if they are equal, also in another Unicode normalisation form (macOS decomposes "é" into two characters), and by
//! WordNet identifier, which may stand alone or precede the name, in both orders of ImageNet. A name that occurs twice in a model
//! matches nothing.
//!
//! A model file without names uses output numbers as names. These cannot be compared with folders named by numbers: PyTorch's
//! ImageFolder, and this program, sort folders as text (0, 1, 10, 11, 2, ...), others as numbers. If the two orders differ, the
//! user must choose one. A list of images names its classes by numbers in numeric order, which then is the model's.

use crate::net::imagenet::{Order, wnid};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use unicode_normalization::UnicodeNormalization;

/// Order of the class folders behind a model's outputs, if the model has no class names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelOrder {
    /// Unknown: match by name, and numbers only if all orders agree.
    #[default]
    Unknown,
    /// By name, even if the names are numbers: they come from a data set, or from the user.
    Names,
    /// Folders sorted as text, as PyTorch's ImageFolder does.
    Text,
    /// Folders sorted as numbers.
    Number,
}

/// Mapping from a data set's classes to a model's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassMatch {
    /// For each class of the data set, the model's class, if present.
    pub rows: Vec<Option<usize>>,
    /// The model's classes, or the data set's if the model's outputs had no names.
    pub names: Vec<String>,
}

/// Whether these are the placeholder numbers of a model whose file has no names.
pub fn are_unnamed(model: &[String]) -> bool {
    model.iter().enumerate().all(|(i, name)| *name == i.to_string())
}

/// Matches the classes of a data set with those of a model.
///
/// # Errors
/// Numbered folders are ambiguous, or the given order is impossible.
pub fn match_model(classes: &[String], model: &[String], order: LabelOrder) -> Result<ClassMatch> {
    match order {
        LabelOrder::Names => Ok(ClassMatch { rows: match_names(classes, model), names: model.to_vec() }),
        LabelOrder::Text | LabelOrder::Number => {
            let found = in_order(classes, model, order)?;
            if !are_unnamed(model) {
                agrees(classes, model, &found)?;
            }
            Ok(found)
        }
        LabelOrder::Unknown if !are_unnamed(model) || classes.iter().any(|class| number(class).is_none()) => {
            let rows = if are_unnamed(model) { vec![None; classes.len()] } else { match_names(classes, model) };
            Ok(ClassMatch { rows, names: model.to_vec() })
        }
        LabelOrder::Unknown if are_of_list(classes) && within(classes, model.len()) => {
            in_order(classes, model, LabelOrder::Number)
        }
        LabelOrder::Unknown => {
            let [text, number] = [LabelOrder::Text, LabelOrder::Number].map(|order| in_order(classes, model, order));
            match (text, number) {
                (Ok(text), Ok(number)) if text.rows == number.rows && within(classes, model.len()) => Ok(text),
                (Err(_), Err(_)) => Ok(ClassMatch { rows: vec![None; classes.len()], names: model.to_vec() }),
                _ => Err(ambiguous(classes, model)),
            }
        }
    }
}

/// For each name, its index in `known`, if present.
pub fn match_names(names: &[String], known: &[String]) -> Vec<Option<usize>> {
    let known = Names::new(known);
    names.iter().map(|name| known.find(name)).collect()
}

/// For each class of a first model, the output of another model for it, matched by name; both models come with their names for
/// messages. Empty if the outputs are in the same order.
///
/// # Errors
/// The models' classes differ: the first that does is named.
pub fn match_models((first, classes): (&str, &[String]), (other, others): (&str, &[String])) -> Result<Vec<usize>> {
    let fail = |why: String| Err(Error::Invalid(format!("{other}: its classes differ from those of {first}: {why}")));
    if classes == others {
        return Ok(Vec::new());
    }
    if are_unnamed(classes) != are_unnamed(others) {
        let unnamed = if are_unnamed(others) { other } else { first };
        return fail(format!("{unnamed} has no class names; provide them with --labels FILE"));
    }
    let found = match_names(classes, others);
    if let Some(class) = found.iter().position(Option::is_none) {
        let there = others.get(class).map_or_else(|| format!("it has {} classes", others.len()), |name| format!("{name} there"));
        return fail(format!("class {class} is {}, which {other} lacks ({there})", classes[class]));
    }
    let mut outputs: Vec<usize> = found.into_iter().flatten().collect();
    if let Some(extra) = (0..others.len()).find(|i| !outputs.contains(i)) {
        return fail(format!("class {extra} is {} there, which {first} lacks", others[extra]));
    }
    if outputs.len() > others.len() {
        return fail(format!("{} and {} classes", classes.len(), others.len()));
    }
    if outputs.is_sorted() {
        outputs.clear();
    }
    Ok(outputs)
}

/// Puts each row of a model's outputs into the order of [`match_models`].
pub fn reorder(logits: &mut [f32], outputs: &[usize]) {
    if outputs.is_empty() {
        return;
    }
    let mut row = vec![0.0; outputs.len()];
    for logits in logits.chunks_exact_mut(outputs.len()) {
        row.copy_from_slice(logits);
        logits.iter_mut().zip(outputs).for_each(|(logit, &output)| *logit = row[output]);
    }
}

/// Error for data set classes that are missing from a list.
pub(crate) fn not_among(classes: &[String], known: &[String], found: &ClassMatch) -> Error {
    unknown_classes(&unknown(classes, found), known, "")
}

/// Error for data set classes unknown to a model, with advice.
pub(crate) fn not_known(classes: &[String], model: &[String], found: &ClassMatch) -> Error {
    let unknown = unknown(classes, found);
    let twice = unknown.iter().find(|class| model.iter().filter(|name| name == *class).count() > 1);
    let advice = if let Some(twice) = twice {
        format!("; several of the model's classes are named {twice}; use --labels FILE to give them distinct names")
    } else if are_unnamed(model) && unknown.iter().all(|class| wnid(class).is_some()) {
        "; its outputs have no names; if they are ImageNet's classes, add --labels imagenet (or --labels devkit)".into()
    } else if are_unnamed(model) {
        let sorted =
            if classes.len() == model.len() { ", or add --label-order text if they are these folders, sorted" } else { "" };
        format!("; its outputs have no names; provide them with --labels FILE{sorted}")
    } else if unknown.len() == classes.len() && classes.iter().all(|class| number(class).is_some()) {
        "; use --label-order number if the folders are output numbers, --label-order text if the outputs are the folders sorted as text \
         (0, 1, 10, 2, ...), or --labels FILE to provide names"
            .into()
    } else {
        String::new()
    };
    unknown_classes(&unknown, model, &advice)
}

/// Classes of a data set without a match.
fn unknown<'a>(classes: &'a [String], found: &ClassMatch) -> Vec<&'a String> {
    classes.iter().zip(&found.rows).filter(|(_, row)| row.is_none()).map(|(class, _)| class).collect()
}

fn unknown_classes(unknown: &[&String], known: &[String], advice: &str) -> Error {
    let (unknown, known) = (a_few(unknown), a_few(&known.iter().collect::<Vec<_>>()));
    Error::Invalid(format!("the images have classes unknown to the model: {unknown}; its classes are {known}{advice}"))
}

/// Lookup table of names.
struct Names<'a> {
    /// Index of each exact name; `None` for a name that occurs twice.
    exact: HashMap<&'a str, Option<usize>>,
    /// Index of each WordNet identifier.
    identifiers: HashMap<&'a str, Option<usize>>,
    /// Index of each name in composed normal form, and of the words after an identifier.
    normal: HashMap<String, Option<usize>>,
}

impl<'a> Names<'a> {
    fn new(known: &'a [String]) -> Names<'a> {
        let named = || known.iter().map(String::as_str).enumerate();
        let imagenet = Order::of(known).map(Order::classes).unwrap_or_default();
        let before = named().filter_map(|(i, name)| Some((wnid(name)?, i)));
        let mut identifiers = places(before);
        imagenet.iter().enumerate().for_each(|(i, (id, _))| {
            identifiers.entry(id).or_insert(Some(i));
        });
        let mut normal = places(named().map(|(i, name)| (composed(name), i)));
        let behind = named().filter_map(|(i, name)| Some((composed(words_behind(name)?), i)));
        let words = imagenet.iter().enumerate().map(|(i, (_, word))| ((*word).to_string(), i));
        for aliases in [places(behind), places(words)] {
            aliases.into_iter().for_each(|(alias, place)| {
                normal.entry(alias).or_insert(place);
            });
        }
        Names { exact: places(named().map(|(i, name)| (name, i))), identifiers, normal }
    }

    fn find(&self, name: &str) -> Option<usize> {
        let exact = self.exact.get(name);
        let identified = || self.identifiers.get(wnid(name)?);
        *exact.or_else(identified).or_else(|| self.normal.get(&composed(name)))?
    }
}

/// Maps each key to its index; a key that occurs twice maps to none.
fn places<K: Eq + std::hash::Hash>(keys: impl Iterator<Item = (K, usize)>) -> HashMap<K, Option<usize>> {
    let mut places = HashMap::new();
    keys.for_each(|(key, place)| {
        places.entry(key).and_modify(|place| *place = None).or_insert(Some(place));
    });
    places
}

/// Converts a name to Unicode normalisation form C.
fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// The words after a WordNet identifier.
fn words_behind(name: &str) -> Option<&str> {
    let words = name[wnid(name)?.len()..].trim_start_matches([' ', '\t', ',', ':']);
    (!words.is_empty()).then_some(words)
}

/// The number in a folder's name, if the name is a number.
fn number(class: &str) -> Option<u64> {
    class.parse().ok().filter(|_| class.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The numbers in all folder names, if all are numbers.
fn numbers(classes: &[String]) -> Option<Vec<u64>> {
    classes.iter().map(|class| number(class)).collect()
}

/// Whether numbers are in numeric order but not sorted as text: those of a list of images, since folders are sorted as text.
fn are_of_list(classes: &[String]) -> bool {
    numbers(classes).is_some_and(|numbers| numbers.is_sorted()) && !classes.is_sorted()
}

/// Whether all folder names are output numbers of the model.
fn within(classes: &[String], outputs: usize) -> bool {
    numbers(classes).is_some_and(|numbers| numbers.iter().all(|&n| n < outputs as u64))
}

/// Outputs of the given folders in a known order.
fn in_order(classes: &[String], model: &[String], order: LabelOrder) -> Result<ClassMatch> {
    let (option, outputs) = (if order == LabelOrder::Text { "text" } else { "number" }, model.len());
    let refuse = |why: String| {
        Err(Error::Invalid(format!("--label-order {option}: {why}; provide the model's class names with --labels FILE")))
    };
    let (folders, numbers) = (classes.len(), numbers(classes));
    // Names of the outputs.
    let all: Vec<String> = match (order, numbers) {
        (LabelOrder::Number, None) => {
            let name = classes.iter().find(|class| number(class).is_none()).map_or("", String::as_str);
            return refuse(format!("the class folder {name} is not named by a number"));
        }
        (LabelOrder::Number, Some(numbers)) => {
            let named: HashMap<u64, &String> = numbers.iter().copied().zip(classes).collect();
            if named.len() < folders {
                return refuse("two class folders have the same number".into());
            }
            let mut sorted = numbers;
            sorted.sort_unstable();
            // Folders that start at 1 or have gaps, if there is one for each output.
            if !within(classes, outputs) && folders == outputs {
                sorted.iter().map(|n| named[n].clone()).collect()
            } else {
                (0..outputs as u64).map(|n| named.get(&n).map_or(n.to_string(), |name| (*name).clone())).collect()
            }
        }
        (_, _) if folders == outputs => sorted(classes.to_vec()),
        // A subset of the training folders, with numbers written in the same way.
        (_, Some(_)) if within(classes, outputs) => {
            let widths = |class: &String| class.starts_with('0') && class.len() > 1;
            let width = classes.iter().find(|class| widths(class)).map_or(0, String::len);
            sorted((0..outputs).map(|n| format!("{n:0width$}")).collect())
        }
        _ => Vec::new(),
    };
    let places = places(all.iter().enumerate().map(|(i, name)| (name.as_str(), i)));
    let rows: Option<Vec<Option<usize>>> = classes.iter().map(|class| Some(Some((*places.get(class.as_str())?)?))).collect();
    match rows {
        Some(rows) => {
            let names = if are_unnamed(model) { all } else { model.to_vec() };
            Ok(ClassMatch { rows, names })
        }
        None => refuse(format!("cannot determine which of the {outputs} outputs belong to the {folders} class folders")),
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// Rejects an order that contradicts the model's own names.
fn agrees(classes: &[String], model: &[String], found: &ClassMatch) -> Result<()> {
    let named = match_names(classes, model);
    let other = classes.iter().zip(&named).zip(&found.rows).find(|((_, named), row)| named.is_some() && named != row);
    other.map_or(Ok(()), |((class, _), _)| {
        Err(Error::Invalid(format!("--label-order: the model has a class named {class} at another index; omit the option")))
    })
}

/// Error that lists the options for ambiguous numbers.
fn ambiguous(classes: &[String], model: &[String]) -> Error {
    let folders: Vec<&String> = classes.iter().collect();
    Error::Invalid(format!(
        "the class folders are numbers ({}) and the model's {} outputs have no names: add --label-order text if the outputs are the folders \
         sorted as text (0, 1, 10, 11, 2, ..., as PyTorch's ImageFolder sorts), --label-order number if they are in numeric \
         order, or provide names with --labels FILE|imagenet|devkit",
        a_few(&folders),
        model.len()
    ))
}

/// The first names of a list.
fn a_few(names: &[&String]) -> String {
    const SHOWN: usize = 8;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings<T: ToString>(names: impl IntoIterator<Item = T>) -> Vec<String> {
        names.into_iter().map(|name| name.to_string()).collect()
    }

    fn rows(classes: &[&str], model: &[String], order: LabelOrder) -> Result<Vec<usize>, String> {
        let found = match_model(&strings(classes), model, order).map_err(|e| e.to_string())?;
        found.rows.into_iter().map(|row| row.ok_or_else(|| "not known".to_string())).collect()
    }

    const TWELVE: [&str; 12] = ["0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9"];

    #[test]
    fn ambiguous_numbers_are_rejected_until_an_order_is_given() {
        let unnamed = strings(0..12);
        let why = rows(&TWELVE, &unnamed, LabelOrder::Unknown).unwrap_err();
        for option in ["--labels FILE|imagenet|devkit", "--label-order text", "--label-order number"] {
            assert!(why.contains(option), "{why}");
        }
        assert_eq!(rows(&TWELVE, &unnamed, LabelOrder::Text).unwrap(), (0..12).collect::<Vec<_>>());
        assert_eq!(rows(&TWELVE, &unnamed, LabelOrder::Number).unwrap(), [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]);
        // Names given by the user are names.
        assert_eq!(rows(&TWELVE, &unnamed, LabelOrder::Names).unwrap()[2], 10);
        // Names of the outputs after matching.
        let names = |order| match_model(&strings(TWELVE), &unnamed, order).unwrap().names;
        assert_eq!((names(LabelOrder::Text), names(LabelOrder::Number)), (strings(TWELVE), unnamed.clone()));
        // A subset within which the orders differ.
        assert!(rows(&["10", "2"], &unnamed, LabelOrder::Unknown).unwrap_err().contains("--label-order"));
        assert_eq!(rows(&["10", "2"], &unnamed, LabelOrder::Text).unwrap(), [2, 4]);
        assert_eq!(rows(&["10", "2"], &unnamed, LabelOrder::Number).unwrap(), [10, 2]);
    }

    #[test]
    fn numbers_of_a_list_are_output_numbers() {
        let twelve = strings(0..12);
        let of = |classes: &[&str]| rows(classes, &twelve, LabelOrder::Unknown);
        assert_eq!(of(&twelve.iter().map(String::as_str).collect::<Vec<_>>()).unwrap(), (0..12).collect::<Vec<_>>());
        assert_eq!(of(&["2", "10"]).unwrap(), [2, 10]);
        // Beyond the outputs.
        assert_eq!(of(&["2", "12"]).unwrap_err(), "not known");
    }

    #[test]
    fn unambiguous_numbers_are_accepted() {
        let ten: Vec<String> = strings(0..10);
        let folders: Vec<&str> = ten.iter().map(String::as_str).collect();
        assert_eq!(rows(&folders, &ten, LabelOrder::Unknown).unwrap(), (0..10).collect::<Vec<_>>());
        assert_eq!(rows(&["3", "7"], &ten, LabelOrder::Unknown).unwrap(), [3, 7]);
        // With leading zeros both orders agree.
        let padded: Vec<String> = (0..12).map(|i| format!("{i:02}")).collect();
        let folders: Vec<&str> = padded.iter().map(String::as_str).collect();
        assert_eq!(rows(&folders, &strings(0..12), LabelOrder::Unknown).unwrap(), (0..12).collect::<Vec<_>>());
        assert_eq!(rows(&["02", "10"], &strings(0..12), LabelOrder::Unknown).unwrap(), [2, 10]);
        // Starting at 1: not the outputs' own numbers.
        assert!(rows(&["1", "2", "3"], &strings(0..3), LabelOrder::Unknown).unwrap_err().contains("--label-order"));
        assert_eq!(rows(&["1", "2", "3"], &strings(0..3), LabelOrder::Number).unwrap(), [0, 1, 2]);
        assert!(rows(&["1", "01", "2"], &strings(0..3), LabelOrder::Number).unwrap_err().contains("same number"));
        assert!(rows(&["5"], &strings(0..3), LabelOrder::Text).unwrap_err().contains("--labels FILE"));
        assert!(rows(&["cat", "2"], &strings(0..2), LabelOrder::Number).unwrap_err().contains("cat"));
    }

    #[test]
    fn a_model_with_names_matches_by_name_in_any_order() {
        let model = strings(["cat", "dog", "eel"]);
        assert_eq!(rows(&["0", "1", "2"], &model, LabelOrder::Number).unwrap(), [0, 1, 2]);
        assert_eq!(match_model(&strings(["0", "1"]), &model, LabelOrder::Number).unwrap().names, model);
        let found = match_model(&strings(["0", "1", "2"]), &model, LabelOrder::Unknown).unwrap();
        assert_eq!(found.rows, [None; 3]);
        assert!(not_known(&strings(["0", "1", "2"]), &model, &found).to_string().contains("--label-order number"));
        let why = rows(&["cat", "dog", "aal"], &model, LabelOrder::Text).unwrap_err();
        assert!(why.contains("cat") && why.contains("omit"), "{why}");
        // A model of this program, trained on these folders.
        assert_eq!(rows(&TWELVE, &strings(TWELVE), LabelOrder::Unknown).unwrap(), (0..12).collect::<Vec<_>>());
        assert!(rows(&TWELVE, &strings(TWELVE), LabelOrder::Number).is_err());
    }

    #[test]
    fn names_match_across_unicode_normal_forms() {
        let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
        assert_eq!(rows(&[composed, "tea"], &strings(["tea", decomposed]), LabelOrder::Unknown).unwrap(), [1, 0]);
        assert_eq!(rows(&[decomposed, "tea"], &strings(["tea", composed]), LabelOrder::Unknown).unwrap(), [1, 0]);
        // If both forms exist, each matches itself.
        assert_eq!(rows(&[composed, decomposed], &strings([decomposed, composed]), LabelOrder::Unknown).unwrap(), [1, 0]);
    }

    #[test]
    fn identifiers_match_before_words_and_duplicates_match_nothing() {
        let part = strings(["n02119789 kit fox", "n01440764 tench"]);
        for folders in [["n01440764", "n02119789"], ["tench", "kit fox"], ["n01440764 other words", "n02119789, too"]] {
            assert_eq!(rows(&folders, &part, LabelOrder::Unknown).unwrap(), [1, 0], "{folders:?}");
        }
        for (order, places) in [(Order::Sorted, [0, 278]), (Order::Devkit, [448, 0])] {
            let synonyms: Vec<String> = order.names().iter().map(|name| format!("{name}, others")).collect();
            for model in [order.names(), synonyms] {
                assert_eq!(rows(&["n01440764", "n02119789"], &model, LabelOrder::Unknown).unwrap(), places);
                assert_eq!(rows(&["tench", "kit fox"], &model, LabelOrder::Unknown).unwrap(), places);
            }
        }
        let twice = strings(["crane", "crane", "maillot"]);
        let found = match_model(&strings(["crane", "maillot"]), &twice, LabelOrder::Unknown).unwrap();
        assert_eq!(found.rows, [None, Some(2)]);
        assert!(not_known(&strings(["crane", "maillot"]), &twice, &found).to_string().contains("several"));
    }
}
