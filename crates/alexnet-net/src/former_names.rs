//! Names that earlier versions gave to presets. Files and command lines with them keep working.

/// Earlier names, and today's.
const RENAMED: [(&str, &str); 2] = [("seed-code", "tutorial-code"), ("seed-text", "tutorial-text")];

/// The current name of a preset given by a former name; any other name is returned unchanged.
pub fn current_name(name: &str) -> &str {
    RENAMED.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new)
}

/// The former names of the preset `name`.
pub fn former_names(name: &str) -> impl Iterator<Item = &'static str> {
    RENAMED.iter().filter(move |(_, new)| *new == name).map(|(old, _)| *old)
}

/// Deserialises a net's name, replacing a former name by the [current one](current_name).
///
/// # Errors
/// Not a string.
pub fn deserialize_name<'de, D: serde::Deserializer<'de>>(file: D) -> Result<String, D::Error> {
    let name = <String as serde::Deserialize>::deserialize(file)?;
    Ok(current_name(&name).to_string())
}
