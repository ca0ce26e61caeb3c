//! The table of keys as Markdown, for the guide.

use super::{KEYS, Key, Kind, NONE, in_table};
use crate::Result;
use crate::train::recipe::edit::table_of;
use crate::train::recipe::{NAMES, by_name};

/// Line of the guide's page from which on the table is generated.
pub const START: &str = "<!-- From here on made by the program: alexnet recipes keys -->";

/// The table of keys in Markdown.
///
/// # Errors
/// The default recipe cannot be written.
pub fn markdown() -> Result<String> {
    let quick = table_of(&by_name(NAMES[0])?)?;
    let mut text = String::from("| key | in `quick` | value | meaning |\n|---|---|---|---|\n");
    for key in KEYS {
        let value = key.value(&quick).map(|value| super::from_stored(key, value));
        let value = value.or_else(|| key.default_value()).map(|value| value.to_string());
        let default = match value {
            _ if !key.applies(&quick) || !in_table(&quick, key) || key.name.ends_with(".*") => "-".into(),
            None if key.default == NONE => format!("`\"{NONE}\"`"),
            None => "-".into(),
            Some(value) => format!("`{value}`"),
        };
        text += &format!("| {} | {default} | {} | {} |\n", names(key), values(key), meaning(key));
    }
    Ok(text)
}

/// The key, and its other names.
fn names(key: &Key) -> String {
    let aliases = key.aliases.iter().map(|alias| format!(", `{alias}`")).collect::<String>();
    format!("`{}`{aliases}", key.name)
}

fn values(key: &Key) -> String {
    let code = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match key.kind {
        Kind::Word(words) if key.default == NONE => format!("{}, `{NONE}`", code(words)),
        Kind::Word(words) => code(words),
        Kind::Words(words) => format!("list of {}", code(words)),
        Kind::Table => format!("`true`, `{NONE}`"),
        _ => key.accepts(),
    }
}

/// The meaning, with the kinds and the default of a key that only some kinds have.
fn meaning(key: &Key) -> String {
    if key.only.is_empty() {
        return key.meaning.into();
    }
    let default = if key.default.is_empty() || key.default == NONE { String::new() } else { format!(" [`{}`]", key.default) };
    format!("{} ({}){default}", key.meaning, key.only.join(", "))
}
