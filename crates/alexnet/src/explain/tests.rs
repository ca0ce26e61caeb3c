//! A handmade net and images on which the result of every method is obvious.

use super::*;
use crate::data::Dataset;
use crate::engine::ParameterStore;
use crate::engine::cpu::Cpu;
use crate::image::{Channels, Image, JpegDecoding, Mean, Preprocess, Resize};
use crate::net::{Activation, BiasInit, Layer, Net, Op, Pad, Rounding, WeightInit};

/// Rows and columns of the images of [`stripes`].
pub(super) const SIDE: usize = 40;

/// A handmade net with two classes: class 0 is vertical stripes, class 1 horizontal ones. conv1 detects edges of both kinds, with
/// both signs; conv2 pools nearby responses; fc3 averages over the map and classifies.
pub(super) fn stripes() -> Cpu {
    let conv = |out, kernel, pad, groups| Op::Conv {
        out,
        kernel,
        stride: 1,
        pad: Pad::all(pad),
        groups,
        rounding: Rounding::Floor,
        weight_init: WeightInit::HeNormal,
        bias_init: BiasInit::Constant(0.0),
    };
    let relu = Op::Activation { function: Activation::Relu };
    let (weight_init, bias_init) = (WeightInit::HeNormal, BiasInit::Constant(0.0));
    let layers = [
        ("conv1", conv(4, 3, 1, 1)),
        ("relu1", relu.clone()),
        ("pool1", Op::MaxPool { kernel: 2, stride: 2, pad: Pad::all(0), rounding: Rounding::Floor }),
        ("conv2", conv(2, 3, 1, 2)),
        ("relu2", relu),
        ("pool2", Op::AdaptiveAvgPool { out: 5 }),
        ("fc3", Op::Linear { out: 2, weight_init, bias_init }),
    ];
    let layers = layers.map(|(name, op)| Layer { name: name.into(), op }).into();
    let mut engine = Cpu::new(&Net { name: "stripes".into(), image_size: SIDE, layers }, 8, 2).unwrap();
    // Kernels [out, in, row, column]: left minus right, right minus left, top minus bottom, bottom minus top, minus the response
    // to a flat edge of the other kind.
    let kernel = |at: fn(usize, usize) -> f32| (0..27).map(move |i| at(i % 9 / 3, i % 3) / 3.0);
    let conv1: Vec<f32> = kernel(|_, x| 1.0 - x as f32)
        .chain(kernel(|_, x| x as f32 - 1.0))
        .chain(kernel(|y, _| 1.0 - y as f32))
        .chain(kernel(|y, _| y as f32 - 1.0))
        .collect();
    engine.set_parameter("conv1.weight", &conv1).unwrap();
    engine.set_parameter("conv1.bias", &[-0.3; 4]).unwrap();
    engine.set_parameter("conv2.weight", &[0.1; 2 * 2 * 9]).unwrap();
    let fc3: Vec<f32> = (0..100).map(|i| if i / 50 == i % 50 / 25 { 0.4 } else { -0.4 }).collect();
    engine.set_parameter("fc3.weight", &fc3).unwrap();
    engine
}

/// An image of flat background, optionally with a square of vertical stripes in the upper left and one of horizontal stripes in
/// the lower right.
pub(super) fn image(upright: bool, lying: bool) -> Vec<f32> {
    let mut values = vec![0.0; 3 * SIDE * SIDE];
    for (i, value) in values.iter_mut().enumerate() {
        let (y, x) = (i % (SIDE * SIDE) / SIDE, i % SIDE);
        if upright && (4..16).contains(&y) && (4..16).contains(&x) {
            *value = if x % 4 < 2 { 1.0 } else { -1.0 };
        }
        if lying && (24..36).contains(&y) && (24..36).contains(&x) {
            *value = if y % 4 < 2 { 1.0 } else { -1.0 };
        }
    }
    values
}

/// A data set of both kinds of stripes; the third image of each class has the other's label, and one image is unreadable.
pub(super) struct Striped(Vec<String>);

impl Striped {
    pub(super) fn new() -> Striped {
        Striped(["upright", "lying"].map(String::from).into())
    }
}

impl Dataset for Striped {
    fn classes(&self) -> &[String] {
        &self.0
    }

    fn len(&self) -> usize {
        9
    }

    fn label(&self, i: usize) -> u32 {
        u32::from(i >= 4)
    }

    fn name(&self, i: usize) -> &str {
        ["upright/0", "upright/1", "upright/2", "upright/3", "lying/4", "lying/5", "lying/6", "lying/7", "lying/8"][i]
    }

    fn image(&self, i: usize) -> Result<Image> {
        if i == 8 {
            return Err("torn".into());
        }
        let upright = (i < 4) != (i % 4 == 2);
        // Each at another position, with contrast decreasing with the index.
        let (first, pale) = (3 + i, 8 * i as u8);
        let level = |y: usize, x: usize| {
            let within = (first..first + 20).contains(&y) && (first..first + 20).contains(&x);
            let light = if upright { x % 4 < 2 } else { y % 4 < 2 };
            if !within {
                128
            } else if light {
                250 - pale
            } else {
                6 + pale
            }
        };
        let rgb = (0..SIDE * SIDE).flat_map(|p| [level(p / SIDE, p % SIDE); 3]).collect();
        Ok(Image { width: SIDE, height: SIDE, rgb })
    }
}

pub(super) fn preprocess() -> Preprocess {
    Preprocess {
        resize: Resize::ShortSide(SIDE),
        crop: SIDE,
        channels: Channels::Rgb,
        scale: 1.0,
        mean: Mean::Channel([128.0; 3]),
        std: [127.0; 3],
        jpeg: JpegDecoding::Exact,
    }
}

#[test]
fn the_handmade_net_classifies_stripes() {
    let mut engine = stripes();
    for (upright, lying, class) in [(true, false, 0), (false, true, 1)] {
        let first = scores(&mut engine, &image(upright, lying)).unwrap()[0];
        assert!(first.index == class && first.probability > 0.6, "{first:?}");
    }
}

#[test]
fn classes_are_found_by_name_then_by_number() {
    let classes = ["hat", "1", "shoes"].map(String::from);
    assert_eq!(class("shoes", &classes).unwrap(), 2);
    assert_eq!(class("1", &classes).unwrap(), 1);
    assert_eq!(class("0", &classes).unwrap(), 0);
    assert_eq!(class("cafe\u{301}", &["tea".into(), "caf\u{e9}".into()]).unwrap(), 1);
    assert_eq!(class("n02119789", &["n01440764 tench".into(), "n02119789 kit fox".into()]).unwrap(), 1);
    let error = class("dress", &classes).unwrap_err().to_string();
    assert!(error.contains("no class dress; available: hat, 1, shoes"), "{error}");
    assert!(class("3", &classes).is_err() && one_class(3, 3, 1).is_err());
}
