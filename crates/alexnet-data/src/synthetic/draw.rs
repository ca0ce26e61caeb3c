//! Drawing of one image: background, clutter behind the figure, the figure, clutter in front of it, noise.

use alexnet_kernels::random::Key;

use super::SIDE;
use super::shape::Shape;
use crate::image::Image;

// Difficulty of the set. A linear classifier should stay below 60 %, a small AlexNet exceed 90 % within minutes.

/// Radius of the figure in pixels, smallest and largest.
const RADIUS: (f32, f32) = (22.0, 40.0);
/// Maximum rotation of the figure either way, as the tangent of half the angle (0.3: 33 degrees).
const TURN: f32 = 0.3;
/// Smallest width-to-height ratio of the figure; the largest is its inverse.
const SQUEEZE: f32 = 0.85;
/// Red, green and blue of the background, darkest and lightest.
const GROUND: (f32, f32) = (10.0, 140.0);
/// Red, green and blue of the figure: lighter than the background, so that the net need not learn each shape twice. With any
/// colour on any background a net had to see the set some thirty times to exceed 50 %.
const FIGURE: (f32, f32) = (110.0, 250.0);
/// Minimum distance between the colours of figure and background, of 441.
const CONTRAST: f32 = 110.0;
/// Maximum colour change by blotches of the background.
const BLOTCHES: f32 = 28.0;
/// Interpolation of a textured figure's second colour towards another random colour.
const TEXTURE: f32 = 0.3;
/// Maximum number of strokes and dots behind the figure.
const BEHIND: u64 = 8;
/// Maximum number of strokes and dots in front of the figure.
const BEFORE: u64 = 2;
/// Maximum noise of single pixels.
const GRAIN: f32 = 10.0;

type Colour = [f32; 3];

/// Sequence of random numbers.
struct Dice {
    key: Key,
    next: u64,
}

impl Dice {
    fn between(&mut self, low: f32, high: f32) -> f32 {
        self.next += 1;
        low + (high - low) * self.key.uniform(self.next - 1)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next += 1;
        self.key.below(self.next - 1, n)
    }

    fn colour(&mut self, (low, high): (f32, f32)) -> Colour {
        [0; 3].map(|_| self.between(low, high))
    }

    /// Cosine and sine of a random angle; the tangent of half of it is between `-tan` and `tan`.
    fn turn(&mut self, tan: f32) -> (f32, f32) {
        let t = self.between(-tan, tan);
        ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t))
    }
}

fn mix(a: Colour, b: Colour, share: f32) -> Colour {
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * share)
}

fn distance_squared(a: Colour, b: Colour) -> f32 {
    (0..3).map(|c| (a[c] - b[c]) * (a[c] - b[c])).sum()
}

/// Draws the image of this key.
pub(super) fn image(key: Key, shape: Shape) -> Image {
    let mut dice = Dice { key, next: 0 };
    let ground = dice.colour(GROUND);
    let mut canvas = paint_ground(&mut dice, ground);
    for _ in 0..dice.below(BEHIND + 1) {
        clutter(&mut canvas, &mut dice);
    }
    figure(&mut canvas, &mut dice, shape, ground);
    for _ in 0..dice.below(BEFORE + 1) {
        clutter(&mut canvas, &mut dice);
    }
    let grain = key.with(1);
    let rgb = canvas.iter().flatten().enumerate().map(|(i, value)| {
        let noise = (grain.uniform(i as u64) * 2.0 - 1.0) * GRAIN;
        (value + noise).clamp(0.0, 255.0).round_ties_even() as u8
    });
    Image { width: SIDE, height: SIDE, rgb: rgb.collect() }
}

/// Draws a gradient between two colours, with blotches.
fn paint_ground(dice: &mut Dice, ground: Colour) -> Vec<Colour> {
    let other = {
        let colour = dice.colour(GROUND);
        mix(ground, colour, 0.25)
    };
    let (along, down) = dice.turn(1.0);
    let blotches = Blotches::new(dice, BLOTCHES);
    let mut canvas = Vec::with_capacity(SIDE * SIDE);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (u, v) = (x as f32 / SIDE as f32 - 0.5, y as f32 / SIDE as f32 - 0.5);
            let colour = mix(ground, other, (0.5 + u * along + v * down).clamp(0.0, 1.0));
            canvas.push(colour.map(|part| part + blotches.at(x, y)));
        }
    }
    canvas
}

/// Smooth noise: random values on a coarse grid, interpolated linearly.
struct Blotches {
    values: [[f32; 8]; 8],
}

impl Blotches {
    /// Pixels between grid values.
    const STEP: usize = 14;

    fn new(dice: &mut Dice, most: f32) -> Self {
        Blotches { values: [[0; 8]; 8].map(|row| row.map(|_| dice.between(-most, most))) }
    }

