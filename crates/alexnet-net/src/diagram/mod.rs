//! Diagrams of nets in the style of Figure 2 of the 2012 paper.
//!
//! Maps are boxes: rows are vertical, columns recede to the upper left, channels run to the right, all to one scale per drawing.
//! A convolution's window is drawn in the maps that it reads, with lines to one position of its output. As in the paper, pooled
//! maps are noted rather than drawn, and a window is placed as in the pooled map. Nets with two groups are drawn as two towers,
//! with crossing lines where a layer reads both.

mod boxes;
mod canvas;
mod stages;

use crate::describe::with_commas;
use crate::net::Net;
use alexnet_files::Result;
use boxes::{Box3, Spot};
use canvas::{Anchor, Canvas, Point};
use stages::{Kind, Read, Stage};

/// Sizes in the drawing.
struct Scale {
    /// Height of the input image; all maps are relative to it.
    image: f64,
    /// Exponent for map heights: a map of n pixels for an input of N is (n / N)^power as high as the input. 1 is to scale.
    power: f64,
    /// Width of one channel, limited so that the widest maps do not exceed `widest`.
    channel: f64,
    widest: f64,
    /// Height of one feature of a linear layer, limited so that the longest bar does not exceed `longest`.
    feature: f64,
    longest: f64,
    /// Space between boxes.
    gap: f64,
}

/// To scale, as in the paper.
const TRUE: Scale = Scale { image: 820.0, power: 1.0, channel: 0.34, widest: 132.0, feature: 0.13, longest: 540.0, gap: 80.0 };
/// For a page about 1000 pixels wide, with matching font size: large maps are drawn smaller than to scale.
const COMPACT: Scale = Scale { image: 250.0, power: 0.5, channel: 0.25, widest: 92.0, feature: 0.08, longest: 320.0, gap: 58.0 };
/// Width of a bar of features.
const BAR: f64 = 14.0;
/// Minimum space between two towers.
const ALLEY: f64 = 90.0;

/// The net as an SVG document, to scale.
///
/// # Errors
/// Invalid shapes, see [`Net::shapes`].
pub fn svg(net: &Net) -> Result<String> {
    draw(net, &TRUE)
}

/// The net as an SVG document for a page about 1000 pixels wide: letters match the page's font size, and maps are not to scale.
///
/// # Errors
/// Like [`svg`].
pub fn compact_svg(net: &Net) -> Result<String> {
    draw(net, &COMPACT)
}

fn draw(net: &Net, scale: &Scale) -> Result<String> {
    let stages = stages::of(net)?;
    let placed = place(&stages, net.image_size, scale);
    let mut canvas = Canvas::default();
    for boxes in &placed {
        for each in boxes {
            each.draw(&mut canvas);
        }
    }
    for i in 1..stages.len() {
        match &stages[i].kind {
            Kind::Maps { read: Some(read), .. } => convolve(&mut canvas, read, &placed[i - 1], &placed[i]),
            Kind::Maps { read: None, .. } => (),
            Kind::Bar => dense(&mut canvas, &placed[i - 1], &placed[i]),
        }
    }
    for (stage, boxes) in stages.iter().zip(&placed) {
        label(&mut canvas, stage, boxes);
    }
    for i in 1..stages.len() {
        if matches!(stages[i].kind, Kind::Bar) {
            let x = (placed[i - 1][0].right() + placed[i][0].left()) / 2.0;
            // If there is no space next to the boxes, above the higher one.
            let top = |boxes: &[Box3]| boxes[0].at(Spot { channel: 0.0, row: 0.0, column: 1.0 }).y - 28.0;
            let y = if scale.gap < TRUE.gap { top(&placed[i - 1]).min(top(&placed[i])) } else { 5.0 };
            canvas.text(Point { x, y }, Anchor::Middle, "note", "dense");
        }
    }
    let totals = net.totals()?;
    let title = format!(
        "{}: {} parameters, {} multiply-accumulates",
        net.name,
        with_commas(totals.parameters as u64),
        with_commas(totals.macs)
    );
    Ok(canvas.finish(&title))
}

