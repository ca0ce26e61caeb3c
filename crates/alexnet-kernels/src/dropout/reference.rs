//! Reference dropout by definition.

use super::Shape;
use crate::random::Key;

/// See [`apply`](super::apply).
pub fn apply(shape: &Shape, key: Key, first_image: u64, x: &mut [f32]) {
    for j in 0..shape.n {
        for i in 0..shape.features {
            let kept = key.with(first_image + j as u64).uniform(i as u64) >= shape.rate;
            let x = &mut x[j * shape.features + i];
            *x = if kept { *x * shape.scale } else { 0.0 };
        }
    }
}
