//! The ten shapes as point sets around the origin, within distance 1. The y axis points down.
//!
//! Uses only sums and products, which IEEE 754 rounds identically everywhere.

/// A class of the built-in set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Arrow,
    Circle,
    Crescent,
    Cross,
    Half,
    Heart,
    Ring,
    Square,
    Star,
    Triangle,
}

/// Vertices of a regular five-pointed star with inner radius 0.42.
const STAR: [(f32, f32); 10] = [
    (0.0, -1.0),
    (0.247, -0.340),
    (0.951, -0.309),
    (0.399, 0.130),
    (0.588, 0.809),
    (0.0, 0.42),
    (-0.588, 0.809),
    (-0.399, 0.130),
    (-0.951, -0.309),
    (-0.247, -0.340),
];
const TRIANGLE: [(f32, f32); 3] = [(0.0, -0.95), (0.87, 0.6), (-0.87, 0.6)];
const ARROW: [(f32, f32); 7] =
    [(0.0, -0.95), (0.75, -0.1), (0.28, -0.1), (0.28, 0.9), (-0.28, 0.9), (-0.28, -0.1), (-0.75, -0.1)];

impl Shape {
    /// All shapes, sorted by name.
    pub(super) const ALL: [Shape; 10] = [
        Shape::Arrow,
        Shape::Circle,
        Shape::Crescent,
        Shape::Cross,
        Shape::Half,
        Shape::Heart,
        Shape::Ring,
        Shape::Square,
        Shape::Star,
        Shape::Triangle,
    ];

    /// Name of the class.
    pub(super) fn name(self) -> &'static str {
        match self {
            Shape::Arrow => "arrow",
            Shape::Circle => "circle",
            Shape::Crescent => "crescent",
            Shape::Cross => "cross",
            Shape::Half => "half",
            Shape::Heart => "heart",
            Shape::Ring => "ring",
            Shape::Square => "square",
            Shape::Star => "star",
            Shape::Triangle => "triangle",
        }
    }

    /// Whether a point belongs to the shape.
    pub(super) fn holds(self, x: f32, y: f32) -> bool {
        let r2 = x * x + y * y;
        match self {
            Shape::Arrow => within(&ARROW, x, y),
            Shape::Circle => r2 < 0.85 * 0.85,
            Shape::Crescent => r2 < 0.92 * 0.92 && (x - 0.42) * (x - 0.42) + y * y > 0.72 * 0.72,
            Shape::Cross => {
                let (long, short) = (x.abs().max(y.abs()), x.abs().min(y.abs()));
                long < 0.92 && short < 0.26
            }
            Shape::Half => {
                let y = y + 0.4;
                x * x + y * y < 0.95 * 0.95 && y > 0.0
            }
            Shape::Heart => {
                // (x^2 + y^2 - 1)^3 = x^2 y^3, scaled down and flipped upright.
                let (x, y) = (x * 1.25, 0.1 - y * 1.25);
                let a = x * x + y * y - 1.0;
                a * a * a < x * x * y * y * y
            }
            Shape::Ring => r2 < 0.9 * 0.9 && r2 > 0.52 * 0.52,
            Shape::Square => x.abs().max(y.abs()) < 0.72,
            Shape::Star => within(&STAR, x, y),
            Shape::Triangle => within(&TRIANGLE, x, y),
        }
    }
}

/// Whether a ray from the point to the right crosses the polygon's edges an odd number of times.
fn within(corners: &[(f32, f32)], x: f32, y: f32) -> bool {
    let mut inside = false;
    let mut last = corners[corners.len() - 1];
    for &corner in corners {
        let ((x0, y0), (x1, y1)) = (last, corner);
        if (y0 > y) != (y1 > y) && x < x0 + (y - y0) * (x1 - x0) / (y1 - y0) {
            inside = !inside;
        }
        last = corner;
    }
    inside
}
