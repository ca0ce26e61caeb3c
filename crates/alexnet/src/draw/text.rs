//! Text layout and rasterisation with a built-in font (Ubuntu Light, from egui's font crate), system fonts for other characters,
//! and bracketed code points where no font has a character.

use super::font::{Font, Glyph};
use super::font_search::{FontSearch, VARIABLE};
use std::collections::{BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

static LETTERS: LazyLock<Mutex<Letters>> = LazyLock::new(|| Mutex::new(Letters::new(FontSearch::of_this_machine())));

/// Gamma of the coverage. The font is light: at 12 pixels its strokes are thinner than one pixel and would look grey.
const DARKER: f32 = 0.6;
/// Maximum number of fonts besides the built-in one, each of several megabytes.
const MOST_FONTS: usize = 8;
/// Maximum number of characters named in a note.
const NAMED: usize = 12;

/// Loaded fonts, and their character coverage.
struct Letters {
    /// The built-in font, followed by system fonts.
    fonts: Vec<Font>,
    /// Font index and glyph by character; `None` if no font has it.
    known: HashMap<char, Option<(usize, Glyph)>>,
    search: FontSearch,
    /// Characters drawn as code points and not reported yet.
    unreported: BTreeSet<char>,
    reported: bool,
}

/// A glyph and its position along the baseline.
struct Placed {
    font: usize,
    glyph: Glyph,
    x: f32,
}

impl Letters {
    fn new(search: FontSearch) -> Letters {
        let font = Font::new(epaint_default_fonts::UBUNTU_LIGHT).expect("the built-in font");
        Letters { fonts: vec![font], known: HashMap::new(), search, unreported: BTreeSet::new(), reported: false }
    }

    /// Finds fonts for the characters of a text. Missing ones are searched for together, so that one font serves them all if
    /// possible.
    fn learn(&mut self, text: &str) {
        let mut missing = BTreeSet::new();
        for letter in with_syllables(text).into_iter().filter(|letter| !invisible(*letter)) {
            if !self.known.contains_key(&letter) && !self.learn_from(0, letter) {
                missing.insert(letter);
            }
        }
        for font in 1..self.fonts.len() {
            missing.retain(|letter| !self.learn_from(font, *letter));
        }
        for _ in 0..MOST_FONTS {
            if missing.is_empty() || self.fonts.len() > MOST_FONTS {
                break;
            }
            let Some(bytes) = self.search.find(&missing) else { break };
            let Some(font) = Font::new(bytes) else { continue };
            self.fonts.push(font);
            missing.retain(|letter| !self.learn_from(self.fonts.len() - 1, *letter));
        }
        self.known.extend(missing.into_iter().map(|letter| (letter, None)));
    }

    fn learn_from(&mut self, font: usize, letter: char) -> bool {
        let glyph = self.fonts[font].glyph(letter);
        if let Some(glyph) = glyph {
            self.known.insert(letter, Some((font, glyph)));
        }
        glyph.is_some()
    }

    /// Pixels per em at a font size. The size is the height of the built-in font, from descender to ascender.
    fn em(&self, size: f32) -> f32 {
        size / self.fonts[0].height()
    }

    /// Glyphs of a text, its width, and its characters that no font has.
    fn place(&mut self, text: &str, size: f32) -> (Vec<Placed>, f32, BTreeSet<char>) {
        self.learn(text);
        let em = self.em(size);
        let (mut placed, mut x, mut unknown) = (Vec::new(), 0.0, BTreeSet::new());
        for letter in visual_order(text) {
            let letter = if letter.is_control() { ' ' } else { letter };
            if invisible(letter) {
                continue;
            }
            if let Some((font, glyph)) = self.known.get(&letter).copied().unwrap_or_else(|| self.blank(letter)) {
                placed.push(Placed { font, glyph, x });
                x += glyph.advance * em;
                continue;
            }
            unknown.insert(letter);
            // Like `[732B]`: unlike a box, it distinguishes characters.
            for letter in format!("[{:04X}]", letter as u32).chars() {
                if let Some(glyph) = self.fonts[0].glyph(letter) {
                    placed.push(Placed { font: 0, glyph, x });
                    x += glyph.advance * em;
                }
            }
        }
        (placed, x, unknown)
    }

    /// Substitute for a control character, which [`learn`](Self::learn) skips.
    fn blank(&self, letter: char) -> Option<(usize, Glyph)> {
        self.fonts[0].glyph(letter).map(|glyph| (0, glyph))
    }

    fn width(&mut self, text: &str, size: f32) -> f32 {
        self.place(text, size).1
    }

    fn draw(&mut self, text: &str, size: f32, [x, y]: [f32; 2], mut put: impl FnMut(i64, i64, f32)) {
        let (placed, _, unknown) = self.place(text, size);
        let em = self.em(size);
        for Placed { font, glyph, x: along } in placed {
            self.fonts[font].draw(glyph, em, [x + along, y], |column, row, share| {
                if share > 0.0 {
                    // System fonts have regular weight.
                    put(column, row, share.min(1.0).powf(if font == 0 { DARKER } else { 1.0 }));
                }
            });
        }
        self.unreported.extend(unknown);
    }

    fn note(&mut self) -> Option<String> {
        if self.reported || self.unreported.is_empty() {
            return None;
        }
        self.reported = true;
        let count = self.unreported.len();
        let some: String = self.unreported.iter().take(NAMED).collect();
        let more = if count > NAMED { format!(" and {} others", count - NAMED) } else { String::new() };
        Some(format!(
            "no font for {some}{more}: drawn as code points. Install a font that has them, set {VARIABLE} to a .ttf, .otf or .ttc \
             file, or write an .svg"
        ))
    }
}

/// Whether a character only controls joining or variants of others.
fn invisible(letter: char) -> bool {
    matches!(letter,
        '\u{AD}' | '\u{34F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Characters of a text, with Korean letters composed into syllables, since macOS decomposes file names. Uses the arithmetic of
/// the Unicode standard, 3.12.
fn with_syllables(text: &str) -> Vec<char> {
    let mut letters: Vec<char> = Vec::with_capacity(text.len());
    for letter in text.chars() {
        let last = letters.last().map_or(0, |last| *last as u32);
        let joined = match (last, letter as u32) {
            (0x1100..=0x1112, vowel @ 0x1161..=0x1175) => 0xAC00 + ((last - 0x1100) * 21 + vowel - 0x1161) * 28,
            // A syllable without a final letter so far.
            (0xAC00..=0xD7A3, end @ 0x11A8..=0x11C2) if (last - 0xAC00).is_multiple_of(28) => last + end - 0x11A7,
            _ => 0,
        };
        match char::from_u32(joined).filter(|joined| *joined != '\0') {
            Some(joined) => {
                letters.pop();
                letters.push(joined);
            }
            None => letters.push(letter),
        }
    }
    letters
}

/// Characters of a text in visual order: right-to-left runs of Hebrew and Arabic are reversed. Arabic letters are not joined.
fn visual_order(text: &str) -> Vec<char> {
    let leftward = |letter: char| matches!(letter, '\u{590}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}');
    let mut letters = with_syllables(text);
    let mut at = 0;
    while at < letters.len() {
        if !leftward(letters[at]) {
            at += 1;
            continue;
        }
        let end = at + letters[at..].iter().take_while(|letter| leftward(**letter) || **letter == ' ').count();
        let blanks = letters[at..end].iter().rev().take_while(|letter| **letter == ' ').count();
        letters[at..end - blanks].reverse();
        at = end;
    }
    letters
}

fn letters() -> MutexGuard<'static, Letters> {
    LETTERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Width of a line of text in pixels.
pub fn width(text: &str, size: f32) -> f32 {
    letters().width(text, size)
}

/// Pixels per em at a font size.
pub(super) fn em(size: f32) -> f32 {
    letters().em(size)
}

/// Width of a line of text in pixels if all characters are drawn as themselves.
pub(super) fn whole_width(text: &str, size: f32) -> Option<f32> {
    let (_, width, unknown) = letters().place(text, size);
    unknown.is_empty().then_some(width)
}

/// The text truncated to `width` pixels, with an ellipsis if needed.
pub fn fit(text: &str, size: f32, width: f32) -> String {
    let mut letters = letters();
    // No character is narrower than a hundredth of the size, so a name of a million characters costs no more than this.
    let most = (width / size * 100.0).max(0.0) as usize;
    let all = text.chars().take(most + 1).count();
    if all <= most && letters.width(text, size) <= width {
        return text.to_string();
    }
    let kept: Vec<char> = text.chars().take(most).collect();
    let short = |n: usize| kept[..n].iter().collect::<String>().trim_end().to_string() + "…";
    // More characters are never narrower.
    let (mut fits, mut too_many) = (0, kept.len() + usize::from(all > most));
    if letters.width(&short(0), size) > width {
        return String::new();
    }
    while too_many - fits > 1 {
        let n = fits + (too_many - fits) / 2;
        if letters.width(&short(n), size) <= width {
            fits = n;
        } else {
            too_many = n;
        }
    }
    short(fits)
}

/// Draws a line of text starting at `x` on baseline `y`; `put` receives each pixel (column, row) and its coverage, 0 to 1.
pub(super) fn draw(text: &str, size: f32, x: f32, y: f32, put: impl FnMut(i64, i64, f32)) {
    letters().draw(text, size, [x, y], put);
}

/// Note about characters drawn as code points for lack of a font; returned once, and `None` if there were none.
pub fn missing_letters() -> Option<String> {
    letters().note()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::test_font;

    #[test]
    fn text_is_truncated_no_more_than_needed() {
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
    fn many_languages_are_supported() {
        let font = Font::new(epaint_default_fonts::UBUNTU_LIGHT).unwrap();
        for letter in "aZ09%éßñЖяΩ–…".chars() {
            assert!(font.glyph(letter).is_some(), "{letter}");
        }
    }

    /// Pixels of a text in row-major order.
    fn drawn(letters: &mut Letters, text: &str) -> Vec<f32> {
        let mut pixels = vec![0.0; 200 * 40];
        letters.draw(text, 20.0, [2.0, 25.0], |column, row, share| pixels[row as usize * 200 + column as usize] += share);
        pixels
    }

    #[test]
    fn missing_characters_come_from_another_font() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/Tiny.TTF");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(&path, test_font::with_letters(&['猫', '한', 'Ꙑ'])).unwrap();
        std::fs::write(folder.path().join("torn.ttf"), &test_font::with_letters(&['猫'])[..90]).unwrap();
        std::fs::write(folder.path().join("words.ttf"), "no font at all").unwrap();
        let mut letters = Letters::new(FontSearch::new(None, vec![folder.path().into(), "/gone".into()]));
        for letter in ["猫", "한", "Ꙑ"] {
            let pixels = drawn(&mut letters, letter);
            // The test font's characters are solid squares, 0.8 ems wide and high: at a height of 20 pixels, one em is 17.8.
            let covered: f32 = pixels.iter().sum();
            assert!((covered - 0.64 * letters.em(20.0).powi(2)).abs() < 20.0, "{letter}: {covered}");
            assert!((letters.width(letter, 20.0) - letters.em(20.0)).abs() < 1e-3);
        }
        assert!(letters.note().is_none());
        // One file, loaded once.
        assert_eq!(letters.fonts.len(), 2);
        // A font given explicitly takes precedence over those in folders.
        let own = folder.path().join("own.otf");
        std::fs::write(&own, test_font::with_letters(&['猫'])).unwrap();
        let mut named = Letters::new(FontSearch::new(Some(own), vec![folder.path().into()]));
        assert_eq!(drawn(&mut named, "猫"), drawn(&mut letters, "猫"));
        assert!(named.search.find(&BTreeSet::from(['한'])).is_some());
    }

    #[test]
    fn without_a_font_a_character_is_its_code_point_and_reported_once() {
        let mut letters = Letters::new(FontSearch::new(Some("/gone.ttf".into()), Vec::new()));
        let [cat, dog] = ["猫", "狗"].map(|letter| drawn(&mut letters, letter));
        assert_ne!(cat, dog);
        assert_eq!(cat, drawn(&mut letters, "[732B]"));
        assert_eq!(letters.width("猫", 13.0), letters.width("[732B]", 13.0));
        let note = letters.note().unwrap();
        assert!(note.contains("狗猫") && note.contains("ALEXNET_FONT") && note.contains(".svg"), "{note}");
        assert!(letters.note().is_none());
        // Invisible marks are not drawn.
        assert_eq!(letters.width("a\u{200D}\u{FE0F}\u{FEFF}", 13.0), letters.width("a", 13.0));
        assert_eq!(letters.width("a\tb\u{7}", 13.0), letters.width("a b ", 13.0));
    }

    #[test]
    fn korean_letters_are_composed() {
        let seen = |text| with_syllables(text).into_iter().collect::<String>();
        // As macOS writes 한국어 and 고양이, and an already composed syllable.
        assert_eq!(seen("\u{1112}\u{1161}\u{11AB}\u{1100}\u{116E}\u{11A8}\u{110B}\u{1165}"), "한국어");
        assert_eq!(seen("\u{1100}\u{1169}\u{110B}\u{1163}\u{11BC}\u{110B}\u{1175}"), "고양이");
        assert_eq!(
            (seen("한국어 cat"), seen("\u{1161}\u{11AB}\0\u{11AB}")),
            ("한국어 cat".into(), "\u{1161}\u{11AB}\0\u{11AB}".into())
        );
    }

    #[test]
    fn hebrew_and_arabic_run_right_to_left() {
        let seen = |text| visual_order(text).into_iter().collect::<String>();
        assert_eq!(seen("אבג"), "גבא");
        assert_eq!(seen("cat אב גד dog"), "cat דג בא dog");
        assert_eq!(seen("نقطة 90 %"), "ةطقن 90 %");
        assert_eq!((seen("a b "), seen(""), seen(" ")), ("a b ".into(), String::new(), " ".into()));
    }

    #[test]
    fn a_broken_font_does_not_panic() {
        let whole = test_font::with_letters(&['猫', '狗']);
        for at in 0..whole.len() {
            for change in [0x01, 0x80, 0xFF] {
                let mut broken = whole.clone();
                broken[at] ^= change;
                for font in [Font::new(broken), Font::new(whole[..at].to_vec())].into_iter().flatten() {
                    if let Some(glyph) = font.glyph('猫') {
                        font.draw(glyph, 20.0, [0.0, 0.0], |_, _, _| {});
                    }
                }
            }
        }
    }

    /// Debian's and macOS's fonts, if installed: the number of supported scripts depends on the machine, but names must always be
    /// drawn differently.
    #[test]
    fn names_in_other_scripts_are_distinguishable_on_any_machine() {
        let names = ["猫", "狗", "ネコ", "イヌ", "고양이", "강아지", "кошка", "собака", "ҵӕҥԥ", "ҷӷӄԛ"];
        let mut letters = Letters::new(FontSearch::of_this_machine());
        let drawn = names.map(|name| drawn(&mut letters, name));
        for (i, one) in drawn.iter().enumerate() {
            assert!(one.iter().sum::<f32>() > 20.0, "{}", names[i]);
            for (k, other) in drawn.iter().enumerate().skip(i + 1) {
                assert_ne!(one, other, "{} and {}", names[i], names[k]);
            }
        }
    }
}
