//! Conversion between planes [N, C, H, W], as in images and files, and maps [N, H, W, C] with a border.

pub mod reference;

use crate::context::Context;
use crate::executor::for_each_chunk;
use crate::feature_map::FeatureMap;
use crate::rows::{for_each_row, row};

/// Pixels gathered per block: 16 floats of a plane are one cache line.
const PIXELS: usize = 16;

/// y[n, h, w, c] = planes[n, c, h, w].
///
/// # Panics
/// When a slice is too short.
pub fn from_planes(context: &Context<'_>, planes: &[f32], y_map: FeatureMap, y: &mut [f32]) {
    let FeatureMap { n: count, h: height, w: width, c: channels, .. } = y_map;
    assert!(planes.len() >= count * channels * height * width, "{} floats in planes for {y_map:?}", planes.len());
    for_each_row(context.threads, y_map, y, |n, h, line| {
        let plane = |c: usize| &planes[((n * channels + c) * height + h) * width..][..width];
        context.isa.vectorize(
            #[inline(always)]
            || {
                if channels == 3 {
                    // Colour images: the compiler turns this into shuffles.
                    let (red, green, blue) = (plane(0), plane(1), plane(2));
                    for (((pixel, &r), &g), &b) in line.chunks_exact_mut(3).zip(red).zip(green).zip(blue) {
                        pixel[0] = r;
                        pixel[1] = g;
                        pixel[2] = b;
                    }
                    return;
                }
                for (i, pixels) in line.chunks_mut(PIXELS * channels).enumerate() {
                    for c in 0..channels {
                        for (pixel, &value) in pixels.chunks_exact_mut(channels).zip(&plane(c)[i * PIXELS..]) {
                            pixel[c] = value;
                        }
                    }
                }
            },
        );
    });
}

/// planes[n, c, h, w] = x[n, h, w, c].
///
/// # Panics
/// When a slice is too short.
pub fn to_planes(context: &Context<'_>, map: FeatureMap, x: &[f32], planes: &mut [f32]) {
    let len = map.n * map.c * map.h * map.w;
    assert!(x.len() >= map.len(), "{} floats for {map:?}", x.len());
    if len == 0 {
        return;
    }
    for_each_chunk(context.threads, &mut planes[..len], len / map.n, |n, planes| {
        for h in 0..map.h {
            let line = row(map, x, n, h);
            for (i, pixels) in line.chunks(PIXELS * map.c).enumerate() {
                for (c, plane) in planes.chunks_exact_mut(map.h * map.w).enumerate() {
                    let plane = &mut plane[h * map.w + i * PIXELS..];
                    for (value, pixel) in plane.iter_mut().zip(pixels.chunks_exact(map.c)) {
                        *value = pixel[c];
                    }
                }
            }
        }
    });
}

/// Copies a batch of maps into maps of the same sizes with another border, filled with zeros.
///
/// # Panics
/// When the sizes differ, or a slice is too short.
pub fn copy(context: &Context<'_>, x_map: FeatureMap, x: &[f32], y_map: FeatureMap, y: &mut [f32]) {
    let sizes = |map: FeatureMap| (map.n, map.h, map.w, map.c);
    assert_eq!(sizes(x_map), sizes(y_map), "a copy changes no size");
    let y = &mut y[..y_map.len()];
    crate::executor::for_each_chunk(context.threads, y, y_map.image_stride(), |n, image| {
        y_map.clear_border(image);
        for row in 0..y_map.h {
            let (from, to, len) = (x_map.at(n, row, 0), y_map.at(0, row, 0), y_map.w * y_map.c);
            image[to..to + len].copy_from_slice(&x[from..from + len]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::testing::{border, contexts, inside, inside_of, random};

    #[test]
    fn matches_reference_both_ways() {
        for (i, (h, w, c)) in [(1, 1, 1), (5, 7, 3), (3, 40, 3), (9, 2, 19), (4, 33, 16), (2, 17, 5)].into_iter().enumerate() {
            let map = FeatureMap { n: 2, h, w, c, border: border(i) };
            let x = random(map, i as u64, 1.0);
            let expected = reference::to_planes(map, &inside_of(map, &x));
            for context in contexts() {
                let mut planes = vec![f32::NAN; expected.len()];
                to_planes(&context, map, &x, &mut planes);
                assert!(planes.iter().zip(&expected).all(|(&a, &b)| f64::from(a) == b), "{map:?}");
                let mut back = vec![f32::NAN; map.len()];
                from_planes(&context, &planes, map, &mut back);
                assert_eq!(inside(map, &back), inside_of(map, &x), "{map:?}");
            }
        }
    }
}
