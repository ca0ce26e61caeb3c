//! Activations of a layer for an image, as one map per channel.

use crate::Result;
use crate::draw::colormap;
use crate::draw::contact_sheet::{Cell, ContactSheet, Legend};
use crate::engine::Inspection;
use crate::image::Image;
use serde::Serialize;

/// Activation maps of a layer for one image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActivationMaps {
    /// Name of the layer.
    pub layer: String,
    /// Number of maps, or features of a linear layer.
    pub channels: usize,
    /// Rows and columns of each map; 1 after a linear layer.
    pub size: usize,
    /// `[channels, size, size]`.
    pub values: Vec<f32>,
}

/// Computes the maps of `layer` for one tensor `[3, size, size]`. A layer before its ReLU includes negative values.
///
/// # Errors
/// An unknown layer, or a tensor of another size.
pub fn maps(engine: &mut dyn Inspection, tensor: &[f32], layer: &str) -> Result<ActivationMaps> {
    let shape = engine.net().shapes()?[engine.net().layer(layer)?].output;
    let values = engine.activation(tensor, layer)?;
    Ok(ActivationMaps { layer: layer.into(), channels: shape.channels, size: shape.size, values })
}

impl ActivationMaps {
    /// Each map as an image, scaled by its own largest magnitude: dark to bright, or blue over white to red if the layer has
    /// negative values. Features of a linear layer become one image with one square each.
    pub fn images(&self) -> Vec<Image> {
        let signed = self.values.iter().any(|&v| v < 0.0);
        let draw = |values: &[f32], height: usize, width: usize| {
            let shares = colormap::signed_unit(values);
            if signed {
                colormap::image(&shares, height, width, colormap::signed_colour)
            } else {
                colormap::image(&shares, height, width, colormap::colour)
            }
        };
        if self.size == 1 {
            let width = (self.channels as f64).sqrt().ceil() as usize;
            let height = self.channels.div_ceil(width);
            let mut values = self.values.clone();
            values.resize(height * width, 0.0);
            return vec![draw(&values, height, width)];
        }
        self.values.chunks_exact(self.size * self.size).map(|map| draw(map, self.size, self.size)).collect()
    }

    /// Legend for the colours of [`images`](Self::images).
    fn legend(&self) -> Legend {
        let (low, high) = self.values.iter().filter(|v| v.is_finite()).fold((0.0f32, 0.0f32), |(l, h), &v| (l.min(v), h.max(v)));
        let most = high.max(-low);
        let each = if self.size == 1 { "" } else { ", per map" };
        if low < 0.0 {
            return Legend::signed(if self.size == 1 { format!("-{most:.3}") } else { "below 0".into() }, {
                if self.size == 1 { format!("{most:.3}; white is 0") } else { format!("above 0; white is 0{each}") }
            });
        }
        Legend::heat(
            "0",
            if self.size == 1 { format!("{most:.3}") } else { format!("largest value{each} (over all maps {most:.3})") },
        )
    }

    /// Contact sheet of all maps.
    pub fn sheet(&self) -> ContactSheet {
        let ActivationMaps { layer, channels, size, .. } = self;
        let cells: Vec<Cell> = self.images().into_iter().map(Cell::squares).collect();
        let legends = vec![self.legend()];
        if *size == 1 {
            let note = "in rows from the upper left".into();
            return ContactSheet { note, legends, ..ContactSheet::of(format!("{layer}: {channels} features"), 1, 512, cells) };
        }
        let silent = self.values.chunks_exact(size * size).filter(|map| map.iter().all(|&v| v == 0.0)).count();
        let note = if silent > 0 { format!("{silent} all zero") } else { String::new() };
        let columns = if *channels <= 128 { 12 } else { 16 };
        // A multiple of the map size if possible, so that all its pixels are equally large.
        let side = (size * (68 / size).max(1)).min(128);
        ContactSheet {
            gap: 4,
            note,
            legends,
            ..ContactSheet::of(format!("{layer}: {channels} maps of {size} x {size}"), columns, side, cells)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::tests::{SIDE, image, stripes};

    #[test]
    fn maps_are_bright_at_matching_stripes() {
        let mut engine = stripes();
        let found = maps(&mut engine, &image(true, true), "relu2").unwrap();
        assert_eq!((found.channels, found.size, found.values.len()), (2, SIDE / 2, 2 * SIDE * SIDE / 4));
        let sums =
            |map: &[f32], rows: std::ops::Range<usize>| rows.map(|y| map[y * 20..y * 20 + 20].iter().sum::<f32>()).sum::<f32>();
        let (upright, lying) = found.values.split_at(400);
        assert!(sums(upright, 0..10) > 3.0 * sums(upright, 10..20));
        assert!(sums(lying, 10..20) > 3.0 * sums(lying, 0..10));
        assert_eq!(found.images().len(), 2);
        let legends = found.sheet().legends;
        assert!(legends.len() == 1 && legends[0].low == "0" && legends[0].high.contains("largest"), "{legends:?}");
        // Features are one image; before a ReLU there are two colours.
        let logits = maps(&mut engine, &image(true, false), "fc3").unwrap();
        assert_eq!((logits.size, logits.images()[0].width, logits.images()[0].height), (1, 2, 1));
        assert!(logits.values[1] < 0.0 && logits.images()[0].rgb[3] < 100, "{logits:?}");
        assert!(logits.sheet().legends[0].low.starts_with('-'), "{logits:?}");
        let error = maps(&mut engine, &image(true, false), "conv7").unwrap_err().to_string();
        assert!(error.contains("no layer conv7; it has conv1, relu1"), "{error}");
    }
}
