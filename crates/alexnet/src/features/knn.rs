//! Nearest neighbours in feature space, as in figure 4 (right) of the paper for fc7.

use super::Table;
use crate::{Error, Result};
use rayon::prelude::*;

/// A row of a table and its distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Index of the row.
    pub row: usize,
    /// Euclidean distance of the features.
    pub distance: f64,
}

/// Finds the `count` rows nearest to `features`, nearest first; equal ones in row order.
///
/// # Errors
/// The number of features differs from the table's.
pub fn nearest(table: &Table, features: &[f32], count: usize) -> Result<Vec<Near>> {
    let width = table.about.width();
    if features.len() != width {
        return Err(Error::Invalid(format!("got {} features, but the index has {width}", features.len())));
    }
    let far = |(row, other): (usize, &[f32])| Near { row, distance: squared(features, other).sqrt() };
    let mut all: Vec<Near> = table.rows.par_chunks_exact(width).enumerate().map(far).collect();
    let order = |a: &Near, b: &Near| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row));
    if count < all.len() {
        all.select_nth_unstable_by(count, order);
        all.truncate(count);
    }
    all.sort_by(order);
    Ok(all)
}

/// Squared distance. 16 parallel sums stay in registers, over blocks short enough for single precision.
fn squared(a: &[f32], b: &[f32]) -> f64 {
    const BLOCK: usize = 1024;
    let block = |(a, b): (&[f32], &[f32])| {
        let mut sums = [0.0f32; 16];
        let (a, rest_a) = a.as_chunks::<16>();
        let (b, rest_b) = b.as_chunks::<16>();
        for (a, b) in a.iter().zip(b) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += (a - b) * (a - b);
            }
        }
        let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| (a - b) * (a - b)).sum();
        f64::from(sums.iter().sum::<f32>() + rest)
    };
    a.chunks(BLOCK).zip(b.chunks(BLOCK)).map(block).sum()
}
