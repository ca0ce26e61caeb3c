//! Conversion of YCbCr to RGB: libjpeg's `jdcolor.c`.

/// Fractional bits of the constants.
const BITS: u32 = 16;
const HALF: i32 = 1 << (BITS - 1);

/// Pixels that are converted together.
pub(super) const BLOCK: usize = 64;

/// Red, green and blue of a row of pixels. The components have a multiple of [`BLOCK`] values, and `rgb` room for as many pixels.
#[inline(always)]
pub(super) fn ycc(luma: &[u8], blue: &[u8], red: &[u8], rgb: &mut [u8]) {
    let parts = luma.chunks_exact(BLOCK).zip(blue.chunks_exact(BLOCK)).zip(red.chunks_exact(BLOCK));
    for (((luma, blue), red), rgb) in parts.zip(rgb.chunks_exact_mut(3 * BLOCK)) {
        let (mut r, mut g, mut b) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
        for i in 0..BLOCK {
            let (luma, blue, red) = (i32::from(luma[i]), i32::from(blue[i]) - 128, i32::from(red[i]) - 128);
            let byte = |value: i32| value.clamp(0, 255) as u8;
            r[i] = byte(luma + ((91_881 * red + HALF) >> BITS));
            g[i] = byte(luma + ((-22_554 * blue - 46_802 * red + HALF) >> BITS));
            b[i] = byte(luma + ((116_130 * blue + HALF) >> BITS));
        }
        for i in 0..BLOCK {
            rgb[3 * i] = r[i];
            rgb[3 * i + 1] = g[i];
            rgb[3 * i + 2] = b[i];
        }
    }
}

/// The grey value in all three channels.
#[inline(always)]
pub(super) fn grey(luma: &[u8], rgb: &mut [u8]) {
    for (pixel, &luma) in rgb.chunks_exact_mut(3).zip(luma) {
        pixel.fill(luma);
    }
}
