//! Crops: the parts of an image that the network sees.

use alexnet_kernels::random::Key;
use alexnet_net::preprocess;

/// Position of a crop in the resized image; its size is [`Preprocess::crop`](crate::Preprocess::crop).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Whether the crop is mirrored left to right.
    pub mirror: bool,
}

/// The crops of an image that a prediction is averaged over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Crops {
    /// The [`centre`] crop.
    #[default]
    Centre,
    /// The paper's [`ten`] crops, with averaged probabilities.
    Ten,
}

impl Crops {
    /// The variant with this number of crops: 1 or 10.
    pub fn of_count(count: usize) -> Option<Crops> {
        [Crops::Centre, Crops::Ten].into_iter().find(|crops| crops.count() == count)
    }

    /// Number of crops.
    pub fn count(self) -> usize {
        match self {
            Crops::Centre => 1,
            Crops::Ten => 10,
        }
    }

    /// Positions of the crops in an image of `h` rows and `w` columns.
    ///
    /// # Panics
    /// When the image is smaller than the crop.
    pub fn windows(self, h: usize, w: usize, crop: usize) -> Vec<Window> {
        match self {
            Crops::Centre => vec![centre(h, w, crop)],
            Crops::Ten => ten(h, w, crop).to_vec(),
        }
    }
}

/// A rectangle of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// The central `crop` x `crop` pixels of an image of `h` rows and `w` columns. An odd remainder is split as in torchvision: half
/// of it, rounded to even.
///
/// # Panics
/// When the image is smaller than the crop.
pub fn centre(h: usize, w: usize, crop: usize) -> Window {
    assert!(crop <= h && crop <= w, "a crop of {crop} pixels does not fit {h} x {w}");
    Window { top: preprocess::centre(h, crop), left: preprocess::centre(w, crop), mirror: false }
}

/// The paper's ten crops: four corners (top left, top right, bottom left, bottom right) and centre, then the same mirrored.
///
/// # Panics
/// When the image is smaller than the crop.
pub fn ten(h: usize, w: usize, crop: usize) -> [Window; 10] {
    let middle = centre(h, w, crop);
    let at = |top, left| Window { top, left, mirror: false };
    let five = [at(0, 0), at(0, w - crop), at(h - crop, 0), at(h - crop, w - crop), middle];
    std::array::from_fn(|i| Window { mirror: i >= 5, ..five[i % 5] })
}

/// A uniformly random crop (offsets 0 up to and including `h - crop`), mirrored with probability 1/2. Uses random numbers 0 to 2
/// of the key.
///
/// # Panics
/// When the image is smaller than the crop.
pub fn random(key: Key, h: usize, w: usize, crop: usize) -> Window {
    assert!(crop <= h && crop <= w, "a crop of {crop} pixels does not fit {h} x {w}");
    Window {
        top: key.below(0, (h - crop) as u64 + 1) as usize,
        left: key.below(1, (w - crop) as u64 + 1) as usize,
        mirror: key.below(2, 2) == 1,
    }
}

/// torchvision's `RandomResizedCrop`: a rectangle with a random fraction of the image's area (range `scale`) and a random aspect
/// ratio width / height (range `ratio`, log-uniform). After ten rectangles that do not fit, the largest centred one whose aspect
/// is within `ratio`. Uses random numbers 0 to 39 of the key.
pub fn random_resized(key: Key, h: usize, w: usize, scale: (f32, f32), ratio: (f32, f32)) -> Area {
    let between = |i: u64, low: f64, high: f64| low + (high - low) * f64::from(key.uniform(i));
    let (low, high) = (f64::from(ratio.0), f64::from(ratio.1));
    for attempt in 0..10 {
        let pixels = (h * w) as f64 * between(4 * attempt, scale.0.into(), scale.1.into());
        let aspect = between(4 * attempt + 1, low.ln(), high.ln()).exp();
        let width = (pixels * aspect).sqrt().round_ties_even() as usize;
        let height = (pixels / aspect).sqrt().round_ties_even() as usize;
        if (1..=w).contains(&width) && (1..=h).contains(&height) {
            let top = key.below(4 * attempt + 2, (h - height) as u64 + 1) as usize;
            let left = key.below(4 * attempt + 3, (w - width) as u64 + 1) as usize;
            return Area { top, left, height, width };
        }
    }
    let aspect = w as f64 / h as f64;
    let (height, width) = if aspect < low {
        (((w as f64 / low).round_ties_even() as usize).clamp(1, h), w)
    } else if aspect > high {
        (h, ((h as f64 * high).round_ties_even() as usize).clamp(1, w))
    } else {
        (h, w)
    };
    Area { top: (h - height) / 2, left: (w - width) / 2, height, width }
}
