//! Rotation of hues.

use super::canvas::{Canvas, Rgb, floored, levels};

impl Canvas {
    /// Shifts all hues by `shift` of a full turn, -0.5 to 0.5: `adjust_hue`, by way of hue, saturation and value.
    pub fn hue(&mut self, shift: f32) {
        self.map(
            #[inline(always)]
            |p| shifted(levels(p), shift),
        );
    }
}

/// The pixel of a colour whose hue is shifted. Without branches, so that it vectorises.
#[inline(always)]
fn shifted([red, green, blue]: Rgb, shift: f32) -> u32 {
    let most = red.max(green).max(blue);
    let least = red.min(green).min(blue);
    let range = most - least;
    let divisor = if range == 0.0 { 1.0 } else { range };
    let saturation = range / if most == 0.0 { 1.0 } else { most };
    // Sextants from red.
    let of_blue = 4.0 + (red - green) / divisor;
    let of_green = 2.0 + (blue - red) / divisor;
    let of_red = (green - blue) / divisor;
    let sextant = if most == red { of_red } else { if most == green { of_green } else { of_blue } };
    let turn = sextant * (1.0 / 6.0) + 1.0 + shift;
    let sextant = (turn - floored(turn).0) * 6.0;
    // torchvision scales levels to 0 to 1 and back by 255.999, rounding down.
    let value = most * (255.999 / 255.0);
    let level = |offset: f32| {
        let place = sextant + offset;
        let place = if place >= 6.0 { place - 6.0 } else { place };
        let part = place.min(4.0 - place).clamp(0.0, 1.0);
        floored((value - value * saturation * part).max(0.0)).1 as u32
    };
    level(5.0) | level(3.0) << 8 | level(1.0) << 16
}
