//! A set of pictures whose labels follow a model's order of classes, matched by name.

use crate::data::Source;
use crate::image::Picture;
use crate::weights::imagenet::{Order, wnid};
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// Another source's pictures with other labels.
struct Matched {
    source: Arc<dyn Source>,
    classes: Vec<String>,
    /// The model's label of each of the source's.
    labels: Vec<u32>,
}

/// The pictures of `source`, labelled in the order of `classes`. The source may lack some of these, and its folders may be named by
/// WordNet identifiers where the classes are ImageNet's words, in either order.
///
/// # Errors
/// When the source has classes that are not among them.
pub fn by_name(source: Arc<dyn Source>, classes: &[String]) -> Result<Arc<dyn Source>> {
    if source.classes() == classes {
        return Ok(source);
    }
    // ImageNet's folders are named by identifiers, its models' classes by words, or by both.
    let order = Order::of(classes).map(Order::classes).unwrap_or_default();
    let by_order = order.iter().enumerate().map(|(at, (id, _))| (*id, at));
    let by_name = classes.iter().enumerate().filter_map(|(at, name)| Some((wnid(name)?, at)));
    let identified: HashMap<&str, usize> = by_order.chain(by_name).collect();
    let place = |class: &String| {
        let named = classes.iter().position(|known| known == class);
        named.or_else(|| identified.get(class.as_str()).copied()).map(|at| at as u32)
    };
    let unknown: Vec<&str> = source.classes().iter().filter(|c| place(c).is_none()).map(String::as_str).collect();
    if !unknown.is_empty() {
        let unnamed = classes.len() == 1000 && classes.iter().enumerate().all(|(i, name)| *name == i.to_string());
        let advice = if unnamed && unknown.iter().all(|class| wnid(class).is_some()) {
            "; its classes have no names: if they are ImageNet's, `alexnet convert MODEL NAMED.safetensors --labels imagenet` (or devkit) \
             names them"
        } else {
            ""
        };
        return Err(Error::Invalid(format!(
            "the pictures are of classes that the model does not know: {}; it knows {}{advice}",
            a_few(&unknown),
            a_few(&classes.iter().map(String::as_str).collect::<Vec<_>>())
        )));
    }
    let labels = source.classes().iter().filter_map(place).collect();
    Ok(Arc::new(Matched { source, classes: classes.to_vec(), labels }))
}

/// The first names of a list.
fn a_few(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

impl Source for Matched {
    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn len(&self) -> usize {
        self.source.len()
    }

    fn label(&self, i: usize) -> u32 {
        self.labels[self.source.label(i) as usize]
    }

    fn name(&self, i: usize) -> &str {
        self.source.name(i)
    }

    fn picture(&self, i: usize) -> Result<Picture, String> {
        self.source.picture(i)
    }

    fn file(&self, i: usize) -> Result<Option<Vec<u8>>, String> {
        self.source.file(i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two folders with nothing in them.
    struct Folders([String; 2]);

    impl Source for Folders {
        fn classes(&self) -> &[String] {
            &self.0
        }

        fn len(&self) -> usize {
            2
        }

        fn label(&self, i: usize) -> u32 {
            i as u32
        }

        fn name(&self, _: usize) -> &str {
            ""
        }

        fn picture(&self, _: usize) -> Result<Picture, String> {
            Err("none".into())
        }
    }

    #[test]
    fn folders_named_by_identifiers_find_imagenets_words_in_either_order() {
        let labels = |order: Order, folders: [&str; 2]| {
            by_name(Arc::new(Folders(folders.map(String::from))), &order.names()).map(|source| [source.label(0), source.label(1)])
        };
        // Kit fox and tench.
        assert_eq!(labels(Order::Sorted, ["n01440764", "n02119789"]).unwrap(), [0, 278]);
        assert_eq!(labels(Order::Devkit, ["n01440764", "n02119789"]).unwrap(), [448, 0]);
        assert_eq!(labels(Order::Devkit, ["tench", "kit fox"]).unwrap(), [448, 0]);
        let named = |classes: &[String], folders: [&str; 2]| by_name(Arc::new(Folders(folders.map(String::from))), classes);
        // A part of ImageNet, with identifiers before the words.
        let part = ["n02119789 kit fox", "n01440764 tench"].map(String::from);
        let source = named(&part, ["n01440764", "n02119789"]).unwrap();
        assert_eq!([source.label(0), source.label(1)], [1, 0]);
        let numbers: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
        let why = |folders| named(&numbers, folders).err().unwrap().to_string();
        assert!(why(["n01440764", "n02119789"]).contains("--labels imagenet"));
        assert!(!why(["cat", "dog"]).contains("--labels"));
        assert!(labels(Order::Sorted, ["n01440764", "n00000001"]).err().unwrap().to_string().contains("n00000001"));
    }
}
