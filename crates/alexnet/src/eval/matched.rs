//! A set of pictures whose labels follow a model's order of classes, matched by name.

use crate::data::Source;
use crate::image::Picture;
use crate::{Error, Result};
use std::sync::Arc;

/// Another source's pictures with other labels.
struct Matched {
    source: Arc<dyn Source>,
    classes: Vec<String>,
    /// The model's label of each of the source's.
    labels: Vec<u32>,
}

/// The pictures of `source`, labelled in the order of `classes`. The source may lack some of these.
///
/// # Errors
/// When the source has classes that are not among them.
pub fn by_name(source: Arc<dyn Source>, classes: &[String]) -> Result<Arc<dyn Source>> {
    if source.classes() == classes {
        return Ok(source);
    }
    let place = |class: &String| classes.iter().position(|known| known == class).map(|at| at as u32);
    let unknown: Vec<&str> = source.classes().iter().filter(|c| place(c).is_none()).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(Error::Invalid(format!(
            "the pictures are of classes that the model does not know: {}; it knows {}",
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
