//! Class names in the metadata that `datasets` writes into a table.

use ::parquet::file::metadata::KeyValue;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Key of the metadata.
const KEY: &str = "huggingface";

#[derive(Deserialize)]
struct Metadata {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    features: BTreeMap<String, serde_json::Value>,
}

/// Class names by column; none without such metadata, or in another form.
pub(super) fn read(metadata: Option<&Vec<KeyValue>>) -> BTreeMap<String, Vec<String>> {
    let text = metadata.and_then(|all| all.iter().find(|entry| entry.key == KEY)).and_then(|entry| entry.value.as_deref());
    let Some(Ok(metadata)) = text.map(serde_json::from_str::<Metadata>) else { return BTreeMap::new() };
    let of_column = |(column, feature): (String, serde_json::Value)| {
        let names = feature.get("names")?.as_array()?;
        let names = names.iter().map(|name| name.as_str().map(String::from)).collect::<Option<Vec<String>>>()?;
        Some((column, names))
    };
    metadata.info.features.into_iter().filter_map(of_column).collect()
}
