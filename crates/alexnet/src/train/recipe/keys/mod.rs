//! The keys of a recipe in one table: names, types, defaults and meanings.
//!
//! Recipe files, `--set`, the comments of `alexnet recipes show`, [`Recipe::check`] and `docs/guide/recipes.md` all follow from
//! [`KEYS`]. A test compares the table with the fields that a [`Recipe`] has.

mod advice;
mod foreign;
mod page;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub(super) use advice::{advice, value_advice};
pub use page::{START as PAGE_START, markdown};
pub use table::KEYS;
pub use value::{Kind, Range};

use super::Recipe;
use crate::{Error, Result};
use toml::{Table, Value};

/// A key of a recipe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Name, with the names of its tables: `optimizer.momentum`. A last part `*` stands for any name.
    pub name: &'static str,
    /// Name under which older files and run folders store it.
    pub stored: &'static str,
    /// Other names that are accepted.
    pub aliases: &'static [&'static str],
    /// Kind of the value.
    pub kind: Kind,
    /// The words of the `kind` in the same table for which the key exists; empty: all.
    pub only: &'static [&'static str],
    /// Value, as TOML, of a recipe that does not state it; `none`: absent; empty: always stated.
    pub default: &'static str,
    /// Whether the key excludes all others of its table.
    pub alone: bool,
    /// Meaning, as a phrase.
    pub meaning: &'static str,
}

impl Key {
    /// A key. `default` is the value, as TOML, of a recipe that does not state it: `none` for absent, empty if every recipe
    /// states it.
    pub const fn new(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
        Key { name, stored: name, aliases: &[], kind, only: &[], default, alone: false, meaning }
    }

    /// Adds other names.
    #[must_use]
    pub const fn alias(self, aliases: &'static [&'static str]) -> Key {
        Key { aliases, ..self }
    }

    /// Restricts the key to some words of the `kind` in its table.
    #[must_use]
    pub const fn only(self, only: &'static [&'static str]) -> Key {
        Key { only, ..self }
    }

    /// Sets the name under which files store the key.
    #[must_use]
    pub const fn stored(self, stored: &'static str) -> Key {
        Key { stored, ..self }
    }

    /// Makes the key exclude all others of its table.
    #[must_use]
    pub const fn alone(self) -> Key {
        Key { alone: true, ..self }
    }

    /// Name of the table, empty for keys outside tables, and the name in it.
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.name.rsplit_once('.').unwrap_or(("", self.name))
    }

    /// Whether the key exists in a recipe: its table has one of the right `kind`s.
    pub(super) fn applies(&self, recipe: &Table) -> bool {
        self.only.is_empty() || kind_of(recipe, self.parts().0).is_some_and(|kind| self.only.contains(&kind))
    }

    /// The value in a recipe, if it is stored there.
    pub(super) fn value<'a>(&self, recipe: &'a Table) -> Option<&'a Value> {
        find(recipe, self.stored)
    }

    /// The default as a value.
    pub(super) fn default_value(&self) -> Option<Value> {
        (!self.default.is_empty() && self.default != NONE).then(|| self.kind.parse(self.default))
    }

    /// What the key accepts, in words.
    pub fn accepts(&self) -> String {
        let words = self.kind.words();
        let none = if self.default == NONE && self.kind != Kind::Table { format!(", or {NONE}") } else { String::new() };
        words + &none
    }
}

/// The value that removes an optional key.
pub(super) const NONE: &str = "none";

/// Words whose stored form is older: key, word, stored word.
const OLDER_WORDS: [(&str, &str, &str); 1] = [("images", "mean_image", "mean_picture")];

/// The stored form of a value.
pub(super) fn to_stored(key: &Key, value: Value) -> Value {
    let older = OLDER_WORDS.iter().find(|(name, word, _)| *name == key.name && value.as_str() == Some(word));
    older.map_or(value, |(_, _, stored)| Value::String((*stored).into()))
}

/// The present form of a stored value.
pub(super) fn from_stored(key: &Key, value: &Value) -> Value {
    let older = OLDER_WORDS.iter().find(|(name, _, stored)| *name == key.name && value.as_str() == Some(stored));
    older.map_or_else(|| value.clone(), |(_, word, _)| Value::String((*word).into()))
}

/// The value at a dotted name.
pub(super) fn find<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    match name.split_once('.') {
        None => table.get(name),
        Some((first, rest)) => find(table.get(first)?.as_table()?, rest),
    }
}

/// The `kind` of a recipe's table.
pub(super) fn kind_of<'a>(recipe: &'a Table, table: &str) -> Option<&'a str> {
    find(recipe, &format!("{table}.kind"))?.as_str()
}

/// Whether the table of a key is present, if it may be absent.
pub(super) fn in_table(recipe: &Table, key: &Key) -> bool {
    let parent = key.stored.rsplit_once('.').map_or("", |(parent, _)| parent);
    !optional(parent) || find(recipe, parent).is_some()
}

/// Whether a table, by its stored name, may be absent.
pub(super) fn optional(table: &str) -> bool {
    KEYS.iter().any(|key| key.kind == Kind::Table && key.stored == table)
}

/// The keys of a name or an alias, and the name itself if the key stands for any. There are several if the key's type depends
/// on a `kind`.
pub(super) fn of_name(name: &str) -> Vec<&'static Key> {
    let matches = |known: &str| match known.strip_suffix('*') {
        Some(table) => name.strip_prefix(table).is_some_and(|last| !last.is_empty()),
        None => known == name,
    };
    KEYS.iter().filter(|key| matches(key.name) || matches(key.stored) || key.aliases.iter().any(|alias| matches(alias))).collect()
}

/// Checks the values of a recipe against the table, except those of some keys.
///
/// # Errors
/// The key, its value, and what is expected.
pub(super) fn check(recipe: &Recipe, except: &[&str]) -> Result<()> {
    let table = super::edit::table_of(recipe)?;
    for key in KEYS.iter().filter(|key| key.applies(&table) && !except.contains(&key.name)) {
        // A table in place of a word has keys of its own, such as the weights of single classes.
        let Some(value) = key.value(&table).filter(|value| !value.is_table()) else { continue };
        if key.kind.accept(&from_stored(key, value)).is_none() {
            return Err(Error::Invalid(format!("invalid recipe: {} = {value}: expected {}", key.name, key.accepts())));
        }
    }
    Ok(())
}
