//! First-layer kernels before and after training, like the paper's figure 3.

use super::html::data_uri;
use crate::draw::encode::png_with_alpha;
use crate::engine::init;
use crate::formats;
use crate::image::{Channels, Image};
use crate::net::{Net, Op};
use crate::train::config::Config;
use std::path::Path;

/// Kernels with three channels, quantised to 8 bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Filters {
    /// Tiled kernels, with gaps of one pixel.
    image: Image,
    kernel: usize,
    /// Number of kernels shown.
    count: usize,
}

/// Maximum number of kernels; of more, the first ones are shown.
const MOST: usize = 256;
/// Gap between kernels.
const GROUND: u8 = 128;

/// The first layer, if it is a convolution of whole images: name, number of kernels, kernel size.
fn first(net: &Net) -> Option<(&str, usize, usize)> {
    let layer = net.layers.first()?;
    match layer.op {
        Op::Conv { out, kernel, groups: 1, .. } => Some((&layer.name, out, kernel)),
        _ => None,
    }
}

impl Filters {
    /// Creates tiles from the values `[kernels, 3, kernel, kernel]` of a net's first convolution; `None` without such a layer.
    ///
    /// Each kernel is scaled by itself: 0 is mid-grey, its largest magnitude black or white.
    pub fn of(net: &Net, channels: Channels, values: &[f32]) -> Option<Filters> {
        let (_, count, kernel) = first(net)?;
        if kernel == 0 || count == 0 || values.len() != count * 3 * kernel * kernel {
            return None;
        }
        let shown = count.min(MOST);
        // Rows of 8, 12, 16 or more: about square, and without a gap for 64 and 96.
        let columns = (1..=shown).rev().find(|c| shown % c == 0 && c * c <= shown * 2).unwrap_or(1).max(8.min(shown));
        let rows = shown.div_ceil(columns);
        let step = kernel + 1;
        let (width, height) = (columns * step + 1, rows * step + 1);
        let mut rgb = vec![GROUND; width * height * 3];
        for (i, values) in values.chunks_exact(3 * kernel * kernel).take(shown).enumerate() {
            let largest = values.iter().filter(|v| v.is_finite()).fold(0.0f32, |most, v| most.max(v.abs()));
            let (top, left) = (i / columns * step + 1, i % columns * step + 1);
            for (at, &value) in values.iter().enumerate() {
                let (channel, y, x) = (at / (kernel * kernel), at / kernel % kernel, at % kernel);
                let colour = if channels == Channels::Bgr { 2 - channel } else { channel };
                let share = if largest > 0.0 && value.is_finite() { value / largest } else { 0.0 };
                rgb[((top + y) * width + left + x) * 3 + colour] = (127.5 + 127.5 * share).round() as u8;
            }
        }
        Some(Filters { image: Image { width, height, rgb }, kernel, count: shown })
    }

    /// The initial kernels of a run: those of the `--from` model, or of the seed's initialisation. `None` if neither is
    /// available.
    pub fn before(config: &Config, net: &Net, channels: Channels) -> Option<Filters> {
        let (name, ..) = first(net)?;
        let values = match &config.from {
            Some(path) => formats::load(path, None).ok()?.tensors.get(&format!("{name}.weight"))?.to_vec(),
            None => init::initial_values(net, 0, config.seed).ok()?.0,
        };
        Filters::of(net, channels, &values)
    }

    /// The kernels of a model file.
    pub fn in_model(path: &Path) -> Option<Filters> {
        let model = formats::read(path).ok()?;
        let (name, ..) = first(&model.net)?;
        Filters::of(&model.net, model.preprocess.channels, model.tensors.get(&format!("{name}.weight"))?)
    }

    /// The kernels as an image, one pixel per weight.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// RGBA of a pixel: gaps between kernels and empty tiles are transparent.
    fn rgba(&self) -> Vec<u8> {
        let Image { width, ref rgb, .. } = self.image;
        let step = self.kernel + 1;
        let columns = width / step;
        let opacity = |at: usize| {
            let (x, y) = (at % width, at / width);
            let kernel = y / step * columns + x / step;
            // The first pixel of each step is the gap; one more follows the last step.
            let gap = x % step == 0 || y % step == 0 || kernel >= self.count;
            if gap { 0 } else { 255 }
        };
        rgb.chunks_exact(3).enumerate().flat_map(|(at, pixel)| [pixel[0], pixel[1], pixel[2], opacity(at)]).collect()
    }

    pub(super) fn html(&self, caption: &str) -> String {
        let Image { width, height, .. } = self.image;
        format!(
            "<figure><img class=\"pixels\" alt=\"kernels of {0} x {0} pixels\" width=\"{width}\" height=\"{height}\" src=\"{1}\">\
             <figcaption>{caption}</figcaption></figure>\n",
            self.kernel,
            data_uri("image/png", &png_with_alpha(width, height, &self.rgba()))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::presets;

    #[test]
    fn kernels_are_tiled_and_scaled_individually() {
        let net = presets::by_name("torchvision").unwrap();
        let mut values = vec![0.0f32; 64 * 3 * 121];
        values[0] = 2.0; // kernel 0, first channel, top left
        values[363 + 121] = -0.5; // kernel 1, second channel
        values[363 + 242] = f32::NAN;
        let filters = Filters::of(&net, Channels::Rgb, &values).unwrap();
        let image = filters.image();
        assert_eq!((image.width, image.height), (8 * 12 + 1, 8 * 12 + 1));
        let pixel = |x: usize, y: usize| &image.rgb[(y * 97 + x) * 3..][..3];
        assert_eq!((pixel(1, 1), pixel(13, 1), pixel(0, 0)), (&[255, 128, 128][..], &[128, 0, 128][..], &[128; 3][..]));
        let blue_first = Filters::of(&net, Channels::Bgr, &values).unwrap();
        assert_eq!(&blue_first.image().rgb[98 * 3..][..3], [128, 128, 255]);
        assert!(Filters::of(&net, Channels::Rgb, &values[1..]).is_none());
        assert!(filters.html("now").contains("src=\"data:image/png;base64,"));
        // Only gaps between kernels are transparent.
        let opaque: Vec<bool> = filters.rgba().chunks_exact(4).map(|pixel| pixel[3] == 255).collect();
        assert_eq!(opaque.iter().filter(|opaque| **opaque).count(), 64 * 121);
        assert!(
            (0..97).all(|x| !opaque[x] && !opaque[97 * 12 + x] && !opaque[97 * x + 96]) && opaque[98] && opaque[97 * 95 + 95]
        );
    }

    #[test]
    fn initial_kernels_follow_from_the_seed() {
        let mut config = crate::report::tests::config();
        let net = config.recipe.prepare(config.net().unwrap());
        let before = Filters::before(&config, &net, Channels::Rgb).unwrap();
        let mut engine = crate::engine::cpu::Cpu::new(&net, 1, 1).unwrap();
        init::initialise(&mut engine, config.seed).unwrap();
        let values = crate::engine::ParameterStore::parameter(&engine, "conv1.weight").unwrap();
        assert_eq!(before, Filters::of(&net, Channels::Rgb, &values).unwrap());
        config.from = Some("gone.safetensors".into());
        assert!(Filters::before(&config, &net, Channels::Rgb).is_none());
    }
}
