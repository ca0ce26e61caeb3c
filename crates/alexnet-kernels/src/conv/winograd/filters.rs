//! Winograd transforms of weights and of their gradients.

use std::marker::PhantomData;

use super::transform;
use crate::gemm::Float;
use crate::simd::{Vector, Vectorized};
use crate::weight_layout::PANEL;

/// Maximum number of values in a word.
pub(super) const MOST_WORD: usize = 2;

/// G g G^T of a panel, from [R][S][C][32] to [P P][words of C][32].
pub(super) struct WeightsTransform<'a, E, const P: usize, const R: usize> {
    pub(super) c: usize,
    pub(super) w: &'a [f32],
    pub(super) u: &'a mut [u32],
    pub(super) element: PhantomData<E>,
}

impl<E: Float, const P: usize, const R: usize> Vectorized for WeightsTransform<'_, E, P, R> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let (c, w, u) = (self.c, self.w.as_ptr(), self.u.as_mut_ptr());
        assert!(self.w.len() >= R * R * c * PANEL && self.u.len() * E::WORD >= P * P * c * PANEL);
        // SAFETY: within the lengths just checked.
        unsafe {
            let mut values = [[[V::splat(0.0); P]; P]; MOST_WORD];
            for word in 0..c / E::WORD {
                for lane in (0..PANEL).step_by(V::WIDTH) {
                    for (within, values) in values.iter_mut().enumerate().take(E::WORD) {
                        let channel = word * E::WORD + within;
                        let mut columns = [[V::splat(0.0); R]; P];
                        for s in 0..R {
                            let g = |r| V::load(w.add(((r * R + s) * c + channel) * PANEL + lane));
                            transform::filter::<V, P, R>(
                                g,
                                #[inline(always)]
                                |i, value| columns[i][s] = value,
                            );
                        }
                        for i in 0..P {
                            transform::filter::<V, P, R>(
                                #[inline(always)]
                                |s| columns[i][s],
                                #[inline(always)]
                                |j, value| values[i][j] = value,
                            );
                        }
                    }
                    for i in 0..P {
                        for j in 0..P {
                            let words = E::words(values[0][i][j], values[E::WORD - 1][i][j]);
                            words.store(u.add(((i * P + j) * c / E::WORD + word) * PANEL + lane).cast());
                        }
                    }
                }
            }
        }
    }
}

/// G^T u G of a panel, from [P P][C][32] to [R][S][C][32].
pub(super) struct WeightsBack<'a, const P: usize, const R: usize> {
    pub(super) c: usize,
    pub(super) u: &'a [f32],
    pub(super) dw: &'a mut [f32],
}

impl<const P: usize, const R: usize> Vectorized for WeightsBack<'_, P, R> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let (c, u, dw) = (self.c, self.u.as_ptr(), self.dw.as_mut_ptr());
        assert!(self.u.len() >= P * P * c * PANEL && self.dw.len() >= R * R * c * PANEL);
        for at in (0..c * PANEL).step_by(V::WIDTH) {
            // SAFETY: within the lengths just checked.
            unsafe {
                let mut columns = [[V::splat(0.0); P]; R];
                for j in 0..P {
                    let product = |i| V::load(u.add((i * P + j) * c * PANEL + at));
                    transform::filter_gradient::<V, P, R>(
                        product,
                        #[inline(always)]
                        |r, value| columns[r][j] = value,
                    );
                }
                for r in 0..R {
                    let put = |s, value: V| value.store(dw.add((r * R + s) * c * PANEL + at));
                    transform::filter_gradient::<V, P, R>(
                        #[inline(always)]
                        |j| columns[r][j],
                        put,
                    );
                }
            }
        }
    }
}
