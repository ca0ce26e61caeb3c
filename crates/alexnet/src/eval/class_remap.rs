//! Data set view whose labels follow a model's class order.

use crate::class_match::{self, ClassMatch, LabelOrder, match_model};
use crate::data::Dataset;
use crate::image::Image;
use crate::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// Another data set's images with remapped labels.
struct Matched {
    source: Arc<dyn Dataset>,
    classes: Vec<String>,
    /// For each label of the source, the model's label.
    labels: Vec<u32>,
}

/// Remaps the labels of `source` to the order of `classes`, which are definite names, such as those of training images. The
/// source may lack some of them.
///
/// # Errors
/// The source has classes that are not in the list.
pub fn by_name(source: Arc<dyn Dataset>, classes: &[String]) -> Result<Arc<dyn Dataset>> {
    matched(source, classes, LabelOrder::Names, class_match::not_among)
}

/// Remaps the labels of `source` to a model's outputs, named `classes`: see [`match_model`]. If the model's outputs have no
/// names, they take those of the source.
///
/// # Errors
/// The source has classes that are not in the list, or that are ambiguous.
pub fn for_model(source: Arc<dyn Dataset>, classes: &[String], order: LabelOrder) -> Result<Arc<dyn Dataset>> {
    matched(source, classes, order, class_match::not_known)
}

fn matched(
    source: Arc<dyn Dataset>,
    classes: &[String],
    order: LabelOrder,
    refuse: fn(&[String], &[String], &ClassMatch) -> Error,
) -> Result<Arc<dyn Dataset>> {
    let found = match_model(source.classes(), classes, order)?;
    let labels: Vec<u32> = found.rows.iter().flatten().map(|&row| row as u32).collect();
    if labels.len() < found.rows.len() {
        return Err(refuse(source.classes(), classes, &found));
    }
    if source.classes() == found.names && labels.iter().enumerate().all(|(i, &label)| i as u32 == label) {
        return Ok(source);
    }
    Ok(Arc::new(Matched { source, classes: found.names, labels }))
}

impl Dataset for Matched {
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

    fn image(&self, i: usize) -> Result<Image> {
        self.source.image(i)
    }

    fn file_size(&self, i: usize) -> Option<u64> {
        self.source.file_size(i)
    }

    fn file(&self, i: usize) -> Result<Option<Vec<u8>>> {
        self.source.file(i)
    }

    fn path(&self, i: usize) -> Option<PathBuf> {
        self.source.path(i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::imagenet::Order;

    /// A data set with two empty folders.
    struct Folders([String; 2]);

    impl Dataset for Folders {
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

        fn image(&self, _: usize) -> Result<Image> {
            Err("none".into())
        }
    }

    #[test]
    fn unnamed_outputs_take_the_folders_names() {
        let folders = || Arc::new(Folders(["10", "2"].map(String::from)));
        let outputs: Vec<String> = (0..12).map(|i| i.to_string()).collect();
        assert!(for_model(folders(), &outputs, LabelOrder::Unknown).is_err());
        let source = for_model(folders(), &outputs, LabelOrder::Text).unwrap();
        assert_eq!([0, 1].map(|i| (source.label(i), source.classes()[source.label(i) as usize].as_str())), [(2, "10"), (4, "2")]);
        // Names of training images are names, even if they are numbers.
        let source = by_name(folders(), &outputs).unwrap();
        assert_eq!([source.label(0), source.label(1)], [10, 2]);
    }

    #[test]
    fn folders_named_by_identifiers_find_imagenets_words_in_either_order() {
        let labels = |order: Order, folders: [&str; 2]| {
            let source = Arc::new(Folders(folders.map(String::from)));
            for_model(source, &order.names(), LabelOrder::Unknown).map(|source| [source.label(0), source.label(1)])
        };
        // Kit fox and tench.
        assert_eq!(labels(Order::Sorted, ["n01440764", "n02119789"]).unwrap(), [0, 278]);
        assert_eq!(labels(Order::Devkit, ["n01440764", "n02119789"]).unwrap(), [448, 0]);
        assert_eq!(labels(Order::Devkit, ["tench", "kit fox"]).unwrap(), [448, 0]);
        let named = |classes: &[String], folders: [&str; 2]| {
            for_model(Arc::new(Folders(folders.map(String::from))), classes, LabelOrder::Unknown)
        };
        // A subset of ImageNet, with identifiers before the words.
        let part = ["n02119789 kit fox", "n01440764 tench"].map(String::from);
        let source = named(&part, ["n01440764", "n02119789"]).unwrap();
        assert_eq!([source.label(0), source.label(1)], [1, 0]);
        let numbers: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
        let why = |folders| named(&numbers, folders).err().unwrap().to_string();
        assert!(why(["n01440764", "n02119789"]).contains("--labels imagenet"));
        assert!(!why(["cat", "dog"]).contains("imagenet") && why(["cat", "dog"]).contains("--labels FILE"));
        assert!(labels(Order::Sorted, ["n01440764", "n00000001"]).err().unwrap().to_string().contains("n00000001"));
    }
}
