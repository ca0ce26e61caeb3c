//! Labels as they are written in shards, and the classes that they stand for.

use super::class_names::ClassNames;
use crate::escape::printable;
use serde_json::Value;
use std::collections::HashMap;

/// Keys of a label in JSON, in order of preference.
const KEYS: [&str; 3] = ["label", "class", "cls"];
/// Bound of labels without a list of classes.
const MAX_CLASSES: u64 = 1 << 20;

/// The label in a JSON text; `None` if it has none.
pub(super) fn in_json(text: &str) -> Result<Option<String>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("invalid JSON: {error}"))?;
    let value = match &value {
        Value::Object(members) => match KEYS.iter().find_map(|key| members.get(*key)) {
            Some(value) => value,
            None => return Ok(None),
        },
        other => other,
    };
    match value {
        Value::Null => Ok(None),
        Value::String(name) => Ok(Some(name.trim().to_string())),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(Some(number.to_string())),
        other => Err(format!("the label {} is neither a name nor a whole number", printable(&other.to_string()))),
    }
}

/// Classes, and the class of each text.
#[derive(Debug)]
pub(super) struct Labels {
    pub(super) classes: Vec<String>,
    pub(super) of_text: Vec<u32>,
}

/// A text that is no label, by its number.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) text: usize,
    pub(super) why: String,
}

impl Labels {
    /// The classes of labels: numbers count in `given`, or stand for themselves; names are in `given`, or all of them, sorted.
    pub(super) fn of(texts: &[String], given: Option<&ClassNames>) -> Result<Labels, Problem> {
        let numbers: Option<Vec<i64>> = texts.iter().map(|text| number(text)).collect();
        match (numbers, given) {
            (Some(numbers), given) => of_numbers(&numbers, given),
            (None, Some(given)) => of_names_in(texts, given),
            (None, None) => {
                let mut classes = texts.to_vec();
                classes.sort();
                let of_text = texts.iter().map(|text| classes.binary_search(text).unwrap_or_default() as u32).collect();
                Ok(Labels { classes, of_text })
            }
        }
    }
}

fn of_numbers(numbers: &[i64], given: Option<&ClassNames>) -> Result<Labels, Problem> {
    let bound = given.map_or(MAX_CLASSES, |given| given.names.len() as u64);
    let label = |(text, &number): (usize, &i64)| {
        u64::try_from(number).ok().filter(|&label| label < bound).map(|label| label as u32).ok_or_else(|| {
            let why = match given {
                Some(given) => {
                    format!("label {number}, but {} has {bound} classes, 0 to {}", given.shown(), bound.saturating_sub(1))
                }
                None if number < 0 => format!("label {number}; expected 0 or more"),
                None => format!("label {number} is too large for a class; if these are names, list them with --classes"),
            };
            Problem { text, why }
        })
    };
    let of_text: Vec<u32> = numbers.iter().enumerate().map(label).collect::<Result<_, _>>()?;
    let classes = match given {
        Some(given) => given.names.clone(),
        None => (0..=of_text.iter().copied().max().unwrap_or_default()).map(|label| label.to_string()).collect(),
    };
    Ok(Labels { classes, of_text })
}

fn of_names_in(texts: &[String], given: &ClassNames) -> Result<Labels, Problem> {
    let known: HashMap<&str, u32> = given.names.iter().map(String::as_str).zip(0..).collect();
    let label = |(text, name): (usize, &String)| {
        known.get(name.as_str()).copied().ok_or_else(|| Problem {
            text,
            why: format!("label {}, which is not among the classes in {}", printable(name), given.shown()),
        })
    };
    let of_text = texts.iter().enumerate().map(label).collect::<Result<_, _>>()?;
    Ok(Labels { classes: given.names.clone(), of_text })
}

/// The number that a text is.
fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}