    fn at(&self, x: usize, y: usize) -> f32 {
        let (i, j) = (y / Self::STEP, x / Self::STEP);
        let part = |n: usize| (n % Self::STEP) as f32 / Self::STEP as f32;
        let (down, along) = (part(y), part(x));
        let row = |i: usize| self.values[i][j] + (self.values[i][j + 1] - self.values[i][j]) * along;
        row(i) + (row(i + 1) - row(i)) * down
    }
}

/// Draws a thin stroke or a dot of any colour, anywhere.
fn clutter(canvas: &mut [Colour], dice: &mut Dice) {
    let side = SIDE as f32;
    let (x, y) = (dice.between(0.0, side), dice.between(0.0, side));
    let half_length = if dice.below(3) == 0 { 0.0 } else { dice.between(5.0, 22.0) };
    let half_width = if half_length == 0.0 { dice.between(1.5, 4.0) } else { dice.between(0.6, 1.6) };
    let (dx, dy) = dice.turn(1.0);
    let (colour, strength) = (dice.colour((15.0, 240.0)), dice.between(0.5, 1.0));
    let reach = half_length + half_width + 1.0;
    for (row, column) in pixels((x, y), reach) {
        // Distance from the pixel's centre to the stroke's centre line.
        let (px, py) = (column as f32 + 0.5 - x, row as f32 + 0.5 - y);
        let along = (px * dx + py * dy).clamp(-half_length, half_length);
        let (ex, ey) = (px - along * dx, py - along * dy);
        let cover = (half_width + 0.5 - (ex * ex + ey * ey).sqrt()).clamp(0.0, 1.0);
        let pixel = &mut canvas[row * SIDE + column];
        *pixel = mix(*pixel, colour, cover * strength);
    }
}

/// Rows and columns of the pixels within `reach` of a point, along each axis.
fn pixels((x, y): (f32, f32), reach: f32) -> impl Iterator<Item = (usize, usize)> {
    let range = |at: f32| ((at - reach).max(0.0) as usize)..((at + reach).max(0.0) as usize + 1).min(SIDE);
    let columns = range(x);
    range(y).flat_map(move |row| columns.clone().map(move |column| (row, column)))
}

/// Draws the shape of the image's class.
fn figure(canvas: &mut [Colour], dice: &mut Dice, shape: Shape, ground: Colour) {
    let radius = dice.between(RADIUS.0, RADIUS.1);
    let room = radius * 0.95;
    let centre = (dice.between(room, SIDE as f32 - room), dice.between(room, SIDE as f32 - room));
    let (cos, sin) = dice.turn(TURN);
    let squeeze = dice.between(SQUEEZE, 1.0 / SQUEEZE);

    let mut colour = dice.colour(FIGURE);
    for _ in 0..16 {
        if distance_squared(colour, ground) >= CONTRAST * CONTRAST {
            break;
        }
        colour = dice.colour(FIGURE);
    }
    if distance_squared(colour, ground) < CONTRAST * CONTRAST {
        // Clearly different from every background.
        colour = [FIGURE.1; 3];
    }
    let second = {
        let other = dice.colour(FIGURE);
        mix(colour, other, TEXTURE)
    };
    let (texture, period) = (dice.below(4), dice.between(3.0, 7.0));
    let blotches = Blotches::new(dice, 1.0);

    // From pixels to the shape's coordinates.
    let holds = |x: f32, y: f32| {
        let (x, y) = ((x - centre.0) / radius, (y - centre.1) / radius);
        shape.holds((x * cos + y * sin) / squeeze, (y * cos - x * sin) * squeeze)
    };
    for (row, column) in pixels(centre, radius * 1.25) {
        let (x, y) = (column as f32, row as f32);
        let corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)].map(|(dx, dy)| holds(x + dx, y + dy));
        let cover = if corners == [corners[0]; 4] {
            if corners[0] { 1.0 } else { continue }
        } else {
            // Antialiased edge: 4 x 4 samples per pixel.
            let points = (0..16).filter(|i| holds(x + (i % 4) as f32 / 4.0 + 0.125, y + (i / 4) as f32 / 4.0 + 0.125));
            points.count() as f32 / 16.0
        };
        let share = match texture {
            0 => 0.0,
            1 => f32::from(((x * cos + y * sin) / period) as i32 % 2 == 0),
            2 => ((y - centre.1) / radius * 0.5 + 0.5).clamp(0.0, 1.0),
            _ => blotches.at(column, row) * 0.5 + 0.5,
        };
        let pixel = &mut canvas[row * SIDE + column];
        *pixel = mix(*pixel, mix(colour, second, share), cover);
    }
}
