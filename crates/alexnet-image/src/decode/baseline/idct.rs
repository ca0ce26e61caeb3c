//! Inverse transforms of sixteen blocks at a time, a lane for each: the integer arithmetic of libjpeg's `jidctint.c` and
//! `jidctred.c`.
//!
//! Without a block that no encoder writes (see [`MOST`]) no sum leaves 32 bits and no sample the range that libjpeg clamps, so that
//! every bit is libjpeg's.

use std::num::Wrapping;

use super::huffman::{Group, LANES};

/// A number whose intermediate sums may wrap around.
type Number = Wrapping<i32>;

/// Fractional bits of the constants, and of the values between both passes.
const CONST_BITS: u32 = 13;
const PASS1_BITS: u32 = 2;

/// The most that the absolute coefficients of a block add up to. Those of 8 x 8 bytes reach 8192; from here on sums could leave 32
/// bits.
const MOST: u16 = 12_000;

/// libjpeg clamps samples from -384 to 639, in these units, and wraps others around.
const LOWEST: i32 = -384;
const RANGE: u32 = 1024;

/// The place in zigzag order of each coefficient in natural order.
const PLACES: [usize; 64] = [
    0, 1, 5, 6, 14, 15, 27, 28, 2, 4, 7, 13, 16, 26, 29, 42, 3, 8, 12, 17, 25, 30, 41, 43, 9, 11, 18, 24, 31, 40, 44, 53, 10, 19,
    23, 32, 39, 45, 52, 54, 20, 22, 33, 38, 46, 51, 55, 60, 21, 34, 37, 47, 50, 56, 59, 61, 35, 36, 48, 49, 57, 58, 62, 63,
];

#[inline(always)]
fn times(value: Number, constant: i32) -> Number {
    value * Wrapping(constant)
}

/// Dequantises a group and transforms it to blocks of `side` x `side` samples, written to `out` in rows that are `stride` apart.
/// `None` if libjpeg's arithmetic would wrap around.
#[inline(always)]
pub(super) fn group(group: &mut Group, quantiser: &[u16; 64], side: usize, out: &mut [u8], stride: usize) -> Option<()> {
    let Group { coefficients, end } = group;
    let (mut sums, mut excess) = ([0u16; LANES], [0u16; LANES]);
    for (lanes, &factor) in coefficients.chunks_exact_mut(LANES).zip(quantiser).take(*end) {
        for lane in 0..LANES {
            let size = lanes[lane].unsigned_abs();
            excess[lane] |= ((u32::from(size) * u32::from(factor)) >> 16) as u16;
            sums[lane] = sums[lane].saturating_add(size.wrapping_mul(factor));
            lanes[lane] = lanes[lane].wrapping_mul(factor as i16);
        }
    }
    if excess.iter().any(|&excess| excess > 0) || sums.iter().any(|&sum| sum > MOST) {
        return None;
    }
    // The first ten coefficients in zigzag order are in the first four rows and columns, and so on.
    let strange = match (side, *end) {
        (8, 0..=3) => full::<2>(coefficients, out, stride),
        (8, ..=10) => full::<4>(coefficients, out, stride),
        (8, ..=21) => full::<6>(coefficients, out, stride),
        (8, _) => full::<8>(coefficients, out, stride),
        (4, _) => half(coefficients, out, stride),
        (2, _) => quarter(coefficients, out, stride),
        _ => eighth(coefficients, out),
    };
    (strange < RANGE).then_some(())
}

/// The lanes of a coefficient.
#[inline(always)]
fn lanes(coefficients: &[i16; 64 * LANES], row: usize, column: usize) -> &[i16; LANES] {
    coefficients[PLACES[row * 8 + column] * LANES..].first_chunk().expect("a coefficient's lanes")
}

/// A byte from a sample, whose distance from the lowest is added to `strange`.
#[inline(always)]
fn byte(sample: Number, strange: &mut u32) -> u32 {
    *strange |= (sample.0 - LOWEST) as u32;
    sample.0.clamp(0, 255) as u32
}

