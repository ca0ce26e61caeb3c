//! Class name files in the common formats: one name per line, with or without a WordNet identifier before it, as in Caffe's
//! `synset_words.txt`; a JSON list; Keras's `imagenet_class_index.json`, `{"0": ["n01440764", "tench"], ...}`; torchvision's
//! `class_to_idx`, `{"tench": 0, ...}`; PaddleClas's `label_list.txt`, `0 tench, Tinca tinca`, whose numbers are those of the lines.

use super::order::{Order, wnid};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A class in JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Label {
    Name(String),
    /// Identifier and name.
    Parts(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Labels {
    List(Vec<Label>),
    /// Labels by index, written as text.
    Index(BTreeMap<String, Label>),
    /// Indices by name.
    Numbers(BTreeMap<String, usize>),
}

/// Class names in output order. If the identifiers show that the classes are ImageNet's, in either order, our own names are
/// returned, so that they match folders named by identifier.
///
/// # Errors
/// Invalid JSON, gaps in the indices, or a line without a name.
pub fn read_labels(text: &str) -> crate::Result<Vec<String>> {
    let text = text.trim_start_matches('\u{FEFF}').trim_end();
    let names = if text.trim_start().starts_with(['[', '{']) { of_json(text)? } else { of_lines(text)? };
    let identified = names.iter().all(|name| wnid(name).is_some());
    Ok(Order::of(&names).filter(|_| identified).map_or(names, Order::names))
}

fn of_lines(text: &str) -> Result<Vec<String>, String> {
    let line = |(i, line): (usize, &str)| match line.trim() {
        "" => Err(format!("line {} is empty", i + 1)),
        name => Ok(name.to_string()),
    };
    let names = text.lines().enumerate().map(line).collect::<Result<Vec<String>, String>>()?;
    let behind = |(i, name): (usize, &String)| {
        let name = name.strip_prefix(&i.to_string())?;
        let words = name.strip_prefix([' ', '\t'])?.trim_start();
        (!words.is_empty()).then(|| words.to_string())
    };
    let numbered: Option<Vec<String>> = names.iter().enumerate().map(behind).collect();
    Ok(numbered.unwrap_or(names))
}

fn of_json(text: &str) -> Result<Vec<String>, String> {
    let name = |label: Label| match label {
        Label::Name(name) => name,
        Label::Parts(parts) => parts.join(" "),
    };
    let what = r#"invalid class names in JSON; expected ["cat", "dog"], {"0": "cat", "1": "dog"} or {"cat": 0, "dog": 1}"#;
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| format!("invalid JSON: {e}"))?;
    match serde_json::from_value(value).map_err(|_| what.to_string())? {
        Labels::List(labels) => Ok(labels.into_iter().map(name).collect()),
        Labels::Numbers(numbers) => {
            let mut sorted: Vec<(usize, String)> = numbers.into_iter().map(|(name, number)| (number, name)).collect();
            sorted.sort();
            match sorted.iter().enumerate().find(|(i, (number, _))| i != number) {
                Some((i, (number, _))) => Err(format!("class index {i} is missing, or {number} is duplicated")),
                None => Ok(sorted.into_iter().map(|(_, name)| name).collect()),
            }
        }
        Labels::Index(mut labels) => {
            let missing = |i: usize| format!("{what}: class index {i} of {} is missing", labels.len());
            if let Some(i) = (0..labels.len()).find(|i| !labels.contains_key(&i.to_string())) {
                return Err(missing(i));
            }
            Ok((0..labels.len()).filter_map(|i| labels.remove(&i.to_string())).map(name).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(order: Order, line: impl Fn(&(&str, &str)) -> String) -> String {
        order.classes().iter().map(|class| line(class) + "\n").collect()
    }

    #[test]
    fn every_form_gives_the_same_names() {
        let expected = ["tench", "goldfish", "great white shark"].map(String::from).to_vec();
        for text in [
            "tench\ngoldfish\ngreat white shark",
            "\u{FEFF}tench\r\ngoldfish\r\ngreat white shark\r\n\r\n\n",
            "0 tench\n1 goldfish\n2 great white shark\n",
            "0\ttench\n1\tgoldfish\n2\tgreat white shark",
            r#" ["tench", "goldfish", "great white shark"]"#,
            r#"{"1": "goldfish", "0": "tench", "2": "great white shark"}"#,
            r#"{"goldfish": 1, "great white shark": 2, "tench": 0}"#,
        ] {
            assert_eq!(read_labels(text).unwrap(), expected, "{text}");
        }
        // Numbers in another order are part of the names.
        assert_eq!(read_labels("1 tench\n2 goldfish").unwrap(), ["1 tench", "2 goldfish"]);
        assert_eq!(read_labels("0 \n1 goldfish").unwrap(), ["0", "1 goldfish"]);
        assert!(read_labels("tench\n\ngoldfish").unwrap_err().to_string().contains("line 2 is empty"));
        assert!(read_labels(r#"{"0": "tench", "2": "goldfish"}"#).unwrap_err().to_string().contains("index 1"));
        assert!(read_labels("{\"tench\": 0.5}").unwrap_err().to_string().contains("invalid class names in JSON"));
        assert!(read_labels("{0: 'tench'}").unwrap_err().to_string().contains("invalid JSON"));
        assert!(read_labels(r#"{"tench": 1, "goldfish": 1}"#).unwrap_err().to_string().contains("index 0"));
    }

    #[test]
    fn identifiers_determine_the_order() {
        for order in [Order::Sorted, Order::Devkit] {
            let index: BTreeMap<String, [&str; 2]> =
                order.classes().iter().enumerate().map(|(i, (id, name))| (i.to_string(), [*id, *name])).collect();
            for text in [
                lines(order, |(id, name)| format!("{id} {name}, more words")),
                lines(order, |(id, _)| id.to_string()),
                serde_json::to_string(&index).unwrap(),
            ] {
                assert!(read_labels(&text).unwrap() == order.names(), "{order:?}");
            }
        }
        // A subset of ImageNet is left unchanged.
        assert_eq!(read_labels("n01440764 tench\nn01443537 goldfish").unwrap()[1], "n01443537 goldfish");
    }
}
