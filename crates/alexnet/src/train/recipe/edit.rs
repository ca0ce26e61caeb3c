//! Changes to a recipe by key and value, as in a recipe file or in `--set`.

use super::Recipe;
use super::keys::{self, KEYS, Key, Kind, NONE};
use crate::{Error, Result};
use toml::{Table, Value};

const WEIGHT_DECAY: &str = "weight_decay";
const BIAS_WEIGHT_DECAY: &str = "bias_weight_decay";

/// A change of one key.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// Name or alias, as written.
    name: String,
    value: Value,
    /// The change and its place, for messages: `clothes.toml, line 3: lr = 0.1`.
    said: String,
    keys: Vec<&'static Key>,
}

impl Change {
    /// A change of the key with this name or alias. `said` is the change and `place` its place, for messages.
    ///
    /// # Errors
    /// An unknown key.
    pub(super) fn new(name: String, value: Value, place: &str, said: String) -> Result<Change> {
        let keys = keys::of_name(&name);
        if keys.is_empty() {
            let advice = keys::advice(&name).map_or(String::new(), |advice| format!("{advice} "));
            return Err(Error::Invalid(format!("{place}: unknown key `{name}`; {advice}`alexnet recipes keys` lists all")));
        }
        Ok(Change { name, value, said, keys })
    }

    /// Reads `key=value`, as given to `option`.
    ///
    /// # Errors
    /// No `=`, or an unknown key.
    pub(crate) fn parse(text: &str, option: &str) -> Result<Change> {
        let Some((name, value)) = name_and_value(text).filter(|(name, _)| !name.is_empty()) else {
            return Err(Error::Invalid(format!("{option} {text}: expected key=value, such as momentum=0.8")));
        };
        let said = format!("{option} {}", text.trim());
        let keys = keys::of_name(&name);
        // Keys of the same name and different types accept the same forms of numbers.
        let value = keys.first().map_or(Value::String(value.into()), |key| key.kind.parse(value));
        Change::new(name, value, &said, said.clone())
    }

    /// The stored name's table, and the name in it. What stands for `*` may have dots of its own, as names of classes do.
    fn stored_place(&self, key: &Key) -> (&'static str, String) {
        let (parent, last) = stored_parts(key);
        let any = key.name.strip_suffix('*').map(|table| self.in_full(key.name)[table.len()..].to_string());
        (parent, any.unwrap_or_else(|| last.into()))
    }

    /// The change of one key to a word, as given to an option of its own.
    pub(crate) fn word(name: &'static str, word: &str, option: &str) -> Change {
        let said = format!("{option} {word}");
        Change { name: name.into(), value: Value::String(word.into()), said, keys: keys::of_name(name) }
    }

    /// Whether it changes this key.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }

    /// Name or alias, as written.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The key's name; that of the layer, for a key that stands for any.
    pub(super) fn key(&self) -> String {
        self.keys.first().map_or_else(String::new, |key| self.in_full(key.name))
    }

    /// A key's name with the part that was written for `*`.
    fn in_full(&self, name: &str) -> String {
        let Some(table) = name.strip_suffix('*') else { return name.into() };
        // The part follows the name, the stored name or the alias that was written.
        let written = self.keys.iter().flat_map(|key| [key.name, key.stored].into_iter().chain(key.aliases.iter().copied()));
        let last = written.filter_map(|name| self.name.strip_prefix(name.strip_suffix('*')?)).next().unwrap_or_default();
        format!("{table}{last}")
    }

    fn error(&self, why: &str) -> Error {
        Error::Invalid(format!("{}: {why}", self.said))
    }

    /// The new value as the key stores it.
    fn value(&self, key: &Key) -> Result<Value> {
        let value = key.kind.accept(&self.value).ok_or_else(|| {
            let advice = keys::value_advice(key, &self.value).map_or(String::new(), |advice| format!("; {advice}"));
            self.error(&format!("expected {}{advice}", key.accepts()))
        })?;
        Ok(keys::to_stored(key, value))
    }

    /// The new `kind` and its table, if the change is of one.
    fn kind(&self) -> Result<Option<(&'static str, String)>> {
        let Some((key, table)) = self.keys.iter().find_map(|key| Some((key, key.name.strip_suffix(".kind")?))) else {
            return Ok(None);
        };
        Ok(self.value(key)?.as_str().map(|word| (table, word.to_string())))
    }
}