/// Eight samples along an axis, of which the coefficients from `N` on are zero, before scaling down by `CONST_BITS`; `bias` is
/// added to each.
#[inline(always)]
fn line<const N: usize>(at: impl Fn(usize) -> Number, bias: i32) -> [Number; 8] {
    let at = |i: usize| if i < N { at(i) } else { Wrapping(0) };
    let (z2, z3) = (at(2), at(6));
    let z1 = times(z2 + z3, 4433);
    let tmp2 = z1 + times(z3, -15137);
    let tmp3 = z1 + times(z2, 6270);
    let tmp0 = ((at(0) + at(4)) << CONST_BITS as usize) + Wrapping(bias);
    let tmp1 = ((at(0) - at(4)) << CONST_BITS as usize) + Wrapping(bias);
    let (tmp10, tmp13, tmp11, tmp12) = (tmp0 + tmp3, tmp0 - tmp3, tmp1 + tmp2, tmp1 - tmp2);

    let (tmp0, tmp1, tmp2, tmp3) = (at(7), at(5), at(3), at(1));
    let (z1, z2, z3, z4) = (tmp0 + tmp3, tmp1 + tmp2, tmp0 + tmp2, tmp1 + tmp3);
    let z5 = times(z3 + z4, 9633);
    let (z1, z2, z3, z4) = (times(z1, -7373), times(z2, -20995), times(z3, -16069) + z5, times(z4, -3196) + z5);
    let tmp0 = times(tmp0, 2446) + z1 + z3;
    let tmp1 = times(tmp1, 16819) + z2 + z4;
    let tmp2 = times(tmp2, 25172) + z2 + z3;
    let tmp3 = times(tmp3, 12299) + z1 + z4;
    [tmp10 + tmp3, tmp11 + tmp2, tmp12 + tmp1, tmp13 + tmp0, tmp13 - tmp0, tmp12 - tmp1, tmp11 - tmp2, tmp10 - tmp3]
}

/// `jpeg_idct_islow`, where the coefficients from row and column `N` on are zero. Returns which bits the samples have above the
/// lowest.
#[inline(always)]
fn full<const N: usize>(coefficients: &[i16; 64 * LANES], out: &mut [u8], stride: usize) -> u32 {
    const DOWN: u32 = CONST_BITS - PASS1_BITS;
    let mut between = [[Wrapping(0i32); LANES]; 64];
    for column in 0..N {
        let rows: [&[i16; LANES]; 8] = std::array::from_fn(|row| lanes(coefficients, row, column));
        for lane in 0..LANES {
            let values = line::<N>(|row| Wrapping(i32::from(rows[row][lane])), 1 << (DOWN - 1));
            for (row, value) in values.into_iter().enumerate() {
                between[row * 8 + column][lane] = value >> DOWN as usize;
            }
        }
    }
    // To samples around 128, rounded.
    const LAST: u32 = CONST_BITS + PASS1_BITS + 3;
    const BIAS: i32 = (128 << LAST) + (1 << (LAST - 1));
    let mut strange = [0u32; LANES];
    for (row, between) in between.chunks_exact(8).enumerate() {
        let mut words = [[0u32; 2]; LANES];
        for lane in 0..LANES {
            let values = line::<N>(|column| between[column][lane], BIAS);
            let b = values.map(|value| byte(value >> LAST as usize, &mut strange[lane]));
            words[lane] = [b[0] | b[1] << 8 | b[2] << 16 | b[3] << 24, b[4] | b[5] << 8 | b[6] << 16 | b[7] << 24];
        }
        let out = &mut out[row * stride..][..8 * LANES];
        for (out, words) in out.chunks_exact_mut(8).zip(words) {
            out[..4].copy_from_slice(&words[0].to_le_bytes());
            out[4..].copy_from_slice(&words[1].to_le_bytes());
        }
    }
    strange.into_iter().fold(0, |all, one| all | one)
}

/// Four samples along an axis, before scaling down by `CONST_BITS + 1`.
#[inline(always)]
fn line_of_four(at: impl Fn(usize) -> Number, bias: i32) -> [Number; 4] {
    let tmp0 = (at(0) << (CONST_BITS + 1) as usize) + Wrapping(bias);
    let tmp2 = times(at(2), 15137) + times(at(6), -6270);
    let (tmp10, tmp12) = (tmp0 + tmp2, tmp0 - tmp2);
    let (z1, z2, z3, z4) = (at(7), at(5), at(3), at(1));
    let tmp0 = times(z1, -1730) + times(z2, 11893) + times(z3, -17799) + times(z4, 8697);
    let tmp2 = times(z1, -4176) + times(z2, -4926) + times(z3, 7373) + times(z4, 20995);
    [tmp10 + tmp2, tmp12 + tmp0, tmp12 - tmp0, tmp10 - tmp2]
}

