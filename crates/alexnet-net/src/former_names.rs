//! Names that earlier versions gave to presets. Files and command lines with them keep working.

/// Earlier names, and today's.
const RENAMED: [(&str, &str); 2] = [("seed-code", "tutorial-code"), ("seed-text", "tutorial-text")];

/// Today's name of a preset that `name` meant in an earlier version; any other name stays as it is.
pub fn current_name(name: &str) -> &str {
    RENAMED.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new)
}

/// The earlier names of the preset `name`.
pub fn former_names(name: &str) -> impl Iterator<Item = &'static str> {
    RENAMED.iter().filter(move |(_, new)| *new == name).map(|(old, _)| *old)
}

/// Reads a net's name from a file, [today's](current_name) where the file has an earlier one.
///
/// # Errors
/// From the file: no text.
pub fn deserialize_name<'de, D: serde::Deserializer<'de>>(file: D) -> Result<String, D::Error> {
    let name = <String as serde::Deserialize>::deserialize(file)?;
    Ok(current_name(&name).to_string())
}
