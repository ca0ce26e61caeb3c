//! Presets compared with counts and map sizes from their sources.

use super::*;
use crate::{Activation, BiasInit, DropoutStyle, LayerShape, Op, WeightInit};

/// Name, image size, rows of the maps after conv1, pool1, conv2, pool2, conv5 and pool5, parameters, multiply-accumulates.
type Row = (&'static str, usize, [usize; 6], usize, u64);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("torchvision",      224, [55, 27, 27, 13, 13, 6], 61_100_840,   714_188_480),
    ("tutorial-code",    224, [56, 28, 28, 14, 14, 7], 76_009_832, 1_270_155_264),
    ("tutorial-text",    224, [54, 27, 27, 13, 13, 6], 62_378_344, 1_131_457_664),
    ("paper",            224, [55, 27, 27, 13, 13, 6], 60_965_224,   724_406_816),
    ("paper-half",       224, [55, 27, 27, 13, 13, 6], 59_798_312,   391_514_384),
    // paper plus conv2, conv4 and conv5 once more: 307,200 + 663,552 + 442,368 weights
    ("paper-one-tower",  224, [55, 27, 27, 13, 13, 6], 62_378_344, 1_135_256_096),
    ("paper-no-lrn",     224, [55, 27, 27, 13, 13, 6], 60_965_224,   724_406_816),
    // conv2 on 26 x 26 instead of 27 x 27 and conv5 on 11 x 11 instead of 13 x 13; computed by hand:
    // 724,406,816 - 307,200 (27^2 - 26^2) - 442,368 (13^2 - 11^2)
    ("paper-no-overlap", 224, [55, 28, 26, 13, 11, 6], 60_965_224,   686_891_552),
    // paper less conv4
    ("paper-no-conv4",   224, [55, 27, 27, 13, 13, 6], 60_301_288,   612_266_528),
    ("original-145",     224, [55, 27, 27, 13, 13, 6], 60_965_224,   724_406_816),
    ("original-146",     224, [55, 27, 27, 13, 13, 6], 61_555_304,   745_640_480),
    ("bvlc",             227, [55, 27, 27, 13, 13, 6], 60_965_224,   724_406_816),
    ("caffenet",         227, [55, 27, 27, 13, 13, 6], 60_965_224,   724_406_816),
    ("onnx-bvlc",        224, [54, 26, 26, 12, 12, 6], 60_965_224,   654_560_384),
    // bvlc plus two for each kernel of conv1 to conv5: 2 (96 + 256 + 384 + 384 + 256)
    ("alexnet-bn",       227, [55, 27, 27, 13, 13, 6], 60_967_976,   724_406_816),
    ("owt",              224, [55, 27, 27, 13, 13, 6], 61_100_840,   714_188_480),
    ("paddle",           224, [55, 27, 27, 13, 13, 6], 61_100_840,   714_188_480),
    ("slim",             224, [54, 26, 26, 12, 12, 5], 50_303_912,   736_555_776),
];

/// Name, image size, rows of the maps after each pool, parameters and multiply-accumulates of each layer.
type CifarRow = (&'static str, usize, &'static [usize], &'static [usize], &'static [u64]);

/// The nets for CIFAR-10.
#[rustfmt::skip]
const CIFAR: &[CifarRow] = &[
    ("cifar-18pct", 32, &[16, 8, 4], &[2_432, 25_632, 51_264, 10_250], &[2_457_600, 6_553_600, 3_276_800, 10_240]),
    ("cifar-13pct", 24, &[12, 6], &[4_864, 102_464, 664_704, 332_928, 11_530], &[2_764_800, 14_745_600, 663_552, 331_776, 11_520]),
    ("cifar-11pct", 24, &[12, 6], &[4_864, 102_464, 664_704, 332_928, 11_530], &[2_764_800, 14_745_600, 663_552, 331_776, 11_520]),
];

fn is_cifar(preset: &Preset) -> bool {
    CIFAR.iter().any(|row| row.0 == preset.name)
}

