use super::*;
use crate::presets;

fn draw(name: &str, image_size: usize, classes: usize) -> String {
    let net = presets::by_name(name).expect("a preset").with_image_size(image_size).with_classes(classes);
    svg(&net).expect("a drawing")
}

/// Every text of the drawing once, without halos.
fn texts(svg: &str) -> Vec<&str> {
    let lines = svg.lines().filter(|l| l.starts_with("<text") && !l.contains("halo"));
    lines.filter_map(|l| Some(&l[l.find('>')? + 1..l.rfind("</text>")?])).collect()
}

fn count(texts: &[&str], text: &str) -> usize {
    texts.iter().filter(|t| **t == text).count()
}

/// The numbers after `attribute="`, in pairs if there are commas.
fn numbers<'a>(svg: &'a str, attribute: &'a str) -> impl Iterator<Item = f64> + 'a {
    let values = svg.split(attribute).skip(1).filter_map(|rest| rest.split('"').nth(1));
    values.flat_map(|v| v.split([' ', ','])).map(|n| n.parse().expect("a number"))
}

#[test]
fn the_paper_is_labelled_like_its_figure() {
    let svg = draw("paper", 224, 1000);
    let texts = texts(&svg);
    // The figure's own words. A number at rows, columns and in both towers counts four times.
    for (text, times) in [
        ("224", 2),
        ("3", 1 + 4 + 4 + 4),
        ("11", 2),
        ("55", 4),
        ("48", 2),
        ("5", 4),
        ("27", 4),
        ("128", 2 + 2),
        ("13", 12),
        ("192", 4),
        ("2048", 4),
        ("1000", 1),
        ("dense", 3),
        ("Stride of 4", 1),
        ("Max pooling", 3),
        ("to 6 × 6", 1),
    ] {
        assert_eq!(count(&texts, text), times, "{text}: {texts:?}");
    }
    // Rays of four lines: conv1 to two towers, conv2 within each, conv3 across, conv4 and conv5 within.
    assert_eq!(svg.matches("class=\"ray\"").count(), 4 * (2 + 2 + 4 + 2 + 2));
    // Two lines from box to box: 4 pairs into fc6, 4 into fc7, 2 into fc8.
    assert_eq!(svg.matches("class=\"dense\"").count(), 2 * (4 + 4 + 2));
    assert!(svg.contains("60,965,224 parameters, 724,406,816 multiply-accumulates"));
}

#[test]
fn one_tower_is_drawn_once() {
    let svg = draw("torchvision", 224, 10);
    let texts = texts(&svg);
    for (text, times) in [("64", 1), ("192", 1), ("384", 1), ("256", 2), ("4096", 2), ("10", 1), ("55", 2), ("Mean pooling", 0)] {
        assert_eq!(count(&texts, text), times, "{text}: {texts:?}");
    }
    assert_eq!(svg.matches("class=\"ray\"").count(), 4 * 5);
    // Only away from 224 pixels is its average pool not a no-op.
    assert_eq!(count(&self::texts(&draw("torchvision", 128, 10)), "Mean pooling"), 1);
}

#[test]
fn everything_is_within_the_frame_at_any_size() {
    for preset in presets::ALL {
        // The nets for CIFAR-10 shrink their maps by four or eight only, so larger images would exceed the limits.
        let largest = if preset.name.starts_with("cifar-") { (100, 10_000) } else { (1000, 100_000) };
        for (image_size, classes) in [(0, 1000), (100, 1), largest] {
            let image_size = if image_size == 0 { (preset.build)().image_size } else { image_size };
            let svg = draw(preset.name, image_size, classes);
            let frame: Vec<_> = numbers(&svg, "viewBox=").collect();
            let (right, bottom) = (frame[0] + frame[2], frame[1] + frame[3]);
            let points: Vec<_> = numbers(&svg, " points=").collect();
            assert!(points.len() > 100);
            let mut xs = points.iter().step_by(2).copied().chain(numbers(&svg, " x=")).chain(numbers(&svg, " x1="));
            let mut ys = points.iter().skip(1).step_by(2).copied().chain(numbers(&svg, " y=")).chain(numbers(&svg, " y1="));
            assert!(xs.all(|x| (frame[0]..=right).contains(&x)), "{} {image_size}", preset.name);
            assert!(ys.all(|y| (frame[1]..=bottom).contains(&y)), "{} {image_size}", preset.name);
            // Landscape format, and of a reasonable size.
            assert!(frame[2] < 4000.0 && frame[3] < frame[2], "{} {frame:?}", preset.name);
        }
    }
}

