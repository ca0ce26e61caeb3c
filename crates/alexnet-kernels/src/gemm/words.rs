//! Packing of floats into the 32-bit words of tiles.

use super::Float;
use crate::context::Context;
use crate::weight_layout::PANEL;

/// Packs lines of 32 lanes into words: unchanged, or two lines into one if a word holds two values. The last word is padded with
/// zeros.
pub(crate) fn pack_words<E: Float>(context: &Context<'_>, lines: &[f32], words: &mut [u32]) {
    assert_eq!(words.len(), (lines.len() / PANEL).div_ceil(E::WORD) * PANEL, "words of {} lines", lines.len() / PANEL);
    context.isa.vectorize(
        #[inline(always)]
        || {
            for (words, lines) in words.chunks_exact_mut(PANEL).zip(lines.chunks(E::WORD * PANEL)) {
                if lines.len() == E::WORD * PANEL {
                    for (lane, word) in words.iter_mut().enumerate() {
                        *word = E::word(|i| lines[i * PANEL + lane]);
                    }
                } else {
                    for (lane, word) in words.iter_mut().enumerate() {
                        *word = E::word(|i| lines.get(i * PANEL + lane).copied().unwrap_or(0.0));
                    }
                }
            }
        },
    );
}
