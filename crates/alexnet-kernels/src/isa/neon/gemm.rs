//! NEON microkernels.
//!
//! Other sets broadcast each word of `a` to a register. NEON multiplies by one word of a register, so that four words take one
//! load: four terms of a row, or one term of four rows. 6 rows of 4 registers are 24 sums, with 6 registers for the rows and 2
//! for lanes.

use std::arch::aarch64::*;
use std::arch::asm;
use std::marker::PhantomData;

use super::products::{Bf16Halves, Bf16Pairs, BytesMixed, BytesSigned, BytesWidened, Floats, Product};
use crate::gemm::microkernel::{self, Run, Terms};
use crate::gemm::{Family, Kernels, Raw, by_few_rows};
use crate::weight_layout::PANEL;

/// Words of a register.
const WORDS: usize = 4;

/// Terms by a product with one word.
struct ByWord<P>(PhantomData<P>);

impl<P: Product> Terms<float32x4_t> for ByWord<P> {
    const FLOATS: bool = P::FLOATS;
    const BLOCK: usize = P::BLOCK;
    const OWN_LOOP: bool = true;

    #[inline(always)]
    unsafe fn dot(a: float32x4_t, b: float32x4_t, sum: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions.
        unsafe { P::dot::<0>(P::words(a), P::lanes(b), sum) }
    }

    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions.
        unsafe { P::add(a, b) }
    }

    #[inline(always)]
    unsafe fn run<const ROWS: usize, const VECTORS: usize, const NEXT: bool>(
        run: Run,
        sums: [[float32x4_t; VECTORS]; ROWS],
    ) -> [[float32x4_t; VECTORS]; ROWS] {
        // SAFETY: the trait's conditions; without NEXT, a row's words are adjacent.
        unsafe {
            let mut sums = if NEXT { next::<P, ROWS, VECTORS>(run, sums) } else { apart::<P, ROWS, VECTORS>(run, sums) };
            if P::IS_SHIFTED {
                let missing = missing::<P, VECTORS>(run);
                for sums in &mut sums {
                    for (sum, missing) in sums.iter_mut().zip(missing) {
                        *sum = P::add(*sum, missing);
                    }
                }
            }
            sums
        }
    }
}

/// A run of terms, of which a row's are adjacent: four terms of all rows at a time.
#[inline(always)]
unsafe fn apart<P: Product, const ROWS: usize, const VECTORS: usize>(
    run: Run,
    mut sums: [[float32x4_t; VECTORS]; ROWS],
) -> [[float32x4_t; VECTORS]; ROWS] {
    let Run { mut a, row, mut b, terms, .. } = run;
    // SAFETY: the caller's promise.
    unsafe {
        let zero = P::words(vdupq_n_f32(0.0));
        let mut rows = [0; ROWS];
        for (m, offset) in rows.iter_mut().enumerate() {
            *offset = opaque(m * row);
        }
        for _ in 0..terms / WORDS {
            let mut words = [zero; ROWS];
            for (words, row) in words.iter_mut().zip(rows) {
                *words = P::words(vreinterpretq_f32_u8(vld1q_u8(a.add(row))));
            }
            sums = term::<P, 0, ROWS, VECTORS>(b, words, sums);
            sums = term::<P, 1, ROWS, VECTORS>(b.add(PANEL), words, sums);
            sums = term::<P, 2, ROWS, VECTORS>(b.add(2 * PANEL), words, sums);
            sums = term::<P, 3, ROWS, VECTORS>(b.add(3 * PANEL), words, sums);
            a = a.wrapping_add(WORDS * size_of::<f32>());
            b = b.wrapping_add(WORDS * PANEL);
        }
        for _ in 0..terms % WORDS {
            let mut words = [zero; ROWS];
            for (words, row) in words.iter_mut().zip(rows) {
                *words = P::words(vdupq_n_f32(a.add(row).cast::<f32>().read_unaligned()));
            }
            sums = term::<P, 0, ROWS, VECTORS>(b, words, sums);
            a = a.wrapping_add(size_of::<f32>());
            b = b.wrapping_add(PANEL);
        }
    }
    sums
}