/// The parts of `key=value`. The last part of a key may be quoted, as in TOML: `loss.class_weights."a=b.c"=2`.
fn name_and_value(text: &str) -> Option<(String, &str)> {
    let bare = text.split_once('=').map(|(name, value)| (name.trim().to_string(), value));
    let Some((table, rest)) = text.split_once(".\"").filter(|(table, _)| !table.contains('=')) else { return bare };
    let quoted = rest.match_indices('"').find_map(|(end, _)| {
        let value = rest[end + 1..].trim_start().strip_prefix('=')?;
        let parsed: Table = format!("name = \"{}\"", &rest[..end]).parse().ok()?;
        Some((format!("{}.{}", table.trim(), parsed.get("name")?.as_str()?), value))
    });
    quoted.or(bare)
}

impl Recipe {
    /// The recipe with changes.
    ///
    /// # Errors
    /// An invalid change.
    pub(crate) fn changed(self, changes: &[Change]) -> Result<Recipe> {
        edit(self, changes, &[])
    }
}

/// A recipe with changes. Their order does not matter, except that the last one of a key counts. What is neither among them nor
/// among the `earlier` changes, which the recipe has already, follows them: the learning rate is scaled for another optimizer or,
/// with LARS, another batch size, and biases that decay as the weights do continue to.
///
/// # Errors
/// A value of the wrong kind or range, or a key that this recipe does not have.
pub(super) fn edit(mut recipe: Recipe, changes: &[Change], earlier: &[Change]) -> Result<Recipe> {
    if changes.is_empty() {
        return Ok(recipe);
    }
    let stated = |changes: &[Change], name: &str| changes.iter().any(|change| change.is_of(name));
    let lr = recipe.lr;
    let decay_together = recipe.bias_weight_decay == recipe.weight_decay
        && stated(changes, WEIGHT_DECAY)
        && !stated(changes, BIAS_WEIGHT_DECAY)
        && !stated(earlier, BIAS_WEIGHT_DECAY);
    for change in changes {
        if let Some(("optimizer", word)) = change.kind()? {
            recipe = recipe.with_optimizer(&word)?;
        }
        if let Some(key) = change.keys.iter().find(|key| key.name == "batch") {
            let batch = change.value(key)?.as_integer().and_then(|batch| usize::try_from(batch).ok());
            recipe = batch.map_or(recipe.clone(), |batch| recipe.with_batch(batch));
        }
    }
    if stated(earlier, "lr") {
        recipe.lr = lr;
    }
    let mut table = table_of(&recipe)?;
    apply(&mut table, changes)?;
    if let Some(decay) = table.get(WEIGHT_DECAY).filter(|_| decay_together).cloned() {
        table.insert(BIAS_WEIGHT_DECAY.into(), decay);
    }
    from_table(table)
}

/// The changes of keys that a recipe has: those of another optimizer's or schedule's keys have been superseded.
///
/// # Errors
/// A number that cannot be written.
pub(super) fn still_present(changes: Vec<Change>, recipe: &Recipe) -> Result<Vec<Change>> {
    let table = table_of(recipe)?;
    Ok(changes.into_iter().filter(|change| change.keys.iter().any(|key| key.applies(&table))).collect())
}

/// The recipe that states every key itself, or leaves it at its default.
///
/// # Errors
/// As [`edit`], or a key without a default is missing.
pub(super) fn from_changes(changes: &[Change]) -> Result<Recipe> {
    let mut table = Table::new();
    for change in changes {
        if let Some((name, word)) = change.kind()? {
            table.insert(name.into(), Value::Table(Table::from_iter([("kind".to_string(), Value::String(word))])));
        }
    }
    apply(&mut table, changes)?;
    for key in KEYS {
        let (parent, last) = stored_parts(key);
        match key.default_value() {
            _ if !key.applies(&table) || key.value(&table).is_some() => {}
            // Keys of an optional table are needed only with it.
            _ if !keys::in_table(&table, key) => {}
            // One of the keys that exclude each other is enough.
            Some(_)
                if key.alone && keys::find(&table, parent).is_some_and(|it| it.as_table().is_some_and(|it| !it.is_empty())) => {}
            Some(value) => {
                table_at(&mut table, parent)?.insert(last.into(), value);
            }
            None if key.default == NONE => {}
            None => {
                return Err(Error::Invalid(format!("`{}` is missing, which base = \"none\" requires", key.name)));
            }
        }
    }
    from_table(table)
}

fn apply(table: &mut Table, changes: &[Change]) -> Result<()> {
    for change in changes {
        if let Some((name, word)) = change.kind()? {
            switch_kind(table, name, word)?;
        }
    }
    for change in changes.iter().filter(|change| !change.keys.iter().any(|key| key.name.ends_with(".kind"))) {
        let Some(key) = change.keys.iter().find(|key| key.applies(table)) else {
            return Err(change.error(&elsewhere(table, &change.keys)));
        };
        put(table, change, key)?;
    }
    Ok(())
}

