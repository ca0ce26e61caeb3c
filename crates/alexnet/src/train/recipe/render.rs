//! Recipes as text: TOML with comments, and the differences of two.

use super::Recipe;
use super::edit::table_of;
use super::keys::{self, KEYS, Key, Kind, NONE};
use crate::{Error, Result};
use toml::Value;

/// Column at which comments begin, if the line is short enough.
const COMMENTS_AT: usize = 36;

impl Recipe {
    /// The recipe as a file that states every key, with comments. [`Recipe::from_file`] reads it back.
    ///
    /// # Errors
    /// A number that TOML cannot express.
    pub fn to_toml(&self) -> Result<String> {
        let mut text = String::from("# A recipe for `alexnet train --recipe FILE`, with every key that it has.\n");
        text += &line("base", "\"none\"", "this file does not build on another recipe");
        let mut table = "";
        let mut entries = self.entries()?;
        // In TOML, keys outside tables come first.
        entries.sort_by_key(|entry| entry.name.contains('.'));
        for Entry { name, value, key } in entries {
            let parent = key.parts().0;
            let last = name.strip_prefix(parent).map_or(name.as_str(), |last| last.strip_prefix('.').unwrap_or(last));
            if parent != table {
                table = parent;
                text += &format!("\n[{parent}]\n");
            }
            text += &line(&quoted(last), &value, &comment(key));
        }
        Ok(text)
    }

    /// The recipe as JSON, with the same keys as [`to_toml`](Self::to_toml) but `base`.
    ///
    /// # Errors
    /// As [`to_toml`](Self::to_toml).
    pub fn to_json(&self) -> Result<serde_json::Value> {
        let invalid = |error: &dyn std::fmt::Display| Error::Invalid(format!("this recipe cannot be written: {error}"));
        let mut table: toml::Table = self.to_toml()?.parse().map_err(|error| invalid(&error))?;
        table.remove("base");
        serde_json::to_value(table).map_err(|error| invalid(&error))
    }

    /// The keys in which two recipes differ, with both values as TOML; `-` for a key that a recipe does not have.
    ///
    /// # Errors
    /// A number that TOML cannot express.
    pub fn differences(&self, other: &Recipe) -> Result<Vec<[String; 3]>> {
        let (own, others) = (self.entries()?, other.entries()?);
        let value = |of: &[Entry], name: &str| of.iter().find(|entry| entry.name == name).map(|entry| entry.value.clone());
        let mut names: Vec<_> = own.iter().chain(&others).map(|entry| (entry.place(), entry.name.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        let rows = names.into_iter().map(|(_, name)| (name, value(&own, name), value(&others, name)));
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        Ok(rows.filter(|(_, a, b)| a != b).map(|(name, a, b)| [name.to_string(), text(a), text(b)]).collect())
    }

    /// Every key that the recipe has, in the table's order, with its value or its default.
    fn entries(&self) -> Result<Vec<Entry>> {
        let recipe = table_of(self)?;
        let mut entries = Vec::new();
        for key in KEYS.iter().filter(|key| key.applies(&recipe)) {
            if let Some(table) = key.name.strip_suffix(".*") {
                let layers = keys::find(&recipe, table).and_then(Value::as_table);
                let entry =
                    |(name, value): (&String, &Value)| Entry { name: format!("{table}.{name}"), value: shown(key, value), key };
                entries.extend(layers.into_iter().flatten().map(entry));
                continue;
            }
            let value = match key.value(&recipe) {
                // The keys of a table stand for it.
                Some(value) if value.is_table() => continue,
                Some(value) => shown(key, value),
                None if !keys::in_table(&recipe, key) || key.alone => continue,
                None if key.default == NONE => format!("\"{NONE}\""),
                None => key.default_value().map_or_else(String::new, |value| shown(key, &value)),
            };
            if !value.is_empty() {
                entries.push(Entry { name: key.name.into(), value, key });
            }
        }
        Ok(entries)
    }
}

/// A key of a recipe with its value as TOML.
struct Entry {
    name: String,
    value: String,
    key: &'static Key,
}

impl Entry {
    /// Place in the table of keys.
    fn place(&self) -> usize {
        KEYS.iter().position(|key| std::ptr::eq(key, self.key)).unwrap_or(KEYS.len())
    }
}

fn shown(key: &Key, value: &Value) -> String {
    keys::from_stored(key, value).to_string()
}

fn comment(key: &Key) -> String {
    let words = match key.kind {
        Kind::Text | Kind::Switch | Kind::Table | Kind::Fractions | Kind::Legs | Kind::RateChanges => String::new(),
        Kind::Count(_) if key.default != NONE => String::new(),
        _ => format!("; {}", key.accepts()),
    };
    format!("{}{words}", key.meaning)
}

/// A key as TOML writes it.
fn quoted(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.into() } else { Value::String(name.into()).to_string() }
}

fn line(name: &str, value: &str, comment: &str) -> String {
    let text = format!("{name} = {value}");
    format!("{text:COMMENTS_AT$}  # {comment}\n")
}