fn get(name: &str) -> Net {
    by_name(name).unwrap_or_else(|e| panic!("{e}"))
}

fn shapes(net: &Net) -> Vec<LayerShape> {
    net.shapes().unwrap_or_else(|e| panic!("{e}"))
}

fn names(net: &Net) -> String {
    net.layers.iter().map(|l| l.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn op(net: &Net, name: &str) -> Op {
    net.layers.iter().find(|l| l.name == name).map(|l| l.op.clone()).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn sizes_and_counts_match_the_sources() {
    let listed: Vec<_> = TABLE.iter().map(|row| row.0).chain(CIFAR.iter().map(|row| row.0)).collect();
    let presets: Vec<_> = ALL.iter().map(|p| p.name).collect();
    assert_eq!(listed, presets, "the table must list every preset, in order");
    for &(name, image_size, maps, parameters, macs) in TABLE {
        let net = get(name);
        let shapes = shapes(&net);
        let size = |layer: &str| shapes.iter().find(|s| s.name == layer).map(|s| s.output.size);
        let found = ["conv1", "pool1", "conv2", "pool2", "conv5", "pool5"].map(size);
        assert_eq!((net.name.as_str(), net.image_size, found), (name, image_size, maps.map(Some)), "{name}");
        let totals = net.totals().unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((totals.parameters, totals.macs), (parameters, macs), "{name}");
        assert_eq!(net.classes(), 1000, "{name}");
        assert_eq!(shapes.last().map(|s| s.name.as_str()), Some("fc8"), "{name}");
    }
}

/// Computed by hand from cuda-convnet's layer files: a locally connected layer has 6 x 6 times the weights and biases of a
/// convolution, and as many multiply-accumulates.
#[test]
fn cifar_nets_match_the_layer_files() {
    for &(name, image_size, pools, parameters, macs) in CIFAR {
        let net = get(name);
        let shapes = shapes(&net);
        let pooled: Vec<usize> = shapes.iter().filter(|s| s.name.starts_with("pool")).map(|s| s.output.size).collect();
        assert_eq!((net.image_size, pooled.as_slice(), net.classes()), (image_size, pools, 10), "{name}");
        let counted: (Vec<usize>, Vec<u64>) = shapes.iter().filter(|s| s.parameters > 0).map(|s| (s.parameters, s.macs)).unzip();
        assert_eq!((counted.0.as_slice(), counted.1.as_slice()), (parameters, macs), "{name}");
    }
    let plain = "conv1 relu1 pool1 conv2 relu2 pool2 local3 relu3 local4 relu4 fc10";
    assert_eq!(names(&get("cifar-18pct")), "conv1 pool1 relu1 norm1 conv2 relu2 pool2 norm2 conv3 relu3 pool3 fc10");
    assert_eq!(names(&get("cifar-13pct")), plain);
    assert_eq!(names(&get("cifar-11pct")), plain.replace("relu1", "relu1 norm1").replace("relu2", "relu2 norm2"));
    let biases = [BiasInit::Constant(0.0); 5];
    let expect = |name: &str, deviations: &[f32]| {
        let want: Vec<_> = deviations.iter().map(|&s| WeightInit::Normal(s)).zip(biases).collect();
        assert_eq!(inits(name), want, "{name}");
    };
    expect("cifar-18pct", &[1e-4, 0.01, 0.01, 0.01]);
    expect("cifar-13pct", &[1e-4, 0.01, 0.04, 0.04, 0.01]);
    expect("cifar-11pct", &[1e-4, 0.01, 0.04, 0.04, 0.01]);
    let weight =
        |layer: &str| shapes(&get("cifar-11pct")).into_iter().find(|s| s.name == layer).map(|s| (s.bias().to_vec(), s.weight));
    assert_eq!(weight("local3"), Some((vec![36, 32], vec![36, 32, 64, 3, 3])));
}

#[test]
fn every_layers_counts_match_the_sources() {
    let counted = |name: &str| -> (Vec<usize>, Vec<u64>) {
        shapes(&get(name)).iter().filter(|s| s.parameters > 0).map(|s| (s.parameters, s.macs)).unzip()
    };
    let (parameters, macs) = counted("paper");
    assert_eq!(parameters, [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000]);
    assert_eq!(macs, [105_415_200, 223_948_800, 149_520_384, 112_140_288, 74_760_192, 37_748_736, 16_777_216, 4_096_000]);
    let (parameters, macs) = counted("torchvision");
    assert_eq!(parameters, [23_296, 307_392, 663_936, 884_992, 590_080, 37_752_832, 16_781_312, 4_097_000]);
    assert_eq!(macs, [70_276_800, 223_948_800, 112_140_288, 149_520_384, 99_680_256, 37_748_736, 16_777_216, 4_096_000]);
    let (parameters, _) = counted("tutorial-code");
    assert_eq!(parameters, [34_944, 614_656, 885_120, 1_327_488, 884_992, 51_384_320, 16_781_312, 4_097_000]);
}

#[test]
fn neurons_match_the_paper() {
    let shapes = shapes(&get("paper"));
    let neurons: Vec<_> = shapes.iter().filter(|s| !s.weight.is_empty()).map(|s| s.output.len()).collect();
    assert_eq!(neurons, [290_400, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]);
    assert_eq!(get("paper").totals().map(|t| t.neurons).ok(), Some(659_272));
}

#[test]
fn the_layer_order_matches_each_source() {
    let hidden = "conv3 relu3 conv4 relu4 conv5 relu5 pool5";
    let after = "fc6 relu6 drop6 fc7 relu7 drop7 fc8";
    let before = "drop6 fc6 relu6 drop7 fc7 relu7 fc8";
    let plain = "conv1 relu1 pool1 conv2 relu2 pool2";
    for (name, order) in [
        ("torchvision", format!("{plain} {hidden} avgpool {before}")),
        ("paddle", format!("{plain} {hidden} {before}")),
        ("slim", format!("{plain} {hidden} {after}")),
        ("tutorial-code", format!("{plain} {hidden} {after}")),
        ("tutorial-text", format!("{plain} {hidden} {after}")),
        ("paper", format!("conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 {hidden} {after}")),
        ("bvlc", format!("conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 {hidden} {after}")),
        ("onnx-bvlc", format!("conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 {hidden} {after}")),
        ("paper-half", format!("conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 {hidden} {after}")),
        ("paper-no-overlap", format!("conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 {hidden} {after}")),
        ("paper-no-lrn", format!("{plain} {hidden} {after}")),
        (
            "alexnet-bn",
            format!("conv1 bn1 relu1 pool1 conv2 bn2 relu2 pool2 conv3 bn3 relu3 conv4 bn4 relu4 conv5 bn5 relu5 pool5 {after}"),
        ),
        ("caffenet", format!("conv1 relu1 pool1 norm1 conv2 relu2 pool2 norm2 {hidden} {after}")),
        ("original-145", format!("conv1 norm1 relu1 pool1 conv2 relu2 norm2 spatial2 pool2 {hidden} {after}")),
        ("original-146", format!("conv1 norm1 relu1 pool1 conv2 relu2 norm2 spatial2 pool2 {hidden} conv6 relu_conv6 {after}")),
        ("owt", format!("conv1 norm1 relu1 pool1 conv2 relu2 norm2 pool2 {hidden} {after}")),
    ] {
        assert_eq!(names(&get(name)), order, "{name}");
    }
}

#[test]
fn normalisation_matches_each_source() {
    // name, k, alpha divided, columns
    for (name, want) in [
        ("paper", (2.0, false, 1)),
        ("paper-half", (2.0, false, 1)),
        ("original-145", (2.0, true, 2)),
        ("original-146", (2.0, true, 2)),
        ("owt", (2.0, true, 1)),
        ("bvlc", (1.0, true, 1)),
        ("caffenet", (1.0, true, 1)),
        ("onnx-bvlc", (1.0, true, 1)),
    ] {
        for layer in ["norm1", "norm2"] {
            let (k, divide_by_n, columns) = want;
            assert_eq!(
                op(&get(name), layer),
                Op::Lrn { n: 5, alpha: 1e-4, beta: 0.75, k, divide_by_n, columns },
                "{name} {layer}"
            );
        }
    }
    assert_eq!(op(&get("original-145"), "spatial2"), Op::SpatialNorm { n: 5, alpha: 1e-3, beta: 0.75, k: 1.0 });
}

#[test]
fn dropout_matches_each_source() {
    let at_inference = [
        "paper",
        "paper-half",
        "paper-one-tower",
        "paper-no-lrn",
        "paper-no-overlap",
        "paper-no-conv4",
        "original-145",
        "original-146",
        "owt",
        "paddle",
    ];
    for preset in ALL.iter().filter(|preset| !is_cifar(preset)) {
        let style =
            if at_inference.contains(&preset.name) { DropoutStyle::ScaleAtInference } else { DropoutStyle::ScaleInTraining };
        for layer in ["drop6", "drop7"] {
            assert_eq!(op(&(preset.build)(), layer), Op::Dropout { rate: 0.5, style }, "{} {layer}", preset.name);
        }
    }
}

/// Initialisation of every layer with weights.
fn inits(name: &str) -> Vec<(WeightInit, BiasInit)> {
    let init = |op: &Op| match *op {
        Op::Conv { weight_init, bias_init, .. }
        | Op::LocalConv { weight_init, bias_init, .. }
        | Op::Linear { weight_init, bias_init, .. } => Some((weight_init, bias_init)),
        _ => None,
    };
    get(name).layers.iter().filter_map(|l| init(&l.op)).collect()
}

#[test]
fn gaussian_initialisation_matches_each_source() {
    let expect = |name: &str, sigmas: &[f32], biases: &[f32]| {
        let want: Vec<_> = sigmas.iter().zip(biases).map(|(&s, &b)| (WeightInit::Normal(s), BiasInit::Constant(b))).collect();
        assert_eq!(inits(name), want, "{name}");
    };
    expect("paper", &[0.01; 8], &[0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    let code = [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01];
    expect("original-145", &code, &[0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    expect("owt", &code, &[0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, -7.0]);
    let with_conv6 = [0.01, 0.01, 0.03, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01];
    expect("original-146", &with_conv6, &[0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    let caffe = [0.01, 0.01, 0.01, 0.01, 0.01, 0.005, 0.005, 0.01];
    expect("bvlc", &caffe, &[0.0, 0.1, 0.0, 0.1, 0.1, 0.1, 0.1, 0.0]);
    expect("caffenet", &caffe, &[0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    assert_eq!(inits("paper-half"), inits("paper"));
    assert_eq!(inits("onnx-bvlc"), inits("bvlc"));
}

#[test]
fn other_initialisation_matches_each_source() {
    let torch = (WeightInit::UniformFanIn, BiasInit::UniformFanIn);
    assert_eq!(inits("torchvision"), [torch; 8]);
    // Paddle: 1 / sqrt(9216) for fc7 and fc8 too, although they have 4,096 inputs.
    let reused = (WeightInit::Uniform(1.0 / 96.0), BiasInit::Uniform(1.0 / 96.0));
    assert_eq!(inits("paddle"), [torch, torch, torch, torch, torch, torch, reused, reused]);
    let (he, xavier) = (WeightInit::HeNormal, WeightInit::XavierUniform);
    for name in ["tutorial-code", "tutorial-text"] {
        assert_eq!(inits(name), [he, he, he, he, he, xavier, xavier, xavier].map(|w| (w, BiasInit::Constant(0.0))), "{name}");
    }
    let fc = WeightInit::TruncatedNormal(0.005);
    let biases = [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0].map(BiasInit::Constant);
    let slim: Vec<_> = [xavier, xavier, xavier, xavier, xavier, fc, fc, fc].into_iter().zip(biases).collect();
    assert_eq!(inits("slim"), slim);
}

#[test]
fn towers_read_what_the_paper_says() {
    for name in ["paper", "original-145", "bvlc", "caffenet", "onnx-bvlc"] {
        let shapes = shapes(&get(name));
        let inputs: Vec<_> = shapes.iter().filter(|s| s.weight.len() == 4).map(|s| s.weight[1]).collect();
        assert_eq!(inputs, [3, 48, 256, 192, 192], "{name}");
    }
}

#[test]
fn image_sizes_that_are_too_small_are_refused() {
    // torchvision's smallest is 63 x 63 (its weights' `min_size`).
    assert_eq!(get("torchvision").with_image_size(63).shapes().map(|s| s[0].output.size).ok(), Some(15));
    for (name, smallest) in [("torchvision", 63), ("paper", 52)] {
        assert_eq!(get(name).with_image_size(16).smallest_image_size(), Some(smallest), "{name}");
        let error = get(name).with_image_size(16).check_image_size().expect_err("refused").to_string();
        assert!(error.contains("16 pixels are too small") && error.contains(&format!("at least {smallest}")), "{error}");
    }
    let error = get("torchvision").with_image_size(62).shapes().map(|_| ()).expect_err("refused").to_string();
    assert!(error.contains("torchvision: layer pool5") && error.contains("use larger images"), "{error}");
    for preset in ALL {
        // The nets for CIFAR-10 halve their maps two or three times only.
        for size in [0, 1, if is_cifar(preset) { 2 } else { 10 }, usize::MAX] {
            assert!((preset.build)().with_image_size(size).shapes().is_err(), "{} {size}", preset.name);
        }
    }
    // At 128 pixels: 31, 15, 7, 3, and the average pool expands 3 to 6.
    let small = shapes(&get("torchvision").with_image_size(128));
    let sizes = |names: [&str; 5]| names.map(|n| small.iter().find(|s| s.name == n).map(|s| s.output.size));
    assert_eq!(sizes(["conv1", "pool1", "pool2", "pool5", "avgpool"]), [31, 15, 7, 3, 6].map(Some));
}

#[test]
fn activation_and_classes_can_be_changed() {
    let net = get("paper").with_activation(Activation::Tanh).with_classes(7);
    assert!(names(&net).starts_with("conv1 tanh1 norm1 pool1 conv2 tanh2"), "{}", names(&net));
    let functions: Vec<_> =
        net.layers.iter().filter_map(|l| if let Op::Activation { function } = l.op { Some(function) } else { None }).collect();
    assert_eq!(functions, [Activation::Tanh; 7]);
    assert_eq!((net.classes(), shapes(&net).last().map(|s| s.weight.clone())), (7, Some(vec![7, 4096])));
    assert_eq!(net.with_activation(Activation::Relu), get("paper").with_classes(7));
}

#[test]
fn an_unknown_name_lists_suggestions() {
    let error = |name: &str| by_name(name).map(|_| ()).expect_err("refused").to_string();
    assert!(error("tochvision").contains("did you mean `torchvision`?"), "{}", error("tochvision"));
    assert!(error("CaffeNet").contains("did you mean `caffenet`?"), "{}", error("CaffeNet"));
    assert!(!error("resnet50-v2-big").contains("did you mean"), "{}", error("resnet50-v2-big"));
    for preset in ALL {
        assert!(error("vgg").contains(preset.name), "{}", error("vgg"));
    }
}

#[test]
fn former_names_are_accepted() {
    assert_eq!(by_name("seed-code").unwrap().name, "tutorial-code");
    let text = serde_json::to_string(&get("tutorial-text")).unwrap();
    let old = text.replace("tutorial-text", "seed-text");
    assert_ne!(old, text);
    assert_eq!(serde_json::from_str::<Net>(&old).unwrap(), get("tutorial-text"));
}

#[test]
fn presets_round_trip_through_json() {
    for preset in ALL {
        let net = (preset.build)();
        let text = serde_json::to_string(&net).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(serde_json::from_str::<Net>(&text).unwrap_or_else(|e| panic!("{e}: {text}")), net, "{}", preset.name);
    }
}
