//! The images of a data set that excite a unit most, each cut to what the unit sees of it.

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

/// Where a unit of a layer was excited most in an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TopActivation {
    /// The image's number in the source.
    pub picture: u32,
    /// What the unit gave.
    pub value: f32,
    /// Row in the layer's map; 0 in a linear layer.
    pub row: usize,
    /// Column in the layer's map.
    pub column: usize,
}

/// The `count` images of a sequential loader of one crop an image that excite map (or feature) number `unit` of `layer` most,
/// one place each, the highest value first; equal ones in the source's order. `progress` hears the number of images done after
/// each batch, and may stop by `false`.
///
/// # Errors
/// From the engine; a unit that the layer does not have; when stopped.
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
        return Err(Error::Invalid(format!("{layer} has units 0 to {}, and no {unit}", shape.channels - 1)));
    }
    let pixels = shape.size * shape.size;
    let (mut best, mut done) = (Vec::new(), 0);
    for batch in loader.epoch(0, 0) {
        done += batch.pictures.len() + batch.broken.len();
        if !batch.pictures.is_empty() {
            let values = engine.activation(&batch.images, layer)?;
            for (maps, &picture) in values.chunks_exact(shape.len()).zip(&batch.pictures) {
                let map = &maps[unit * pixels..][..pixels];
                let at = map.iter().enumerate().fold(0, |best, (i, v)| if *v > map[best] { i } else { best });
                best.push(TopActivation { picture, value: map[at], row: at / shape.size, column: at % shape.size });
            }
            best.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.picture.cmp(&b.picture)));
            best.truncate(count);
        }
        if !progress(done) {
            return Err(Error::Invalid("stopped".into()));
        }
    }
    Ok(best)
}

/// What the unit at (`row`, `column`) of `layer` sees of an image's centre crop, cut from the original.
///
/// # Errors
/// No such layer.
pub fn seen(picture: &Image, preprocess: &Preprocess, net: &Net, layer: &str, row: usize, column: usize) -> Result<Image> {
    let (rows, columns) = net.seen_by(layer, row, column)?;
    let resized = picture.resized_as(preprocess.resize);
    let window = crop::centre(resized.height, resized.width, preprocess.crop);
    let place = Area {
        top: window.top + rows.0,
        left: window.left + columns.0,
        height: rows.1 - rows.0 + 1,
        width: columns.1 - columns.0 + 1,
    };
    Ok(picture.crop(original_area(preprocess.resize, picture, &resized, place)))
}

/// The contact sheet of what [`maximal`] found.
///
/// # Errors
/// An image that can no longer be read.
pub fn sheet(
    found: &[TopActivation],
    source: &dyn Dataset,
    preprocess: &Preprocess,
    net: &Net,
    layer: &str,
    unit: usize,
) -> Result<ContactSheet> {
    let cell = |excited: &TopActivation| {
        let i = excited.picture as usize;
        let name = source.name(i);
        let picture = source.picture(i).map_err(|why| Error::Invalid(format!("{name}: {why}")))?;
        let part = seen(&picture, preprocess, net, layer, excited.row, excited.column)?;
        let class = &source.classes()[source.label(i) as usize];
        Ok(Cell::photograph(thumbnail(part)).line(class, INK).line(format!("{:.3}", excited.value), GREY))
    };
    let cells = found.iter().map(cell).collect::<Result<Vec<_>>>()?;
    let note = match net.receptive_field(layer)? {
        Some(field) => {
            format!("cut to what the unit sees: {0} x {0} pixels of {1} x {1}", field.size.min(net.image_size), net.image_size)
        }
        None => "the unit sees the whole image".into(),
    };
    Ok(ContactSheet { note, ..ContactSheet::of(format!("What excites {layer}:{unit} most"), 8, 112, cells) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loader::Options;
    use crate::engine::ParameterStore;
    use crate::explain::tests::{Striped, preprocess, stripes};
    use std::sync::Arc;

    #[test]
    fn upright_stripes_excite_the_unit_for_upright_stripes_where_they_are() {
        let source: Arc<dyn Dataset> = Arc::new(Striped::new());
        let options = Options { batch: 3, memory: Some(0), threads: 1, ..Options::default() };
        let loader = Loader::sequential(source.clone(), preprocess(), crate::image::crop::Crops::Centre, options).unwrap();
        let mut engine = stripes();
        let mut find = |layer: &str, unit| maximal(&mut engine, &loader, layer, unit, 4, &mut |_| true);
        let upright = find("relu2", 0).unwrap();
        // The paler the larger the number, so the order is known.
        assert_eq!(upright.iter().map(|e| e.picture).collect::<Vec<_>>(), [0, 1, 3, 6]);
        let lying = find("relu2", 1).unwrap();
        assert_eq!(lying.iter().map(|e| e.picture).collect::<Vec<_>>(), [2, 4, 5, 7]);
        let first = upright[0];
        assert!((1..12).contains(&first.row) && (1..12).contains(&first.column), "{first:?}");
        let error = find("relu2", 2).unwrap_err().to_string();
        assert!(error.contains("relu2 has units 0 to 1, and no 2"), "{error}");

        let stripes = stripes();
        let picture = source.picture(0).unwrap();
        // conv1 3 wide, pool1 to 4, conv2 to 8 pixels.
        let part = seen(&picture, &preprocess(), stripes.net(), "relu2", first.row, first.column).unwrap();
        assert_eq!((part.width, part.height), (8, 8));
        let whole = seen(&picture, &preprocess(), stripes.net(), "fc3", 0, 0).unwrap();
        assert_eq!(whole, picture);
        let sheet = sheet(&upright, &*source, &preprocess(), stripes.net(), "relu2", 0).unwrap();
        assert_eq!(sheet.groups[0].cells.len(), 4);
    }
}
