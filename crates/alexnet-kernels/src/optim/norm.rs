//! Euclidean norms of parameters and gradients, for LARS and for gradient clipping.

use super::CHUNK;
use crate::context::Context;
use crate::executor::for_each_chunk;

/// The Euclidean norm of `values`, whose squares are added up in f64 and at places that do not depend on threads.
pub fn norm(context: &Context<'_>, values: &[f32]) -> f64 {
    /// Sums side by side: two AVX-512 registers of f64.
    const LANES: usize = 16;
    let mut sums = vec![0.0f64; values.len().div_ceil(CHUNK)];
    for_each_chunk(context.threads, &mut sums, 1, |i, sum| {
        let values = &values[i * CHUNK..values.len().min((i + 1) * CHUNK)];
        let mut lanes = [0.0f64; LANES];
        context.isa.vectorize(
            #[inline(always)]
            || {
                let (whole, rest) = values.as_chunks::<LANES>();
                for values in whole {
                    for (lane, &value) in lanes.iter_mut().zip(values) {
                        *lane += f64::from(value) * f64::from(value);
                    }
                }
                for (lane, &value) in lanes.iter_mut().zip(rest) {
                    *lane += f64::from(value) * f64::from(value);
                }
            },
        );
        sum[0] = lanes.iter().sum();
    });
    sums.iter().sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::random::Key;

    #[test]
    fn norms_are_the_formulas_and_have_the_same_bits_on_any_threads() {
        for len in [0, 1, 15, 16, 33, CHUNK, CHUNK + 7, 3 * CHUNK - 1] {
            let values: Vec<f32> = (0..len).map(|i| Key(4).normal(i as u64) * 1e3).collect();
            let expected = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            let found: Vec<f64> = crate::rows::testing::contexts().iter().map(|context| norm(context, &values)).collect();
            assert!(found.iter().all(|norm| (norm - expected).abs() <= 1e-12 * expected), "{len}: {found:?}, not {expected}");
            assert_eq!(found[found.len() - 2].to_bits(), found[found.len() - 1].to_bits(), "{len}: threads");
        }
        // Squares of these are beyond f32.
        assert_eq!(norm(&Context::serial(Isa::detect()), &[3e30, 4e30]) as f32, 5e30);
    }
}
