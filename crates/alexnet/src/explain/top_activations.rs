//! The images of a data set that activate a unit most, each cropped to the unit's receptive field.

use super::view::original_area;
use crate::data::Dataset;
use crate::data::loader::Loader;
use crate::draw::contact_sheet::{Cell, ContactSheet, thumbnail};
use crate::draw::{GREY, INK};
use crate::engine::Inspection;
use crate::image::crop::{self, Area};
use crate::image::{Image, Preprocess};
use crate::net::Net;
use crate::{Error, Result};
use serde::Serialize;

/// Position of a unit's strongest activation in an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TopActivation {
    /// Source index of the image.
    #[serde(rename = "picture")]
    pub image: u32,
    /// Value of the activation.
    pub value: f32,
    /// Row in the layer's map; 0 in a linear layer.
    pub row: usize,
    /// Column in the layer's map.
    pub column: usize,
}

/// Finds the `count` images of a sequential loader (one crop per image) that activate map or feature `unit` of `layer` most, with
/// one position each, the highest value first; equal ones in the source's order. `progress` receives the number of images done
/// after each batch, and stops by returning `false`.
///
/// # Errors
/// An engine error, a unit that the layer does not have, or a stop by `progress`.
pub fn maximal(
    engine: &mut dyn Inspection,
    loader: &Loader,
    layer: &str,
    unit: usize,
    count: usize,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<TopActivation>> {
    let shape = engine.net().shapes()?[engine.net().layer(layer)?].output;
    if unit >= shape.channels {
        return Err(Error::Invalid(format!("{layer} has no unit {unit}; valid units are 0 to {}", shape.channels - 1)));
    }
    let pixels = shape.size * shape.size;
    let (mut best, mut done) = (Vec::new(), 0);
    for batch in loader.epoch(0, 0) {
        done += batch.indices.len() + batch.broken.len();
        if !batch.indices.is_empty() {
            let values = engine.activation(&batch.images, layer)?;
            for (maps, &image) in values.chunks_exact(shape.len()).zip(&batch.indices) {
                let map = &maps[unit * pixels..][..pixels];
                let at = map.iter().enumerate().fold(0, |best, (i, v)| if *v > map[best] { i } else { best });
                best.push(TopActivation { image, value: map[at], row: at / shape.size, column: at % shape.size });
            }
            best.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.image.cmp(&b.image)));
            best.truncate(count);
        }
        if !progress(done) {
            return Err(Error::Invalid("stopped".into()));
        }
    }
    Ok(best)
}

/// The receptive field of the unit at (`row`, `column`) of `layer` in an image's centre crop, cut from the original.
///
/// # Errors
/// The layer does not exist.
pub fn seen(image: &Image, preprocess: &Preprocess, net: &Net, layer: &str, row: usize, column: usize) -> Result<Image> {
    let (rows, columns) = net.seen_by(layer, row, column)?;
    let resized = image.resized_as(preprocess.resize);
    let window = crop::centre(resized.height, resized.width, preprocess.crop);
    let place = Area {
        top: window.top + rows.0,
        left: window.left + columns.0,
        height: rows.1 - rows.0 + 1,
        width: columns.1 - columns.0 + 1,
    };
    Ok(image.crop(original_area(preprocess.resize, image, &resized, place)))
}

/// Contact sheet of the images found by [`maximal`].
///
/// # Errors
/// An image can no longer be read.
pub fn sheet(
    found: &[TopActivation],
    source: &dyn Dataset,
    preprocess: &Preprocess,
    net: &Net,
    layer: &str,
    unit: usize,
) -> Result<ContactSheet> {
    let cell = |excited: &TopActivation| {
        let i = excited.image as usize;
        let name = source.name(i);
        let image = source.image(i).map_err(|why| Error::Invalid(format!("{name}: {why}")))?;
        let part = seen(&image, preprocess, net, layer, excited.row, excited.column)?;
        let class = &source.classes()[source.label(i) as usize];
        Ok(Cell::photograph(thumbnail(part)).line(class, INK).line(format!("{:.3}", excited.value), GREY))
    };
    let cells = found.iter().map(cell).collect::<Result<Vec<_>>>()?;
    let note = match net.receptive_field(layer)? {
        Some(field) => {
            format!(
                "cropped to the receptive field: {0} x {0} pixels of {1} x {1}",
                field.size.min(net.image_size),
                net.image_size
            )
        }
        None => "the receptive field is the whole image".into(),
    };
    Ok(ContactSheet { note, ..ContactSheet::of(format!("Top activations of {layer}:{unit}"), 8, 112, cells) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loader::Options;
    use crate::engine::ParameterStore;
    use crate::explain::tests::{Striped, preprocess, stripes};
    use std::sync::Arc;

    #[test]
    fn vertical_stripes_activate_their_unit_at_their_position() {
        let source: Arc<dyn Dataset> = Arc::new(Striped::new());
        let options = Options { batch: 3, memory: Some(0), threads: 1, ..Options::default() };
        let loader = Loader::sequential(source.clone(), preprocess(), crate::image::crop::Crops::Centre, options).unwrap();
        let mut engine = stripes();
        let mut find = |layer: &str, unit| maximal(&mut engine, &loader, layer, unit, 4, &mut |_| true);
        let upright = find("relu2", 0).unwrap();
        // Contrast decreases with the index, so the order is known.
        assert_eq!(upright.iter().map(|e| e.image).collect::<Vec<_>>(), [0, 1, 3, 6]);
        let lying = find("relu2", 1).unwrap();
        assert_eq!(lying.iter().map(|e| e.image).collect::<Vec<_>>(), [2, 4, 5, 7]);
        let first = upright[0];
        assert!((1..12).contains(&first.row) && (1..12).contains(&first.column), "{first:?}");
        let error = find("relu2", 2).unwrap_err().to_string();
        assert!(error.contains("relu2 has no unit 2; valid units are 0 to 1"), "{error}");

        let stripes = stripes();
        let image = source.image(0).unwrap();
        // Receptive fields: conv1 3, pool1 4, conv2 8 pixels.
        let part = seen(&image, &preprocess(), stripes.net(), "relu2", first.row, first.column).unwrap();
        assert_eq!((part.width, part.height), (8, 8));
        let whole = seen(&image, &preprocess(), stripes.net(), "fc3", 0, 0).unwrap();
        assert_eq!(whole, image);
        let sheet = sheet(&upright, &*source, &preprocess(), stripes.net(), "relu2", 0).unwrap();
        assert_eq!(sheet.groups[0].cells.len(), 4);
    }
}
