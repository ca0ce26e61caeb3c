//! Upsampling of chroma: libjpeg's `jdsample.c`.

use super::plane::Plane;

/// Writes the row `y` of the image from a plane that has a sample for `across` x `down` pixels. `fancy` is libjpeg's name for a
/// triangle filter; otherwise samples are repeated.
#[inline(always)]
pub(super) fn row(plane: &Plane, y: usize, (across, down): (usize, usize), fancy: bool, sums: &mut [u16], out: &mut [u8]) {
    let width = plane.width();
    let near = &plane.nearest_row((y / down) as isize)[..width];
    // The rows above and below are the second nearest of an even and an odd row.
    let is_lower = y % 2 == 1;
    let far = &plane.nearest_row((y / down) as isize + if is_lower { 1 } else { -1 })[..width];
    match (across, down) {
        (1, 1) => out[..width].copy_from_slice(near),
        (1, _) if fancy => {
            let bias = if is_lower { 2 } else { 1 };
            for ((out, &near), &far) in out.iter_mut().zip(near).zip(far) {
                *out = ((3 * u16::from(near) + u16::from(far) + bias) >> 2) as u8;
            }
        }
        (1, _) => out[..width].copy_from_slice(near),
        (_, 1) if fancy && width > 2 => {
            for (sum, &near) in sums[1..=width].iter_mut().zip(near) {
                *sum = near.into();
            }
            doubled::<1, 2, 2>(width, sums, out);
        }
        (_, _) if fancy && width > 2 => {
            for ((sum, &near), &far) in sums[1..=width].iter_mut().zip(near).zip(far) {
                *sum = 3 * u16::from(near) + u16::from(far);
            }
            doubled::<8, 7, 4>(width, sums, out);
        }
        _ => {
            for (out, &near) in out.chunks_exact_mut(2).zip(near) {
                out.fill(near);
            }
        }
    }
}

/// Two pixels for each of the sums from 1 to `width`: three parts of it and one of its neighbour.
#[inline(always)]
fn doubled<const LEFT: u16, const RIGHT: u16, const SHIFT: u32>(width: usize, sums: &mut [u16], out: &mut [u8]) {
    sums[0] = sums[1];
    sums[width + 1] = sums[width];
    let (left, middle, right) = (&sums[..width], &sums[1..=width], &sums[2..width + 2]);
    for (((out, left), middle), right) in out[..2 * width].chunks_exact_mut(2).zip(left).zip(middle).zip(right) {
        out[0] = ((3 * middle + left + LEFT) >> SHIFT) as u8;
        out[1] = ((3 * middle + right + RIGHT) >> SHIFT) as u8;
    }
}