/// The same offset. The compiler, which does not know that, keeps the rows' offsets in registers, where otherwise it would add
/// one row to another's address in every round of the loop.
#[inline(always)]
fn opaque(mut offset: usize) -> usize {
    // SAFETY: no instruction.
    unsafe { asm!("/* {0} */", inout(reg) offset, options(pure, nomem, nostack, preserves_flags)) };
    offset
}

/// Adds a term, of which each row's word is number I of a register.
#[inline(always)]
unsafe fn term<P: Product, const I: i32, const ROWS: usize, const VECTORS: usize>(
    b: *const f32,
    words: [P::Words; ROWS],
    mut sums: [[float32x4_t; VECTORS]; ROWS],
) -> [[float32x4_t; VECTORS]; ROWS] {
    for v in 0..VECTORS {
        // SAFETY: the caller's promise.
        unsafe {
            let lanes = P::lanes(vld1q_f32(b.add(v * WORDS)));
            for m in 0..ROWS {
                sums[m][v] = P::dot::<I>(words[m], lanes, sums[m][v]);
            }
        }
    }
    sums
}

/// A run of terms, each with the words of all rows adjacent.
#[inline(always)]
unsafe fn next<P: Product, const ROWS: usize, const VECTORS: usize>(
    run: Run,
    mut sums: [[float32x4_t; VECTORS]; ROWS],
) -> [[float32x4_t; VECTORS]; ROWS] {
    let Run { mut a, step, mut b, terms, .. } = run;
    // SAFETY: the caller's promise.
    unsafe {
        for _ in 0..terms / WORDS {
            sums = next_term::<P, ROWS, VECTORS>(a, b, sums);
            sums = next_term::<P, ROWS, VECTORS>(a.add(step), b.add(PANEL), sums);
            sums = next_term::<P, ROWS, VECTORS>(a.add(2 * step), b.add(2 * PANEL), sums);
            sums = next_term::<P, ROWS, VECTORS>(a.add(3 * step), b.add(3 * PANEL), sums);
            a = a.wrapping_add(WORDS * step);
            b = b.wrapping_add(WORDS * PANEL);
        }
        for _ in 0..terms % WORDS {
            sums = next_term::<P, ROWS, VECTORS>(a, b, sums);
            a = a.wrapping_add(step);
            b = b.wrapping_add(PANEL);
        }
    }
    sums
}

/// Adds a term, of which the rows' words are adjacent.
#[inline(always)]
unsafe fn next_term<P: Product, const ROWS: usize, const VECTORS: usize>(
    a: *const u8,
    b: *const f32,
    mut sums: [[float32x4_t; VECTORS]; ROWS],
) -> [[float32x4_t; VECTORS]; ROWS] {
    // SAFETY: the caller's promise.
    unsafe {
        let words = adjacent::<ROWS>(a);
        let words = [P::words(words[0]), P::words(words[1]), P::words(words[2])];
        for v in 0..VECTORS {
            let lanes = P::lanes(vld1q_f32(b.add(v * WORDS)));
            for m in 0..ROWS {
                let (words, sum) = (words[m / 2], sums[m][v]);
                sums[m][v] = if m % 2 == 0 { P::dot::<0>(words, lanes, sum) } else { P::dot::<1>(words, lanes, sum) };
            }
        }
    }
    sums
}

/// Up to six adjacent words, two in each register. An instruction loads up to three registers' halves.
#[inline(always)]
unsafe fn adjacent<const ROWS: usize>(a: *const u8) -> [float32x4_t; 3] {
    // SAFETY: the caller's promise; these are the words of rows that exist. Loads of bytes need no alignment.
    unsafe {
        let none = vdup_n_u8(0);
        let one = |a: *const u8| vreinterpret_u8_u32(vdup_n_u32(a.cast::<u32>().read_unaligned()));
        let halves = match ROWS {
            1 => [one(a), none, none],
            2 => [vld1_u8(a), none, none],
            3 => [vld1_u8(a), one(a.add(8)), none],
            4 | 5 => {
                let uint8x8x2_t(first, second) = vld1_u8_x2(a);
                [first, second, if ROWS == 5 { one(a.add(16)) } else { none }]
            }
            6 => {
                let uint8x8x3_t(first, second, third) = vld1_u8_x3(a);
                [first, second, third]
            }
            _ => unreachable!("{ROWS} rows in a tile"),
        };
        let mut words = [vdupq_n_f32(0.0); 3];
        for (words, half) in words.iter_mut().zip(halves) {
            *words = vreinterpretq_f32_u8(vcombine_u8(half, none));
        }
        words
    }
}

