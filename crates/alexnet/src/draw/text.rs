//! Letters: a font that is built in (Ubuntu Light, from egui's crate of fonts), measured and drawn.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};

static FONT: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).expect("the font that is built in"));

/// The font is light; at 12 pixels its strokes are thinner than one and would be grey. This power of the covered share
/// darkens them.
const DARKER: f32 = 0.6;

/// The letters of a text with the place of each on the base line, then the width of all.
fn letters(text: &str, size: f32) -> (Vec<(GlyphId, f32)>, f32) {
    let font = FONT.as_scaled(PxScale::from(size));
    let (mut places, mut x, mut before) = (Vec::new(), 0.0, None);
    for letter in text.chars() {
        let id = font.glyph_id(if letter.is_control() { ' ' } else { letter });
        x += before.map_or(0.0, |before| font.kern(before, id));
        places.push((id, x));
        x += font.h_advance(id);
        before = Some(id);
    }
    (places, x)
}

/// Pixels that a line of text takes.
pub fn width(text: &str, size: f32) -> f32 {
    letters(text, size).1
}

/// The text itself where it fits into `width` pixels, or as much of it as does, with an ellipsis.
pub fn fit(text: &str, size: f32, width: f32) -> String {
    if self::width(text, size) <= width {
        return text.to_string();
    }
    // No letter is narrower than a hundredth of the size, so a name of a million letters costs no more than this.
    let mut kept: Vec<char> = text.chars().take((width / size * 100.0) as usize).collect();
    while kept.pop().is_some() {
        let short: String = kept.iter().collect::<String>().trim_end().to_string() + "…";
        if self::width(&short, size) <= width {
            return short;
        }
    }
    String::new()
}

/// Draws a line of text that begins at `x` on base line `y`; `put` hears of each pixel (column, row) and how much of it is
/// covered, 0 to 1.
pub(super) fn draw(text: &str, size: f32, x: f32, y: f32, mut put: impl FnMut(i64, i64, f32)) {
    for (id, along) in letters(text, size).0 {
        let Some(outline) = FONT.outline_glyph(id.with_scale_and_position(PxScale::from(size), point(x + along, y))) else {
            continue;
        };
        let corner = outline.px_bounds().min;
        outline.draw(|column, row, share| {
            if share > 0.0 {
                put(corner.x as i64 + i64::from(column), corner.y as i64 + i64::from(row), share.min(1.0).powf(DARKER));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_fit_and_no_further() {
        let long = "a pullover that nobody will ever wear";
        let cut = fit(long, 13.0, 100.0);
        assert!(cut.ends_with('…') && width(&cut, 13.0) <= 100.0, "{cut}");
        let kept = cut.trim_end_matches('…').chars().count();
        let one_more: String = long.chars().take(kept + 2).collect::<String>() + "…";
        assert!(width(&one_more, 13.0) > 100.0, "{cut} could be longer");
        assert_eq!(fit("hat", 13.0, 100.0), "hat");
        assert_eq!(fit("hat", 13.0, 1.0), "");
        assert!(fit(&"i".repeat(1_000_000), 13.0, 50.0).chars().count() < 50);
    }

    #[test]
    fn letters_of_many_languages_are_known() {
        let unknown = FONT.glyph_id('\u{10FFFF}');
        for letter in "aZ09%éßñЖяΩ–…".chars() {
            assert_ne!(FONT.glyph_id(letter), unknown, "{letter}");
        }
    }
}