/// Message for a key that belongs to other kinds of its table.
fn elsewhere(table: &Table, keys: &[&Key]) -> String {
    let parent = keys.first().map_or("", |key| key.parts().0);
    let kinds: Vec<&str> = keys.iter().flat_map(|key| key.only).copied().collect();
    let is = keys::kind_of(table, parent).unwrap_or("missing");
    format!("only with {parent}.kind = {}, but here it is {is}", kinds.join(" or "))
}

/// Gives a table another kind: keys that both kinds have keep their values, the others take their defaults.
fn switch_kind(recipe: &mut Table, name: &str, word: String) -> Result<()> {
    if keys::kind_of(recipe, name) == Some(&word) {
        return Ok(());
    }
    let before = table_at(recipe, name)?;
    let was = before.get("kind").and_then(Value::as_str).unwrap_or_default().to_string();
    let old = std::mem::take(before);
    for key in KEYS.iter().filter(|key| stored_parts(key).0 == name) {
        let last = stored_parts(key).1;
        let of = |word: &str| key.only.is_empty() || key.only.contains(&word);
        let kept = old.get(last).filter(|_| of(&was) && of(&word)).cloned();
        if let Some(value) = kept.or_else(|| key.default_value().filter(|_| !key.only.is_empty() && of(&word))) {
            before.insert(last.into(), value);
        }
    }
    before.insert("kind".into(), Value::String(word));
    Ok(())
}

/// Puts a changed value into a recipe.
fn put(recipe: &mut Table, change: &Change, key: &Key) -> Result<()> {
    let (parent, last) = change.stored_place(key);
    let is_off = change.value.as_str() == Some(NONE) || key.kind == Kind::Table && change.value.as_bool() == Some(false);
    if key.default == NONE && is_off {
        if parent.is_empty() || keys::find(recipe, parent).is_some_and(Value::is_table) {
            table_at(recipe, parent)?.remove(&last);
        }
        return Ok(());
    }
    let is_on = change.value.as_bool() == Some(true) || change.value.as_table().is_some_and(Table::is_empty);
    if key.kind == Kind::Table && is_on {
        return fill(recipe, key.stored, None);
    }
    let value = change.value(key)?;
    // Single names replace a word for all of them.
    if key.name.ends_with('*') && keys::find(recipe, parent).is_some_and(|it| !it.is_table()) {
        let (outer, inner) = parent.rsplit_once('.').unwrap_or(("", parent));
        table_at(recipe, outer)?.insert(inner.into(), Value::Table(Table::new()));
    }
    // A table that was absent begins with its defaults.
    if !parent.is_empty() && keys::find(recipe, parent).is_none() {
        fill(recipe, parent, Some(key))?;
    }
    let table = table_at(recipe, parent)?;
    if key.alone {
        table.clear();
    }
    table.insert(last, value);
    Ok(())
}

/// Creates a table with the defaults of its keys, except those that exclude the key that is about to be set.
fn fill(recipe: &mut Table, name: &str, set: Option<&Key>) -> Result<()> {
    let skips = set.is_some_and(|key| key.alone);
    let table = table_at(recipe, name)?;
    for key in KEYS.iter().filter(|key| stored_parts(key).0 == name && key.only.is_empty() && !skips) {
        if let Some(value) = key.default_value() {
            table.entry(stored_parts(key).1).or_insert(value);
        }
    }
    Ok(())
}

/// The stored name's table, and the name in it.
fn stored_parts(key: &Key) -> (&'static str, &'static str) {
    key.stored.rsplit_once('.').unwrap_or(("", key.stored))
}

/// The table of a dotted name, created if it is absent.
fn table_at<'a>(table: &'a mut Table, name: &str) -> Result<&'a mut Table> {
    if name.is_empty() {
        return Ok(table);
    }
    name.split('.').try_fold(table, |table, part| match table.entry(part).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(inner) => Ok(inner),
        _ => Err(Error::Invalid(format!("`{name}` is not a table"))),
    })
}

/// A recipe as a table, with numbers as config.toml shows them.
pub(super) fn table_of(recipe: &Recipe) -> Result<Table> {
    let invalid = |error: &dyn std::fmt::Display| Error::Invalid(format!("this recipe cannot be written: {error}"));
    let text = toml::to_string(recipe).map_err(|error| invalid(&error))?;
    text.parse().map_err(|error| invalid(&error))
}

fn from_table(table: Table) -> Result<Recipe> {
    let recipe = Recipe::deserialize(Value::Table(table)).map_err(|error| {
        let line = error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        Error::Invalid(format!("invalid recipe: {line}"))
    })?;
    recipe.check()?;
    keys::check(&recipe, &[])?;
    Ok(recipe)
}
