//! Rotation, translation, scaling and shear.

use super::canvas::{Canvas, floored, levels, rounded};
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
        let source = Source { pixels: spare, stride, width: width as f32, height: height as f32 };
        let map = inverse.map(|value| value as f32);
        let mut points = Points::of_row(width);
        isa.vectorize(
            #[inline(always)]
            || {
                for (y, row) in pixels.chunks_exact_mut(width).enumerate() {
                    match interpolation {
                        Interpolation::Nearest => source.nearest(&map, y, &mut points, row),
                        Interpolation::Bilinear => source.bilinear(&map, y, &mut points, row),
                    }
                }
            },
        );
    }
}

/// A source image with its border.
struct Source<'a> {
    pixels: &'a [u32],
    stride: usize,
    width: f32,
    height: f32,
}

/// Where a row of the target comes from. In lists, so that all but the reading of pixels vectorises.
struct Points {
    /// Index of the nearest, or of the upper left pixel.
    index: Vec<u32>,
    /// Distance from the upper left pixel.
    right: Vec<f32>,
    down: Vec<f32>,
    /// The four pixels around.
    corners: [Vec<u32>; 4],
}

impl Points {
    fn of_row(width: usize) -> Points {
        let (zeros, pixels) = (|| vec![0.0; width], || vec![0; width]);
        Points { index: pixels(), right: zeros(), down: zeros(), corners: std::array::from_fn(|_| pixels()) }
    }
}

impl Source<'_> {
    /// Source of the target's pixel `x`, `y`, in the border if it is outside.
    #[inline(always)]
    fn point(&self, [a, b, tx, c, d, ty]: &[f32; 6], x: usize, y: usize) -> (f32, f32) {
        let (middle_x, middle_y) = (0.5 * (self.width - 1.0), 0.5 * (self.height - 1.0));
        let (x, y) = (x as i32 as f32 - middle_x, y as i32 as f32 - middle_y);
        let (x, y) = (a * x + (b * y + tx + middle_x), c * x + (d * y + ty + middle_y));
        (x.max(-1.0).min(self.width), y.max(-1.0).min(self.height))
    }

    /// Index of a pixel from -2 up to the size + 1.
    #[inline(always)]
    fn index(&self, x: i32, y: i32) -> u32 {
        ((y + BORDER as i32) * self.stride as i32 + x + BORDER as i32) as u32
    }

    #[inline(always)]
    fn nearest(&self, map: &[f32; 6], y: usize, points: &mut Points, row: &mut [u32]) {
        for (x, index) in points.index.iter_mut().enumerate() {
            let (x, y) = self.point(map, x, y);
            *index = self.index(rounded(x).1, rounded(y).1);
        }
        for (out, &index) in row.iter_mut().zip(&points.index) {
            *out = self.pixels[index as usize];
        }
    }

    #[inline(always)]
    fn bilinear(&self, map: &[f32; 6], y: usize, points: &mut Points, row: &mut [u32]) {
        let Points { index, right, down, corners: [p, q, r, s] } = points;
        for (x, ((index, right), down)) in index.iter_mut().zip(&mut *right).zip(&mut *down).enumerate() {
            let (x, y) = self.point(map, x, y);
            let ((left, column), (top, line)) = (floored(x), floored(y));
            (*index, *right, *down) = (self.index(column, line), x - left, y - top);
        }
        for (x, &index) in index.iter().enumerate() {
            let first = index as usize;
            let (upper, lower) = (&self.pixels[first..first + 2], &self.pixels[first + self.stride..first + self.stride + 2]);
            (p[x], q[x], r[x], s[x]) = (upper[0], upper[1], lower[0], lower[1]);
        }
        let corners = p.iter().zip(&*q).zip(r.iter().zip(&*s));
        for ((out, (&right, &down)), ((&p, &q), (&r, &s))) in row.iter_mut().zip(right.iter().zip(&*down)).zip(corners) {
            let weights = [(1.0 - right) * (1.0 - down), right * (1.0 - down), (1.0 - right) * down, right * down];
            let mut sum = [0.0f32; 3];
            for (pixel, weight) in [p, q, r, s].into_iter().zip(weights) {
                let level = levels(pixel);
                for c in 0..3 {
                    sum[c] += level[c] * weight;
                }
            }
            let [red, green, blue] = sum.map(|sum| rounded(sum).1 as u32);
            *out = red | green << 8 | blue << 16;
        }
    }
}
