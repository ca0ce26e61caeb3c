//! First-layer filters in colour, as in the paper's Figure 3.

use crate::draw::contact_sheet::{Cell, ContactSheet, Group};
use crate::engine::ParameterStore;
use crate::image::{Channels, Image};
use crate::net::Op;
use crate::{Error, Result};
use serde::Serialize;

/// Filters of the first convolution.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Filters {
    /// Name of the layer.
    pub layer: String,
    /// Number of filters.
    pub count: usize,
    /// Rows and columns of each filter.
    pub size: usize,
    /// Columns (GPUs, in 2012) of the filters: the first `count / columns` belong to the first one, and so on.
    pub columns: usize,
    /// `[count, 3, size, size]`, red first.
    pub weights: Vec<f32>,
}

/// Scaling of filters to colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Per filter, by its own largest weight: weak filters become visible.
    Each,
    /// By the largest weight of all filters: strong ones stand out, and images of different epochs are comparable.
    Together,
}

/// Extracts the filters of the first convolution. `channels` is the colour order of the net's input.
///
/// # Errors
/// The first layer with weights is not a convolution.
pub fn filters(engine: &dyn ParameterStore, channels: Channels) -> Result<Filters> {
    let net = engine.net();
    let first = net.layers.iter().find(|layer| matches!(layer.op, Op::Conv { .. } | Op::Linear { .. }));
    let Some((layer, count, size)) = first.and_then(|layer| match layer.op {
        Op::Conv { out, kernel, groups: 1, .. } => Some((layer.name.clone(), out, kernel)),
        _ => None,
    }) else {
        return Err(Error::Net(format!("{}: the first layer is not a convolution, so it has no filters", net.name)));
    };
    // The groups of the next convolution determine which filters belong together.
    let groups = |op: &Op| if let Op::Conv { groups, .. } = op { Some(*groups) } else { None };
    let columns =
        net.layers.iter().filter_map(|layer| groups(&layer.op)).nth(1).filter(|&n| n > 0 && count % n == 0).unwrap_or(1);
    let mut weights = engine.parameter(&format!("{layer}.weight"))?;
    if channels == Channels::Bgr {
        for filter in weights.chunks_exact_mut(3 * size * size) {
            let (blue, rest) = filter.split_at_mut(size * size);
            blue.swap_with_slice(&mut rest[size * size..]);
        }
    }
    Ok(Filters { layer, count, size, columns, weights })
}

impl Filters {
    /// Each filter as an image; grey is zero.
    pub fn images(&self, scale: Scale) -> Vec<Image> {
        let largest = |weights: &[f32]| weights.iter().filter(|w| w.is_finite()).fold(0.0f32, |m, w| m.max(w.abs()));
        let of_all = largest(&self.weights);
        let len = self.size * self.size;
        let one = |filter: &[f32]| {
            let range = if scale == Scale::Each { largest(filter) } else { of_all }.max(f32::MIN_POSITIVE);
            let level = |weight: f32| (127.5 + 127.5 * weight / range).round() as u8;
            let rgb = (0..len).flat_map(|i| [0, 1, 2].map(|c| level(filter[c * len + i]))).collect();
            Image { width: self.size, height: self.size, rgb }
        };
        self.weights.chunks_exact(3 * len).map(one).collect()
    }

    /// Contact sheet with about eight rows of filters, and a group for each column of the net.
    pub fn sheet(&self, scale: Scale) -> ContactSheet {
        let share = self.count / self.columns;
        let (count, size, layer) = (self.count, self.size, &self.layer);
        let heading = |column: usize| if self.columns == 1 { String::new() } else { format!("column {}", column + 1) };
        let images = self.images(scale);
        let groups = images
            .chunks(share.max(1))
            .enumerate()
            .map(|(i, images)| Group { heading: heading(i), cells: images.iter().cloned().map(Cell::squares).collect() });
        ContactSheet {
            title: format!("{layer}: {count} filters of {size} x {size}"),
            note: "grey: 0; lighter: positive, darker: negative, per color channel".into(),
            legends: Vec::new(),
            columns: 16,
            // A multiple of the filter size, so that all its pixels are equally large.
            side: size * (44 / size).max(1),
            gap: 4,
            groups: groups.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cpu::Cpu;
    use crate::net::presets;

    #[test]
    fn filters_keep_their_colours_and_their_columns() {
        let net = presets::by_name("bvlc").unwrap().with_classes(2);
        let mut engine = Cpu::new(&net, 1, 1).unwrap();
        // Filter 0 has a positive weight for blue, which comes first in Caffe's files, and a negative one for red.
        let mut weights = vec![0.0; 96 * 3 * 121];
        weights[..121].fill(0.5);
        weights[242..363].fill(-0.5);
        engine.set_parameter("conv1.weight", &weights).unwrap();
        let found = filters(&engine, Channels::Bgr).unwrap();
        assert_eq!((found.count, found.size, found.columns, found.layer.as_str()), (96, 11, 2, "conv1"));
        let images = found.images(Scale::Each);
        assert_eq!((&images[0].rgb[..3], &images[1].rgb[..3]), (&[0, 128, 255][..], &[128; 3][..]));
        let sheet = found.sheet(Scale::Together);
        assert_eq!(sheet.groups.iter().map(|g| g.cells.len()).collect::<Vec<_>>(), [48, 48]);
        let one_tower = Cpu::new(&presets::by_name("torchvision").unwrap().with_classes(2), 1, 1).unwrap();
        assert_eq!(filters(&one_tower, Channels::Rgb).unwrap().columns, 1);
    }
}
