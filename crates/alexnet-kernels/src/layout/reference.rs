//! Reference conversion, index by index.

use crate::feature_map::FeatureMap;

/// [N, C, H, W] from plain [N, H, W, C]. See [`to_planes`](super::to_planes).
pub fn to_planes(map: FeatureMap, x: &[f64]) -> Vec<f64> {
    let mut planes = Vec::with_capacity(x.len());
    for n in 0..map.n {
        for c in 0..map.c {
            for h in 0..map.h {
                for w in 0..map.w {
                    planes.push(x[((n * map.h + h) * map.w + w) * map.c + c]);
                }
            }
        }
    }
    planes
}
