//! Weights in a mapped file behave like weights in memory.

use alexnet::engine::cpu::Cpu;
use alexnet::engine::optim::MomentumForm;
use alexnet::engine::optim::sgd::Sgd;
use alexnet::engine::{Batch, Gradients, Inference, Objective, OptimizerStep, ParameterStore};
use alexnet::formats::{self, Model};
use alexnet::image::{Channels, JpegDecoding, Mean, Preprocess, Resize};
use alexnet::net::{Activation, BiasInit, Layer, Net, Op, Pad, Rounding, WeightInit};
use alexnet::selftest::formula::uniform;

const SIZE: usize = 11;
const CLASSES: usize = 7;

/// A net of a convolution and two linear layers, the first of which reads a map of several pixels.
fn model() -> Model {
    let (weight_init, bias_init) = (WeightInit::HeNormal, BiasInit::Constant(0.1));
    let conv = Op::Conv {
        out: 16,
        kernel: 3,
        stride: 1,
        pad: Pad::all(1),
        groups: 1,
        rounding: Rounding::Floor,
        weight_init,
        bias_init,
    };
    let relu = Op::Activation { function: Activation::Relu };
    let layers = [
        ("conv1", conv.clone()),
        ("relu1", relu.clone()),
        ("conv2", conv),
        ("relu2", relu.clone()),
        ("pool2", Op::MaxPool { kernel: 3, stride: 2, pad: Pad::all(0), rounding: Rounding::Floor }),
        ("fc3", Op::Linear { out: 37, weight_init, bias_init }),
        ("relu3", relu),
        ("fc4", Op::Linear { out: CLASSES, weight_init, bias_init }),
    ];
    let layers = layers.into_iter().map(|(name, op)| Layer { name: name.into(), op }).collect();
    let net = Net { name: "mapped".into(), image_size: SIZE, layers };
    let tensors = formats::parameters(&net).expect("a valid net").into_iter().enumerate();
    let tensors = tensors.map(|(i, (name, shape))| (name, uniform(i as u64, shape.iter().product(), 0.1).into())).collect();
    let preprocess = Preprocess {
        resize: Resize::ShortSide(SIZE),
        crop: SIZE,
        channels: Channels::Rgb,
        scale: 1.0,
        mean: Mean::Channel([0.0; 3]),
        std: [1.0; 3],
        jpeg: JpegDecoding::Exact,
    };
    let classes = (0..CLASSES).map(|i| format!("class {i}")).collect();
    Model { net, preprocess, classes, recipe: serde_json::Value::Null, ranges: Default::default(), temperature: None, tensors }
}

/// The model loaded from a file as this program writes it, and from one whose tensors start at an odd byte.
fn from_files(model: &Model, folder: &std::path::Path) -> [Model; 2] {
    let (path, odd) = (folder.join("m.safetensors"), folder.join("odd.safetensors"));
    formats::write(&path, model).expect("written");
    let bytes = std::fs::read(&path).expect("read");
    let header = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"));
    let end = 8 + header as usize;
    assert_eq!(end % 64, 0, "tensors start on a cache line");
    std::fs::write(&odd, [&(header + 1).to_le_bytes(), &bytes[8..end], b" ", &bytes[end..]].concat()).expect("written");
    [path, odd].map(|path| formats::read(path).expect("a model"))
}

fn engine(model: &Model) -> Cpu {
    let mut engine = Cpu::new(&model.net, 32, 2).expect("an engine");
    alexnet::engine::load_model(model, &mut engine).expect("parameters that fit");
    engine
}

fn logits(engine: &mut Cpu, images: &[f32]) -> Vec<f32> {
    let mut logits = Vec::new();
    engine.infer(images, &mut logits).expect("logits");
    logits
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < 1e-5, "{what} [{i}]: {a}, not {b}");
    }
}

#[test]
fn a_mapped_model_gives_the_same_logits_for_any_batch_size() {
    let model = model();
    let folder = tempfile::tempdir().expect("a folder");
    let [mapped, odd] = from_files(&model, folder.path());
    assert!(mapped.tensors.values().all(|values| values.is_mapped()));
    assert!(!odd.tensors.values().any(|values| values.is_mapped()));
    assert_eq!((&mapped, &odd), (&model, &model));

    let images = uniform(99, 32 * 3 * SIZE * SIZE, 1.0);
    let some = |n: usize| &images[..n * 3 * SIZE * SIZE];
    // A batch of 32 images packs the weights, so this engine no longer uses file order.
    let mut packed = engine(&model);
    let expected = logits(&mut packed, &images);
    assert!(expected.iter().any(|&value| value.abs() > 0.01), "logits must not be all near zero");
    for model in [&model, &mapped, &odd] {
        let mut engine = engine(model);
        let one = logits(&mut engine, some(1));
        for n in [1, 3, 16, 17, 32] {
            assert_close(&logits(&mut engine, some(n)), &expected[..n * CLASSES], &format!("{n} images"));
        }
        if model.tensors["fc3.weight"].is_mapped() {
            assert_eq!(logits(&mut engine, some(1)), one, "the same result before and after a larger batch");
        }
        for (name, values) in &model.tensors {
            assert_eq!(&engine.parameter(name).expect("a parameter"), &**values, "{name}");
        }
    }
}

#[test]
fn training_from_a_mapped_model_is_bitwise_equal_and_leaves_the_file_unchanged() {
    let model = model();
    let folder = tempfile::tempdir().expect("a folder");
    let [mapped, _] = from_files(&model, folder.path());
    let images = uniform(5, 4 * 3 * SIZE * SIZE, 1.0);
    let batch = Batch { images: &images, labels: &[0, 3, 6, 3], dropout: None, objective: Objective::default() };
    let rule = OptimizerStep {
        optimizer: Sgd { momentum: 0.9, form: MomentumForm::RateOutside, lars_trust: None, nesterov: false }.into(),
        number: 1,
        lr: 0.1,
        bias_lr: 0.1,
        weight_decay: 0.0,
        bias_weight_decay: 0.0,
        layer_weight_decay: Default::default(),
        layers: Default::default(),
    };
    let [mut one, mut other] = [&model, &mapped].map(engine);
    // Inference first, so that weights have already been prepared in other layouts.
    let before = logits(&mut one, &images);
    assert_eq!(logits(&mut other, &images), before);
    for engine in [&mut one, &mut other] {
        engine.train_step(&batch, &rule).expect("a step");
    }
    for name in model.tensors.keys() {
        let changed = one.parameter(name).expect("a parameter");
        assert_eq!(changed, other.parameter(name).expect("a parameter"), "{name}");
        assert_ne!(changed, model.tensors[name].to_vec(), "{name} was not trained");
    }
    assert_eq!(mapped, model);
    let after = logits(&mut other, &images);
    assert_eq!(logits(&mut one, &images), after);
    assert_ne!(after, before);
    // New parameters from the file replace the trained ones.
    alexnet::engine::load_model(&mapped, &mut other).expect("parameters that fit");
    assert_eq!(logits(&mut other, &images), before);
}
