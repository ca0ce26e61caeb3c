//! The network's view of an image: its centre crop, and the crop's position.

use crate::image::MAX_ASPECT;
use crate::image::crop::{self, Area, Crops};
use crate::image::{Image, Preprocess, Resize};

/// Maximum side in pixels of a displayed crop; crops of large photographs are reduced to it.
const SHOWN: usize = 640;

/// The centre crop of an image, for the network and for display.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Network input, `[3, crop, crop]`.
    pub tensor: Vec<f32>,
    /// Part of the original covered by the crop.
    pub area: Area,
    /// That part at the original's resolution, at most 640 pixels long: sharper than the network input.
    pub image: Image,
}

impl View {
    /// The centre crop of `image`.
    pub fn centre(image: &Image, preprocess: &Preprocess) -> View {
        let resized = image.resized_as(preprocess.resize);
        let window = crop::centre(resized.height, resized.width, preprocess.crop);
        let mut tensor = vec![0.0; 3 * preprocess.crop * preprocess.crop];
        resized.crops(preprocess, Crops::Centre, &mut tensor);
        let place = Area { top: window.top, left: window.left, height: preprocess.crop, width: preprocess.crop };
        let area = original_area(preprocess.resize, image, &resized, place);
        let part = image.crop(area);
        let longest = area.height.max(area.width);
        let brought = |n: usize| (n * SHOWN / longest).max(1);
        let image = if longest > SHOWN { part.resized(brought(area.height), brought(area.width)) } else { part };
        View { tensor, area, image }
    }
}

/// Area of the original that became `place` of the resized image, rounded to pixels.
pub(super) fn original_area(resize: Resize, original: &Image, resized: &Image, place: Area) -> Area {
    let (h, w) = (original.height, original.width);
    // Resizing keeps the middle of the original: all of it, unless the result must be square or the image is a thin strip.
    let (height, width) = match resize {
        Resize::ShortSide(_) if h.max(w) / MAX_ASPECT <= h.min(w) => (h, w),
        Resize::Warp(_) => (h, w),
        Resize::ShortSide(_) => (h.min(w * MAX_ASPECT), w.min(h * MAX_ASPECT)),
        Resize::Square(_) => (h.min(w), h.min(w)),
    };
    let along = |first: usize, count: usize, all: usize, kept: usize, resized: usize| {
        let scale = kept as f64 / resized as f64;
        let offset = (all - kept) as f64 / 2.0;
        let start = ((first as f64 * scale + offset).round() as usize).min(all - 1);
        (start, ((count as f64 * scale).round() as usize).clamp(1, all - start))
    };
    let (top, height) = along(place.top, place.height, h, height, resized.height);
    let (left, width) = along(place.left, place.width, w, width, resized.width);
    Area { top, left, height, width }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::presets;

    #[test]
    fn the_displayed_area_matches_the_crop() {
        let mut preprocess = Preprocess::for_net(&presets::by_name("torchvision").unwrap());
        let wide = Image { width: 1024, height: 512, rgb: vec![7; 1024 * 512 * 3] };
        // Short side 512 to 256, crop 224 of 256 x 512: rows 16 to 240 are 32 to 480 of the original.
        let view = View::centre(&wide, &preprocess);
        assert_eq!(view.area, Area { top: 32, left: 288, height: 448, width: 448 });
        assert_eq!((view.image.width, view.tensor.len()), (448, 3 * 224 * 224));
        preprocess.resize = Resize::Square(256);
        assert_eq!(View::centre(&wide, &preprocess).area, view.area);
        preprocess.resize = Resize::Warp(256);
        assert_eq!(View::centre(&wide, &preprocess).area, Area { top: 32, left: 64, height: 448, width: 896 });
        assert_eq!(View::centre(&wide, &preprocess).image.width, 640);
        let dot = Image { width: 1, height: 1, rgb: vec![1, 2, 3] };
        assert_eq!(View::centre(&dot, &preprocess).image, dot);
        // A strip: only its middle 64 pixels are used.
        preprocess.resize = Resize::ShortSide(256);
        let strip = Image { width: 5000, height: 1, rgb: vec![9; 15000] };
        let area = View::centre(&strip, &preprocess).area;
        assert!(area.height == 1 && area.width == 1 && (2499..=2501).contains(&area.left), "{area:?}");
    }
}