/// 128 times the sums of a run's `b`.
#[inline(always)]
unsafe fn missing<P: Product, const VECTORS: usize>(run: Run) -> [float32x4_t; VECTORS] {
    let Run { mut b, terms, .. } = run;
    // SAFETY: the caller's promise.
    unsafe {
        let ones = P::words(vreinterpretq_f32_u8(vdupq_n_u8(129)));
        let mut sums = [vdupq_n_f32(0.0); VECTORS];
        for _ in 0..terms {
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = P::dot::<0>(ones, P::lanes(vld1q_f32(b.add(v * WORDS))), *sum);
            }
            b = b.wrapping_add(PANEL);
        }
        for sum in &mut sums {
            *sum = vreinterpretq_f32_s32(vshlq_n_s32::<7>(vreinterpretq_s32_f32(*sum)));
        }
        sums
    }
}

/// Kernels that need only NEON.
struct Plain<T, const VECTORS: usize, const NEXT: bool>(T);

impl<T: Terms<float32x4_t>, const VECTORS: usize, const NEXT: bool> Family for Plain<T, VECTORS, NEXT> {
    #[target_feature(enable = "neon")]
    unsafe fn run<const ROWS: usize>(t: &Raw) {
        // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
        unsafe { microkernel::tile::<float32x4_t, T, ROWS, VECTORS, NEXT>(t) }
    }
}

/// Kernels with `sdot`.
struct WithDotprod<const NEXT: bool>;

impl<const NEXT: bool> Family for WithDotprod<NEXT> {
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn run<const ROWS: usize>(t: &Raw) {
        // SAFETY: as above.
        unsafe { microkernel::tile::<float32x4_t, ByWord<BytesSigned>, ROWS, 4, NEXT>(t) }
    }
}

/// Kernels with `sudot`.
struct WithI8mm<const NEXT: bool>;

impl<const NEXT: bool> Family for WithI8mm<NEXT> {
    #[target_feature(enable = "neon,i8mm")]
    unsafe fn run<const ROWS: usize>(t: &Raw) {
        // SAFETY: as above.
        unsafe { microkernel::tile::<float32x4_t, ByWord<BytesMixed>, ROWS, 4, NEXT>(t) }
    }
}

/// Kernels with `bfdot`.
struct WithBf16<const NEXT: bool>;

impl<const NEXT: bool> Family for WithBf16<NEXT> {
    #[target_feature(enable = "neon,bf16")]
    unsafe fn run<const ROWS: usize>(t: &Raw) {
        // SAFETY: as above.
        unsafe { microkernel::tile::<float32x4_t, ByWord<Bf16Pairs>, ROWS, 4, NEXT>(t) }
    }
}

fn table<Apart: Family, Next: Family>(rows: usize, vectors: usize) -> Kernels {
    Kernels { apart: by_few_rows::<Apart>, next: by_few_rows::<Next>, lanes: WORDS * vectors, rows }
}

fn plain<T: Terms<float32x4_t>, const VECTORS: usize>() -> Kernels {
    table::<Plain<T, VECTORS, false>, Plain<T, VECTORS, true>>(6, VECTORS)
}

pub(super) fn floats(_: usize) -> Kernels {
    plain::<ByWord<Floats>, 4>()
}

pub(super) fn bf16(_: usize) -> Kernels {
    table::<WithBf16<false>, WithBf16<true>>(6, 4)
}

/// A row's words take two registers, which leaves room for two of lanes.
pub(super) fn bf16_widened(_: usize) -> Kernels {
    plain::<ByWord<Bf16Halves>, 2>()
}

pub(super) fn bytes_i8mm(_: usize) -> Kernels {
    table::<WithI8mm<false>, WithI8mm<true>>(6, 4)
}

/// With a register for the constant that is subtracted, 6 rows would be too many.
pub(super) fn bytes_dotprod(_: usize) -> Kernels {
    table::<WithDotprod<false>, WithDotprod<true>>(5, 4)
}

pub(super) fn bytes_widened(_: usize) -> Kernels {
    plain::<BytesWidened, 2>()
}