/// `jpeg_idct_4x4`.
#[inline(always)]
fn half(coefficients: &[i16; 64 * LANES], out: &mut [u8], stride: usize) -> u32 {
    const DOWN: u32 = CONST_BITS - PASS1_BITS + 1;
    let mut between = [[Wrapping(0i32); LANES]; 32];
    for column in [0, 1, 2, 3, 5, 6, 7] {
        let rows: [&[i16; LANES]; 8] = std::array::from_fn(|row| lanes(coefficients, row, column));
        for lane in 0..LANES {
            let values = line_of_four(|row| Wrapping(i32::from(rows[row][lane])), 1 << (DOWN - 1));
            for (row, value) in values.into_iter().enumerate() {
                between[row * 8 + column][lane] = value >> DOWN as usize;
            }
        }
    }
    const LAST: u32 = CONST_BITS + PASS1_BITS + 3 + 1;
    const BIAS: i32 = (128 << LAST) + (1 << (LAST - 1));
    let mut strange = [0u32; LANES];
    for (row, between) in between.chunks_exact(8).enumerate() {
        let mut words = [0u32; LANES];
        for lane in 0..LANES {
            let values = line_of_four(|column| between[column][lane], BIAS);
            let b = values.map(|value| byte(value >> LAST as usize, &mut strange[lane]));
            words[lane] = b[0] | b[1] << 8 | b[2] << 16 | b[3] << 24;
        }
        let out = &mut out[row * stride..][..4 * LANES];
        for (out, word) in out.chunks_exact_mut(4).zip(words) {
            out.copy_from_slice(&word.to_le_bytes());
        }
    }
    strange.into_iter().fold(0, |all, one| all | one)
}

/// Two samples along an axis, before scaling down by `CONST_BITS + 2`.
#[inline(always)]
fn line_of_two(at: impl Fn(usize) -> Number, bias: i32) -> [Number; 2] {
    let even = (at(0) << (CONST_BITS + 2) as usize) + Wrapping(bias);
    let odd = times(at(7), -5906) + times(at(5), 6967) + times(at(3), -10426) + times(at(1), 29692);
    [even + odd, even - odd]
}

/// `jpeg_idct_2x2`.
#[inline(always)]
fn quarter(coefficients: &[i16; 64 * LANES], out: &mut [u8], stride: usize) -> u32 {
    const DOWN: u32 = CONST_BITS - PASS1_BITS + 2;
    let mut between = [[Wrapping(0i32); LANES]; 16];
    for column in [0, 1, 3, 5, 7] {
        let rows: [&[i16; LANES]; 8] = std::array::from_fn(|row| lanes(coefficients, row, column));
        for lane in 0..LANES {
            let values = line_of_two(|row| Wrapping(i32::from(rows[row][lane])), 1 << (DOWN - 1));
            for (row, value) in values.into_iter().enumerate() {
                between[row * 8 + column][lane] = value >> DOWN as usize;
            }
        }
    }
    const LAST: u32 = CONST_BITS + PASS1_BITS + 3 + 2;
    const BIAS: i32 = (128 << LAST) + (1 << (LAST - 1));
    let mut strange = [0u32; LANES];
    for (row, between) in between.chunks_exact(8).enumerate() {
        let mut words = [0u16; LANES];
        for lane in 0..LANES {
            let values = line_of_two(|column| between[column][lane], BIAS);
            let b = values.map(|value| byte(value >> LAST as usize, &mut strange[lane]));
            words[lane] = (b[0] | b[1] << 8) as u16;
        }
        let out = &mut out[row * stride..][..2 * LANES];
        for (out, word) in out.chunks_exact_mut(2).zip(words) {
            out.copy_from_slice(&word.to_le_bytes());
        }
    }
    strange.into_iter().fold(0, |all, one| all | one)
}

/// `jpeg_idct_1x1`.
#[inline(always)]
fn eighth(coefficients: &[i16; 64 * LANES], out: &mut [u8]) -> u32 {
    let mut strange = [0u32; LANES];
    let direct = lanes(coefficients, 0, 0);
    for lane in 0..LANES {
        out[lane] = byte(Wrapping((i32::from(direct[lane]) + (128 << 3) + 4) >> 3), &mut strange[lane]) as u8;
    }
    strange.into_iter().fold(0, |all, one| all | one)
}
