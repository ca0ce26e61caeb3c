//! Rotation, translation, scaling and shear.

use super::canvas::{Canvas, floored, rounded};
use serde::{Deserialize, Serialize};

/// How a moved image is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// The mean of the four nearest pixels, weighted by distance.
    Bilinear,
}

impl std::fmt::Display for Interpolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Interpolation::Nearest => "nearest",
            Interpolation::Bilinear => "bilinear",
        })
    }
}

/// The point of an image that rotation, scaling and shear leave in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Centre {
    /// The middle.
    #[default]
    Middle,
    /// The upper left corner.
    Corner,
}

/// A map of the plane, with the parameters of torchvision's `affine`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Rotation in degrees, clockwise.
    pub angle: f64,
    /// Translation in pixels, right and down.
    pub translate: (f64, f64),
    /// Scale factor.
    pub zoom: f64,
    /// Shear in degrees, along x and y.
    pub shear: (f64, f64),
    /// Fixed point of rotation, scaling and shear.
    pub centre: Centre,
}

impl Default for Affine {
    fn default() -> Affine {
        Affine { angle: 0.0, translate: (0.0, 0.0), zoom: 1.0, shear: (0.0, 0.0), centre: Centre::Middle }
    }
}

impl Affine {
    /// torchvision's `rotate`, in degrees counter-clockwise.
    pub fn rotation(angle: f64) -> Affine {
        Affine { angle: -angle, ..Affine::default() }
    }

    /// The inverse map in coordinates around the middle: of a target's `(x, y)`, the source is at
    /// `(m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5])`.
    fn inverse(&self, width: usize, height: usize) -> [f64; 6] {
        let (cx, cy) = match self.centre {
            Centre::Middle => (0.0, 0.0),
            Centre::Corner => (-0.5 * width as f64, -0.5 * height as f64),
        };
        let (tx, ty) = self.translate;
        let rotation = self.angle.to_radians();
        let (sx, sy) = (self.shear.0.to_radians(), self.shear.1.to_radians());
        // Rotation times shears; their determinant is 1.
        let a = (rotation - sy).cos() / sy.cos();
        let b = -(a * sx.tan() + rotation.sin());
        let c = (rotation - sy).sin() / sy.cos();
        let d = rotation.cos() - c * sx.tan();
        let [a, b, c, d] = [d, -b, -c, a].map(|value| value / self.zoom);
        [a, b, cx - a * (cx + tx) - b * (cy + ty), c, d, cy - c * (cx + tx) - d * (cy + ty)]
    }
}

/// Width of the black border of a source image, beyond which nothing need be told apart.
const BORDER: usize = 2;

impl Canvas {
    /// Moves the image; what lies outside is black: `affine` and `rotate` without `fill`.
    pub fn warp(&mut self, map: &Affine, interpolation: Interpolation) {
        let (width, height) = (self.width, self.height);
        if width == 0 || height == 0 || *map == (Affine { centre: map.centre, ..Affine::default() }) {
            return;
        }
        let inverse = map.inverse(width, height);
        let stride = width + 2 * BORDER;
        let Canvas { pixels, spare, isa, .. } = self;
        spare.clear();
        spare.resize(stride * (height + 2 * BORDER), 0);
        for (row, out) in pixels.chunks_exact(width).zip(spare.chunks_exact_mut(stride).skip(BORDER)) {
            out[BORDER..BORDER + width].copy_from_slice(row);
        }
        let source = Source { pixels: spare, width: width as f32, height: height as f32, stride };
        let [a, b, tx, c, d, ty] = inverse.map(|value| value as f32);
        let (middle_x, middle_y) = (0.5 * (width as f32 - 1.0), 0.5 * (height as f32 - 1.0));
        isa.vectorize(
            #[inline(always)]
            || {
                for (y, row) in pixels.chunks_exact_mut(width).enumerate() {
                    let y = y as f32 - middle_y;
                    let (first_x, first_y) = (b * y + tx + middle_x, d * y + ty + middle_y);
                    for (x, out) in row.iter_mut().enumerate() {
                        let x = x as i32 as f32 - middle_x;
                        let at = (a * x + first_x, c * x + first_y);
                        *out = match interpolation {
                            Interpolation::Nearest => source.nearest(at),
                            Interpolation::Bilinear => source.bilinear(at),
                        };
                    }
                }
            },
        );
    }
}

/// A source image with its border.
struct Source<'a> {
    pixels: &'a [u32],
    width: f32,
    height: f32,
    stride: usize,
}

impl Source<'_> {
    /// Index of a pixel from -2 up to the size + 1.
    #[inline(always)]
    fn index(&self, x: i32, y: i32) -> usize {
        (y + BORDER as i32) as usize * self.stride + (x + BORDER as i32) as usize
    }

    /// A point that samples the border if it is outside.
    #[inline(always)]
    fn limited(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (x.max(-1.0).min(self.width), y.max(-1.0).min(self.height))
    }

    #[inline(always)]
    fn nearest(&self, at: (f32, f32)) -> u32 {
        let (x, y) = self.limited(at);
        self.pixels[self.index(rounded(x).1, rounded(y).1)]
    }

    #[inline(always)]
    fn bilinear(&self, at: (f32, f32)) -> u32 {
        let (x, y) = self.limited(at);
        let ((left, column), (top, row)) = (floored(x), floored(y));
        let (right, down) = (x - left, y - top);
        let first = self.index(column, row);
        let upper = &self.pixels[first..first + 2];
        let lower = &self.pixels[first + self.stride..first + self.stride + 2];
        let weights = [(1.0 - right) * (1.0 - down), right * (1.0 - down), (1.0 - right) * down, right * down];
        let channels = |pixel: u32| pixel.to_le_bytes().map(|level| f32::from(level));
        let mut sum = [0.0f32; 4];
        for (pixel, weight) in [upper[0], upper[1], lower[0], lower[1]].into_iter().zip(weights) {
            let level = channels(pixel);
            for c in 0..4 {
                sum[c] += level[c] * weight;
            }
        }
        u32::from_le_bytes(sum.map(|sum| rounded(sum).1 as u8))
    }
}
