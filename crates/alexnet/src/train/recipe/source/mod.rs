//! Recipes by name, from a file, or from a run folder.

#[cfg(test)]
mod tests;

use super::edit::{self, Change};
use super::keys::KEYS;
use super::{NAMES, Recipe, by_name};
use crate::train::config::Config;
use crate::{Error, Result, files};
use std::path::Path;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// Size limit of a recipe file. The largest sensible one has a few thousand bytes.
const MAX_BYTES: usize = 1 << 16;

/// The preset of a file that does not name one, except with `--from`.
const DEFAULT_BASE: &str = NAMES[0];

/// Name of the resolved recipe in a run folder.
pub const FILE: &str = "recipe.toml";

/// A recipe, and what was stated about it.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// The recipe with all changes.
    pub(crate) recipe: Recipe,
    /// Preset that it derives from.
    pub(crate) base: Option<&'static str>,
    /// Changes to the preset.
    pub(crate) stated: Vec<Change>,
}

impl Chosen {
    /// The recipe of a preset's name, a file or a run folder. `base` is the preset of a file that does not name one.
    ///
    /// # Errors
    /// An unknown name, or an invalid file.
    pub(crate) fn open(name: &str, base: &'static str) -> Result<Chosen> {
        if let Some(preset) = NAMES.iter().find(|known| **known == name) {
            return Ok(Chosen { recipe: by_name(name)?, base: Some(preset), stated: Vec::new() });
        }
        let path = Path::new(name);
        if path.is_dir() {
            return of_run(path);
        }
        let file = format!("{name}.toml");
        if !path.is_file() && Path::new(&file).is_file() {
            return Err(Error::Invalid(format!("unknown recipe `{name}`; did you mean the file {file}?")));
        }
        if path.extension().is_some_and(|ending| ending == "toml") || name.contains(['/', '\\']) || path.is_file() {
            return of_file(path, base);
        }
        by_name(name).map(|recipe| Chosen { recipe, base: None, stated: Vec::new() })
    }

    /// The recipe with more changes. What was stated before stays, unless they change it.
    ///
    /// # Errors
    /// An invalid change.
    pub(crate) fn with(self, changes: Vec<Change>) -> Result<Chosen> {
        let Chosen { recipe, base, mut stated } = self;
        let recipe = edit::edit(recipe, &changes, &stated)?;
        stated.extend(changes);
        Ok(Chosen { stated: edit::still_present(stated, &recipe)?, recipe, base })
    }

    /// Whether a key was stated.
    pub(crate) fn states(&self, name: &str) -> bool {
        self.stated.iter().any(|change| change.is_of(name))
    }

    /// The stated changes, applied to another recipe.
    ///
    /// # Errors
    /// A key that the other recipe does not have.
    pub(crate) fn restate(&self, recipe: Recipe) -> Result<Recipe> {
        edit::edit(recipe, &self.stated, &[])
    }
}

impl Recipe {
    /// A preset by name, or a recipe from a file or a run folder.
    ///
    /// # Errors
    /// An unknown name, or an invalid file.
    pub fn open(name: &str) -> Result<Recipe> {
        Chosen::open(name, DEFAULT_BASE).map(|chosen| chosen.recipe)
    }

    /// As [`Recipe::open`], with changes such as `momentum=0.8`, as `train --recipe NAME --set KEY=VALUE` makes them. Their order
    /// does not matter.
    ///
    /// # Errors
    /// As [`Recipe::open`], or an invalid change.
    pub fn open_with(name: &str, changes: &[String]) -> Result<Recipe> {
        let changes = changes.iter().map(|change| Change::parse(change, "--set")).collect::<Result<_>>()?;
        Chosen::open(name, DEFAULT_BASE)?.with(changes).map(|chosen| chosen.recipe)
    }

    /// A recipe from a file: a preset, named by `base` (`quick` without it), with the file's changes.
    ///
    /// # Errors
    /// The file, the line, the key, its value and what is expected.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Recipe> {
        of_file(path.as_ref(), DEFAULT_BASE).map(|chosen| chosen.recipe)
    }

    /// A recipe from a file's text; `path` serves messages and the name.
    ///
    /// # Errors
    /// As [`Recipe::from_file`].
    pub fn parse(text: &str, path: impl AsRef<Path>) -> Result<Recipe> {
        parse(text, path.as_ref(), DEFAULT_BASE).map(|chosen| chosen.recipe)
    }

    /// The recipe with one key changed, as in `momentum=0.8` or `schedule.kind=constant`.
    ///
    /// # Errors
    /// An unknown key, or a value of the wrong kind or range.
    pub fn set(self, change: &str) -> Result<Recipe> {
        edit::edit(self, &[Change::parse(change, "set")?], &[])
    }
}

fn of_file(path: &Path, base: &'static str) -> Result<Chosen> {
    let too_large = || Error::file(path, format!("not a recipe: it has more than {MAX_BYTES} bytes"));
    if path.metadata().is_ok_and(|about| about.is_file() && about.len() > 2 * MAX_BYTES as u64) {
        return Err(too_large());
    }
    let text = files::read_text(path).map_err(|error| Error::io(path, error))?;
    if text.len() > MAX_BYTES {
        return Err(too_large());
    }
    parse(&text, path, base)
}