#[test]
fn windows_are_to_scale() {
    // 11 of 224 pixels in an image of 820: 40 high; 5 of 27 in maps of 55/224 of that: 37 high.
    let svg = draw("bvlc", 227, 1000);
    let heights: Vec<_> = svg
        .lines()
        .filter(|l| l.starts_with("<polygon class=\"window\""))
        .map(|l| numbers(l, "points=").collect::<Vec<_>>())
        .map(|p| p[7] - p[1])
        .collect();
    let near = |value: f64, want: f64| assert!((value - want).abs() < 0.15, "{value}, not {want}: {heights:?}");
    near(heights[0], TRUE.image * 11.0 / 227.0);
    near(heights[1], TRUE.image * 55.0 / 227.0 * 5.0 / 27.0);
    near(heights[3], TRUE.image * 27.0 / 227.0 * 3.0 / 13.0);
}

#[test]
fn a_name_cannot_break_the_document() {
    let mut net = presets::by_name("paper").expect("a preset");
    net.name = "</title>&\"<script>\u{1}".into();
    net.layers[0].name = "<b>".into();
    let svg = svg(&net).expect("a drawing");
    assert!(!svg.contains("<script") && !svg.contains("<b>") && !svg.contains('\u{1}'));
    assert!(svg.contains("&lt;/title&gt;&amp;&quot;&lt;script&gt;:"));
}

#[test]
fn nets_of_other_kinds_are_drawn_too() {
    let mut net = presets::by_name("torchvision").expect("a preset");
    net.layers.truncate(1); // a single convolution
    assert_eq!(count(&texts(&svg(&net).expect("a drawing")), "64"), 1);
    net.layers = presets::by_name("torchvision").expect("a preset").layers.split_off(18); // only linear layers
    assert!(count(&texts(&svg(&net).expect("a drawing")), "dense") > 0);
    net.layers = presets::by_name("paper").expect("a preset").layers.split_off(1);
    net.layers.truncate(1); // a single ReLU
    assert_eq!(count(&texts(&svg(&net).expect("a drawing")), "224"), 2);
    net.layers.clear();
    assert!(svg(&net).is_err());
}

#[test]
fn the_compact_drawing_is_readable_and_has_the_same_content() {
    for preset in presets::ALL {
        for image_size in [(preset.build)().image_size, 64, 96, 512] {
            let net = (preset.build)().with_image_size(image_size).with_classes(10);
            let (Ok(full), Ok(compact)) = (svg(&net), compact_svg(&net)) else { continue };
            let frame: Vec<_> = numbers(&compact, "viewBox=").collect();
            // In a card of 1048 pixels, letters of size 15 are at least 11 pixels high.
            assert!(1048.0 / frame[2] * 15.0 >= 11.0, "{} at {image_size}: {frame:?}", preset.name);
            assert!(frame[3] < 0.75 * frame[2], "{} at {image_size}: {frame:?}", preset.name);
            let sorted = |svg| {
                let mut words = texts(svg);
                words.sort_unstable();
                words.join("|")
            };
            assert_eq!(sorted(&full), sorted(&compact));
            let points: Vec<_> = numbers(&compact, " points=").collect();
            assert!(points.iter().step_by(2).all(|x| (frame[0]..=frame[0] + frame[2]).contains(x)));
            assert!(points.iter().skip(1).step_by(2).all(|y| (frame[1]..=frame[1] + frame[3]).contains(y)));
        }
    }
}

#[test]
fn east_asian_letters_are_measured_wider() {
    let mut net = presets::by_name("torchvision").expect("a preset");
    net.name = "服装分类".repeat(30);
    let svg = svg(&net).expect("a drawing");
    let frame: Vec<_> = numbers(&svg, "viewBox=").collect();
    // Truncated to 80 letters of 20 pixels, each as wide as high.
    assert!(frame[2] >= 1600.0);
    net.layers.truncate(1);
    let frame: Vec<_> = numbers(&self::svg(&net).expect("a drawing"), "viewBox=").collect::<Vec<_>>();
    assert!(frame[2] >= 1600.0, "{frame:?}");
}
