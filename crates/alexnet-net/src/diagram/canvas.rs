//! Hand-written SVG output: a few shapes and their bounding frame.

use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// A point in the drawing; y grows downwards.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

impl Point {
    pub(super) fn down(self, by: f64) -> Self {
        Point { y: self.y + by, ..self }
    }
}

/// Which part of a text is at its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The shapes so far, and their bounding frame.
#[derive(Default)]
pub(super) struct Canvas {
    body: String,
    frame: Option<[f64; 4]>,
}

/// Margin around the drawing.
const MARGIN: f64 = 24.0;
/// Font size of the heading.
const HEADING: f64 = 20.0;

const STYLE: &str = "\
text{font-family:Helvetica,Arial,'Liberation Sans',sans-serif,'Noto Sans CJK SC','PingFang SC','Microsoft YaHei','Malgun Gothic';font-size:15px;fill:#1b2530}\
.halo{stroke:#fff;stroke-width:4px;stroke-linejoin:round;fill:#fff;opacity:.85}\
.note{font-size:14px}.name{font-size:13px;fill:#7a8794}.kernel{font-size:12px;fill:#b3261e}.heading{font-size:20px}\
polygon{stroke:#34495e;stroke-width:1px;stroke-linejoin:round}\
.side{fill:#f4f7fb}.top{fill:#e8eef6}.front{fill:#d5e0ee}\
.window{fill:#b3261e;fill-opacity:.13;stroke:#b3261e}.far{fill-opacity:.05}\
.edge{stroke:#b3261e;stroke-width:.8px}.ray{stroke:#b3261e;stroke-width:.8px;stroke-dasharray:5 3;opacity:.75}\
.tip{fill:#b3261e}.dense{stroke:#7a8794;stroke-width:.9px;stroke-dasharray:5 4}";

impl Canvas {
    pub(super) fn polygon(&mut self, corners: &[Point], class: &str) {
        let points: Vec<_> = corners.iter().map(|p| format!("{:.1},{:.1}", p.x, p.y)).collect();
        self.put(format_args!("<polygon class=\"{class}\" points=\"{}\"/>", points.join(" ")));
        for corner in corners {
            self.hold(*corner, 0.0, 0.0, 0.0);
        }
    }

    pub(super) fn line(&mut self, a: Point, b: Point, class: &str) {
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            a.x, a.y, b.x, b.y
        ));
        self.hold(a, 0.0, 0.0, 0.0);
        self.hold(b, 0.0, 0.0, 0.0);
    }

    pub(super) fn dot(&mut self, at: Point) {
        self.put(format_args!("<circle class=\"tip\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"1.8\"/>", at.x, at.y));
    }

    /// Draws text on a pale halo. The halo is a separate text, because not every viewer supports `paint-order`.
    pub(super) fn text(&mut self, at: Point, anchor: Anchor, class: &str, text: &str) {
        let text_anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text: String = text.chars().take(80).collect();
        let escaped = escape(&text);
        for class in [format!("{class} halo"), class.into()] {
            let (x, y) = (at.x, at.y);
            self.put(format_args!(
                "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{text_anchor}\">{escaped}</text>"
            ));
        }
        // A sans-serif letter is about 0.56 of its size wide, an East Asian one twice that. Overestimating is better than
        // clipping.
        let size = if class == "heading" { HEADING } else { 15.0 };
        let width = text.width() as f64 * size * 0.6;
        let (left, right) = match anchor {
            Anchor::Start => (0.0, width),
            Anchor::Middle => (width / 2.0, width / 2.0),
            Anchor::End => (width, 0.0),
        };
        self.hold(at, left, right, size);
    }

    /// Returns the document, with a heading at the top.
    pub(super) fn finish(mut self, heading: &str) -> String {
        let [left, top, ..] = self.frame.unwrap_or_default();
        self.text(Point { x: left, y: top - 24.0 }, Anchor::Start, "heading", heading);
        let [left, top, right, bottom] = self.frame.unwrap_or_default();
        let (x, y) = (left - MARGIN, top - MARGIN);
        let (width, height) = (right + MARGIN - x, bottom + MARGIN - y);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{x:.0} {y:.0} {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
             <rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" fill=\"#fff\"/>\n{}</svg>\n",
            escape(heading),
            self.body
        )
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.body, "{element}");
    }

    /// Extends the frame to include a point and the text around it.
    fn hold(&mut self, at: Point, left: f64, right: f64, up: f64) {
        let [a, b, c, d] = self.frame.unwrap_or([at.x, at.y, at.x, at.y]);
        self.frame = Some([a.min(at.x - left), b.min(at.y - up), c.max(at.x + right), d.max(at.y + up * 0.3)]);
    }
}

/// Escapes text for XML and removes control characters that XML forbids.
fn escape(text: &str) -> String {
    let visible = text.chars().filter(|c| !c.is_control());
    visible.fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
        out
    })
}