/// The resolved recipe of a run; runs of earlier versions have it only in config.toml.
fn of_run(dir: &Path) -> Result<Chosen> {
    let (recipe, config) = (dir.join(FILE), dir.join("config.toml"));
    if recipe.is_file() || !config.is_file() {
        return match recipe.is_file() {
            true => of_file(&recipe, DEFAULT_BASE),
            false => Err(Error::file(dir, "no recipe here: neither recipe.toml nor config.toml of a run")),
        };
    }
    let text = Config::read(&config)?.recipe.to_toml()?;
    parse(&text, &recipe, DEFAULT_BASE)
}

fn parse(text: &str, path: &Path, base: &'static str) -> Result<Chosen> {
    let shown = path.display();
    let place = |at: usize| {
        let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        format!("{shown}, line {line}")
    };
    let table = DeTable::parse(text).map_err(|error| {
        let why = error.message().lines().map(str::trim).collect::<Vec<_>>().join("; ");
        let span = error.span().unwrap_or_default();
        let advice = text.get(span.clone()).and_then(stated_as_word).unwrap_or_default();
        Error::Invalid(format!("{}: not TOML: {why}{advice}", place(span.start)))
    })?;
    let table = table.into_inner();
    let mut base = Some(base);
    let mut stated: Vec<(String, Change)> = Vec::new();
    let mut error = None;
    for (key, value) in &table {
        if key.get_ref() == "base" {
            base = base_of(value).map_err(|why| why.context(place(value.span().start)))?;
            continue;
        }
        flatten(key.get_ref(), key.span().start, value, &mut |name, at, value| {
            let found = value_of(&text[value.span()], value.get_ref());
            let said = format!("{}: {name} = {}", place(at), text[value.span()].lines().next().unwrap_or_default().trim());
            match Change::new(name.into(), found, &place(at), said) {
                Ok(change) => stated.push((place(at), change)),
                Err(why) => error = error.take().or(Some((at, why))),
            }
        });
    }
    if let Some((_, why)) = error {
        return Err(why);
    }
    for (i, (place, change)) in stated.iter().enumerate() {
        if let Some((_, other)) = stated[..i].iter().find(|(_, other)| other.key() == change.key()) {
            return Err(Error::Invalid(format!("{place}: `{}` is stated twice, also as `{}`", change.name(), other.name())));
        }
    }
    let stated: Vec<Change> = stated.into_iter().map(|(_, change)| change).collect();
    let chosen = match base {
        Some(base) => {
            let stem = path.file_stem().map_or("own".into(), |stem| stem.to_string_lossy());
            let name = stem.chars().filter(|c| !c.is_control()).collect::<String>();
            let recipe = Recipe { name, ..by_name(base)? };
            edit::edit(recipe, &stated, &[])
        }
        None => edit::from_changes(&stated),
    };
    // An error of a line begins with its place; others are about the recipe as a whole.
    let named = |error: Error| if error.to_string().starts_with(&format!("{shown}, ")) { error } else { error.context(&shown) };
    Ok(Chosen { recipe: chosen.map_err(named)?, base, stated })
}

/// Advice on the name of a table that follows the same name with a word, as in `schedule = "cosine"` before `[schedule]`.
fn stated_as_word(name: &str) -> Option<String> {
    let table = name.trim_matches(['[', ']', ' ']);
    let has_kind = !table.is_empty() && KEYS.iter().any(|key| key.name.strip_suffix(".kind") == Some(table));
    has_kind.then(|| format!("; write the word into the table [{table}], as kind = \"...\""))
}

/// The preset that a file's `base` names; `None` for `none`.
fn base_of(value: &Spanned<DeValue<'_>>) -> Result<Option<&'static str>> {
    let name = value.get_ref().as_str();
    if name == Some("none") {
        return Ok(None);
    }
    match name.and_then(|name| NAMES.into_iter().find(|known| *known == name)) {
        Some(known) => Ok(Some(known)),
        None if name.is_some_and(|name| name.ends_with(".toml") || name.contains(['/', '\\'])) => {
            let name = name.unwrap_or_default();
            let names = NAMES.join(", ");
            Err(Error::Invalid(format!("base = \"{name}\": a base is the name of a recipe, not a file: one of {names}, none")))
        }
        None => {
            let near = name.and_then(|name| alexnet_hub::nearest_of(name, NAMES.into_iter()));
            let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            let name = name.unwrap_or("not text");
            Err(Error::Invalid(format!("unknown base `{name}`: expected one of {}, none{near}", NAMES.join(", "))))
        }
    }
}

/// Visits the keys of a table by their dotted names, with their places. Empty tables are visited too.
fn flatten<'a>(
    name: &str,
    at: usize,
    value: &'a Spanned<DeValue<'a>>,
    visit: &mut dyn FnMut(&str, usize, &'a Spanned<DeValue<'a>>),
) {
    match value.get_ref() {
        DeValue::Table(inner) if !inner.is_empty() => {
            for (key, value) in inner {
                flatten(&format!("{name}.{}", key.get_ref()), key.span().start, value, visit);
            }
        }
        _ => visit(name, at, value),
    }
}

/// A parsed value on its own.
fn value_of(text: &str, value: &DeValue<'_>) -> Value {
    match value {
        DeValue::Table(_) => Value::Table(Table::new()),
        // What does not stand alone has the wrong type for every key.
        _ => text.parse().unwrap_or_else(|_| Value::Table(Table::from_iter([("text".to_string(), Value::String(text.into()))]))),
    }
}
