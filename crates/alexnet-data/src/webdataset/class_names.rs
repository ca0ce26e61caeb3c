//! Names of the classes that numbers in shards stand for.

use crate::escape;
use crate::list::read_names;
use crate::{Error, Result, files};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Names of files with class names: a name a line, or Hugging Face's description of a data set.
const LISTS: [&str; 2] = ["classes.txt", "classnames.txt"];
const DESCRIPTION: &str = "dataset_info.json";
/// Maximum size of such a file.
const MAX_FILE: u64 = 64 << 20;

/// Names of classes in label order.
#[derive(Debug)]
pub(super) struct ClassNames {
    pub(super) names: Vec<String>,
    from: PathBuf,
}

impl ClassNames {
    /// Reads Hugging Face's description, or a list.
    pub(super) fn of(path: &Path) -> Result<ClassNames> {
        let is_json = path.extension().is_some_and(|ending| ending == "json");
        let names = match if is_json { described(path, &read(path)?)? } else { None } {
            Some(names) => names,
            None => read_names(path)?,
        };
        Ok(ClassNames { names, from: path.to_path_buf() })
    }

    /// Reads the file next to the shards, or in the folder above them, if there is one.
    pub(super) fn beside(shards: &[PathBuf]) -> Result<Option<ClassNames>> {
        let Some(folder) = shards.first().and_then(|shard| std::path::absolute(shard).ok()?.parent().map(Path::to_path_buf))
        else {
            return Ok(None);
        };
        for folder in folder.ancestors().take(2) {
            if let Some(path) = LISTS.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
                return ClassNames::of(&path).map(Some);
            }
            let path = folder.join(DESCRIPTION);
            if path.is_file()
                && let Some(names) = described(&path, &read(&path)?)?
            {
                return Ok(Some(ClassNames { names, from: path }));
            }
        }
        Ok(None)
    }

    /// Name of the file, for messages.
    pub(super) fn shown(&self) -> String {
        escape::path(&self.from)
    }

    /// Note for the user.
    pub(super) fn note(&self) -> String {
        format!("class names from {}", self.shown())
    }
}

fn read(path: &Path) -> Result<String> {
    let (_, size) = files::open_regular(path).map_err(|error| Error::io(path, error))?;
    if size > MAX_FILE {
        return Err(Error::file(path, "too large for a list of classes"));
    }
    files::read_text(path).map_err(|error| Error::io(path, error))
}

/// Names of the ClassLabel in a description, the one called `label` if there are several.
fn described(path: &Path, text: &str) -> Result<Option<Vec<String>>> {
    let value: Value = serde_json::from_str(text).map_err(|error| Error::file(path, format!("invalid JSON: {error}")))?;
    let features = value.get("features").or_else(|| value.as_object()?.values().find_map(|part| part.get("features")));
    let Some(Value::Object(features)) = features else { return Ok(None) };
    let names = |feature: &Value| -> Option<Vec<String>> {
        let is_label = feature.get("_type").and_then(Value::as_str) == Some("ClassLabel");
        feature.get("names").filter(|_| is_label)?.as_array()?.iter().map(|name| name.as_str().map(String::from)).collect()
    };
    Ok(["label", "cls"].iter().find_map(|name| names(features.get(*name)?)).or_else(|| features.values().find_map(names)))
}