/// Positions the boxes of each stage: one, or an upper and a lower one.
fn place(stages: &[Stage], image_size: usize, scale: &Scale) -> Vec<Vec<Box3>> {
    let most = |of: &dyn Fn(&Stage) -> usize| stages.iter().map(of).max().unwrap_or(1).max(1) as f64;
    let widest = most(&|s| if matches!(s.kind, Kind::Maps { .. }) { s.channels / s.towers } else { 0 });
    let longest = most(&|s| if matches!(s.kind, Kind::Bar) { s.channels / s.towers } else { 0 });
    let split = stages.iter().any(|s| s.towers == 2);
    let side = |size: usize| (size as f64 / image_size.max(1) as f64).powf(scale.power) * scale.image;
    let channel = scale.channel.min(scale.widest / widest);
    let feature = scale.feature.min(scale.longest / if split { 2.0 } else { 1.0 } / longest);
    let sized = |stage: &Stage| match stage.kind {
        Kind::Maps { size, .. } => (stage.channels as f64 / stage.towers as f64 * channel, side(size), side(size)),
        Kind::Bar => (BAR, (stage.channels as f64 / stage.towers as f64 * feature).max(4.0), BAR),
    };
    // The gap between towers fits the highest box that is drawn twice.
    let twice = stages.iter().filter(|s| s.towers == 2).map(|s| boxes::rise(sized(s).1, sized(s).2)).fold(0.0, f64::max);
    let offset = (twice + ALLEY) / 2.0;
    let mut x = 0.0;
    let mut placed = Vec::with_capacity(stages.len());
    for stage in stages {
        let (width, height, depth) = sized(stage);
        let middles: &[f64] = if stage.towers == 2 { &[-offset, offset] } else { &[0.0] };
        let boxes: Vec<_> = middles.iter().map(|&y| Box3::standing(x, y, width, height, depth)).collect();
        x = boxes[0].right() + scale.gap;
        placed.push(boxes);
    }
    placed
}

/// Draws a convolution's window in each input box, with lines to one position in each output box.
fn convolve(canvas: &mut Canvas, read: &Read, from: &[Box3], to: &[Box3]) {
    for (i, source) in from.iter().enumerate() {
        let window = read.window();
        source.draw_window(canvas, window);
        for (j, target) in to.iter().enumerate() {
            // With groups, each tower reads its own half; a single box is read by all.
            if read.own_half && from.len() == 2 && to.len() == 2 && i != j {
                continue;
            }
            let tip = target.at(Spot { channel: 0.0, row: 0.18, column: 0.6 });
            for corner in source.window_end(window) {
                canvas.line(corner, tip, "ray");
            }
            canvas.dot(tip);
        }
    }
}

/// Connects every box with every box of the next stage.
fn dense(canvas: &mut Canvas, from: &[Box3], to: &[Box3]) {
    for source in from {
        for target in to {
            for row in [0.0, 1.0] {
                let start = source.at(Spot { channel: 1.0, row, column: 0.0 });
                canvas.line(start, target.at(Spot { channel: 0.0, row, column: 0.5 }), "dense");
            }
        }
    }
}

/// Labels a stage with its sizes, placed as in the paper.
fn label(canvas: &mut Canvas, stage: &Stage, boxes: &[Box3]) {
    let channels = (stage.channels / stage.towers).to_string();
    for each in boxes {
        let below = each.at(Spot { channel: 0.5, row: 1.0, column: 0.0 });
        canvas.text(below.down(18.0), Anchor::Middle, "number", &channels);
        if let Kind::Maps { size, .. } = stage.kind {
            let size = size.to_string();
            let edge = each.at(Spot { channel: 0.0, row: 0.78, column: 1.0 });
            canvas.text(Point { x: edge.x - 5.0, y: edge.y + 5.0 }, Anchor::End, "number", &size);
            let slope = each.at(Spot { channel: 0.0, row: 1.0, column: 0.5 });
            canvas.text(Point { x: slope.x - 3.0, y: slope.y + 16.0 }, Anchor::End, "number", &size);
        }
        if let Some(window) = stage.next_window {
            each.label_window(canvas, window);
        }
    }
    let upper = boxes[0].at(Spot { channel: 0.5, row: 0.0, column: 1.0 });
    canvas.text(upper.down(-9.0), Anchor::Middle, "name", &stage.name);
    let lower = &boxes[boxes.len() - 1];
    let mut below = lower.at(Spot { channel: 0.5, row: 1.0, column: 0.0 }).down(20.0);
    for note in &stage.notes {
        below = below.down(17.0);
        canvas.text(below, Anchor::Middle, "note", note);
    }
}

#[cfg(test)]
mod tests;
