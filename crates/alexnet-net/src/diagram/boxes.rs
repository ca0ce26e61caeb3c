//! Boxes in oblique projection, seen from the upper left.
//!
//! ```text
//!      column 1  +--------+
//!               / \        \            row     0 at the top, 1 at the bottom
//!              +   \        \           column  0 in front, 1 at the back, to the upper left
//!               \   +--------+          channel 0 on the left, 1 on the right
//!     row 1      \  |        |
//!                 \ |        |
//!      column 0     +--------+
//! ```

use super::canvas::{Anchor, Canvas, Point};

/// Horizontal and vertical offset per pixel of depth.
const LEFT: f64 = 0.58;
const UP: f64 = 0.34;

/// A box in the drawing.
pub(super) struct Box3 {
    /// Upper left corner of the front face.
    corner: Point,
    width: f64,
    height: f64,
    depth: f64,
}

/// A position in a box, 0 to 1 along each axis.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub(super) channel: f64,
    pub(super) row: f64,
    pub(super) column: f64,
}

/// A convolution window.
#[derive(Clone, Copy)]
pub(super) struct Window {
    /// Rows and columns of the kernel.
    pub(super) pixels: usize,
    /// Fraction of the map's rows and columns that it covers.
    pub(super) share: f64,
}

impl Window {
    /// Start and end along rows and along columns: in front, near the middle; the whole map if the kernel covers it.
    fn span(self) -> ([f64; 2], [f64; 2]) {
        let row = (0.45 - self.share / 2.0).clamp(0.0, 1.0 - self.share);
        let column = 0.15_f64.min(1.0 - self.share);
        ([row, row + self.share], [column, column + self.share])
    }
}

/// Drawn height of a box from the bottom of its front to the top of its back.
pub(super) fn rise(height: f64, depth: f64) -> f64 {
    height + UP * depth
}

impl Box3 {
    /// A box with its leftmost point at `x` and its middle at `y`.
    pub(super) fn standing(x: f64, y: f64, width: f64, height: f64, depth: f64) -> Self {
        let corner = Point { x: x + LEFT * depth, y: y + rise(height, depth) / 2.0 - height };
        Box3 { corner, width, height, depth }
    }

    pub(super) fn left(&self) -> f64 {
        self.corner.x - LEFT * self.depth
    }

    pub(super) fn right(&self) -> f64 {
        self.corner.x + self.width
    }

    /// Projects a position to the drawing.
    pub(super) fn at(&self, spot: Spot) -> Point {
        Point {
            x: self.corner.x + spot.channel * self.width - spot.column * self.depth * LEFT,
            y: self.corner.y + spot.row * self.height - spot.column * self.depth * UP,
        }
    }

    /// Draws the three visible faces.
    pub(super) fn draw(&self, canvas: &mut Canvas) {
        let at = |channel, row, column| self.at(Spot { channel, row, column });
        canvas.polygon(&[at(0.0, 0.0, 0.0), at(0.0, 0.0, 1.0), at(0.0, 1.0, 1.0), at(0.0, 1.0, 0.0)], "side");
        canvas.polygon(&[at(0.0, 0.0, 0.0), at(0.0, 0.0, 1.0), at(1.0, 0.0, 1.0), at(1.0, 0.0, 0.0)], "top");
        canvas.polygon(&[at(0.0, 0.0, 0.0), at(1.0, 0.0, 0.0), at(1.0, 1.0, 0.0), at(0.0, 1.0, 0.0)], "front");
    }

    /// Draws a window through all channels.
    pub(super) fn draw_window(&self, canvas: &mut Canvas, window: Window) {
        let end = self.window_end(window);
        let start = self.window_corners(window, 0.0);
        canvas.polygon(&start, "window");
        canvas.polygon(&end, "window far");
        for (a, b) in start.into_iter().zip(end) {
            canvas.line(a, b, "edge");
        }
    }

    /// Corners of a window at the last channel.
    pub(super) fn window_end(&self, window: Window) -> [Point; 4] {
        self.window_corners(window, 1.0)
    }

    fn window_corners(&self, window: Window, channel: f64) -> [Point; 4] {
        let (rows, columns) = window.span();
        [(0, 0), (0, 1), (1, 1), (1, 0)].map(|(r, c)| self.at(Spot { channel, row: rows[r], column: columns[c] }))
    }

    /// Labels a window: rows to the left, columns below, or both inside if there is no space.
    pub(super) fn label_window(&self, canvas: &mut Canvas, window: Window) {
        let (rows, columns) = window.span();
        let number = window.pixels.to_string();
        let left = self.at(Spot { channel: 0.0, row: (rows[0] + rows[1]) / 2.0, column: columns[1] });
        let below = self.at(Spot { channel: 0.0, row: rows[1], column: (columns[0] + columns[1]) / 2.0 });
        if window.share < 0.6 {
            canvas.text(Point { x: left.x - 3.0, y: left.y + 4.0 }, Anchor::End, "kernel", &number);
            canvas.text(Point { x: below.x, y: below.y + 12.0 }, Anchor::End, "kernel", &number);
        } else {
            canvas.text(Point { x: left.x + 3.0, y: left.y + 8.0 }, Anchor::Start, "kernel", &number);
            canvas.text(Point { x: below.x + 1.0, y: below.y - 4.0 }, Anchor::Start, "kernel", &number);
        }
    }
}
