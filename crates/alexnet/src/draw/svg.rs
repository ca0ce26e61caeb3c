//! SVG output of scenes: text stays text, images are embedded.

use std::fmt::Write;

use super::{Anchor, Colour, Item, Scene, encode, text};

/// Maximum pixels of photographs per drawing pixel along each side, for high-resolution screens.
const FINE: usize = 2;
/// Font families with Chinese, Japanese and Korean characters on Linux, macOS and Windows. Browsers find them automatically,
/// other viewers need this list.
const EAST_ASIAN: &str = "Noto Sans CJK SC,Noto Sans CJK JP,Noto Sans CJK KR,PingFang SC,Hiragino Sans,\
    Apple SD Gothic Neo,Microsoft YaHei,Yu Gothic,Malgun Gothic";

pub(super) fn write(scene: &Scene) -> String {
    let Scene { width, height, .. } = scene;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <style>text{{font-family:Ubuntu,Helvetica,Arial,sans-serif,{EAST_ASIAN}}}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for item in &scene.items {
        add(&mut svg, item);
    }
    svg + "</svg>\n"
}

fn add(svg: &mut String, item: &Item) {
    let written = match item {
        Item::Rectangle { x, y, width, height, colour } => writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{}\"/>",
            hex(*colour)
        ),
        Item::Image { x, y, width, height, image, squares } => {
            let fine = (FINE * height, FINE * width);
            let (data, style) = if *squares {
                (encode::png_uri(image), " style=\"image-rendering:pixelated\"")
            } else if image.height > fine.0 || image.width > fine.1 {
                (encode::jpeg_uri(&image.resized(fine.0, fine.1)), "")
            } else {
                (encode::jpeg_uri(image), "")
            };
            writeln!(
                svg,
                "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\"{style} \
                 href=\"{data}\"/>"
            )
        }
        Item::Text { x, y, size, anchor, colour, text: words } => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::SplitEngine => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            // Another font could be wider, so that neighbours would overlap.
            let width = text::whole_width(words, *size).filter(|width| *width > 0.0);
            let width = width.map_or(String::new(), |w| format!(" textLength=\"{w:.1}\" lengthAdjust=\"spacingAndGlyphs\""));
            let (fill, words, em) = (hex(*colour), escape(words), text::em(*size));
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{em:.2}\"{width}{anchor} fill=\"{fill}\">{words}</text>")
        }
    };
    written.expect("writing to a string cannot fail");
}

fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Escapes text for XML. Control characters, which XML cannot represent, become blanks.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            letter if letter.is_control() => escaped.push(' '),
            '\u{FFFE}' | '\u{FFFF}' => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}
