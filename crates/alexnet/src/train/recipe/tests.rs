use super::*;
use crate::image::Resize;
use crate::net::{Op, WeightInit};

fn at(epoch: usize) -> Progress {
    Progress { epoch, step: epoch as u64 * 10, steps_per_epoch: 10, drops: 0 }
}

fn rates(recipe: &Recipe, epochs: &[usize]) -> Vec<f32> {
    epochs.iter().map(|&e| recipe.step_at(at(e)).lr).collect()
}

#[test]
fn simple_divides_by_ten_at_two_thirds_like_the_reference() {
    let mut recipe = by_name("simple").unwrap();
    assert_eq!(rates(&recipe, &[0, 15, 16, 23]), [0.01, 0.01, 0.001, 0.001]);
    // Python: 20 * 2 // 3 == 13.
    recipe.epochs = 20;
    assert_eq!(rates(&recipe, &[12, 13]), [0.01, 0.001]);
    let update = recipe.step_at(at(0));
    assert_eq!((update.weight_decay, update.bias_weight_decay, update.bias_lr), (5e-4, 5e-4, 0.01));
    assert_eq!(update.optimizer, Sgd { form: MomentumForm::RateOutside, ..Sgd::default() }.into());
    let net = crate::net::presets::by_name("torchvision").unwrap().with_image_size(128);
    assert_eq!(recipe.preprocess(&net).resize, Resize::ShortSide(146));
    assert_eq!(recipe.prepare(net.clone()), net);
}

#[test]
fn the_original_drops_at_25_51_and_79_but_not_for_biases() {
    let recipe = by_name("original").unwrap();
    assert_eq!(rates(&recipe, &[0, 24, 25, 50, 51, 78, 79, 90]), [0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]);
    assert_eq!(recipe.step_at(at(90)).bias_lr, 0.02);
    assert_eq!(recipe.step_at(at(0)).bias_weight_decay, 0.0);
}

#[test]
fn the_original_slows_conv1_at_67_and_freezes_it_at_72() {
    let recipe = by_name("original").unwrap();
    let net = crate::net::presets::by_name("original-145").unwrap();
    let changes = |epochs| crate::train::param_groups::rate_changes(&net, &recipe.layer_rate_changes, epochs).unwrap();
    assert_eq!(changes(91), [(67, "conv1".to_string(), 0.1), (72, "conv1".to_string(), 0.0)]);
    assert_eq!(changes(182).iter().map(|(epoch, _, _)| *epoch).collect::<Vec<_>>(), [134, 144]);
    let text = toml::to_string(&recipe).unwrap();
    assert!(text.contains("layer_rate_changes = [[67, 91, \"conv1\", 0.1], [72, 91, \"conv1\", 0.0]]"), "{text}");
    assert_eq!(toml::from_str::<Recipe>(&text).unwrap(), recipe);
    assert!(!toml::to_string(&by_name("paper").unwrap()).unwrap().contains("layer_rate_changes"));
    for times in [-1.0, f64::NAN] {
        let change = RateChange { at: [1, 2], layer: "conv1".into(), times };
        assert!(Recipe { layer_rate_changes: vec![change], ..recipe.clone() }.check().is_err());
    }
}

#[test]
fn caffe_drops_every_20_of_90_and_torchvision_every_30_epochs() {
    assert_eq!(rates(&by_name("caffe").unwrap(), &[19, 20, 40, 60, 80]), [0.01, 1e-3, 1e-4, 1e-5, 1e-6]);
    assert_eq!(by_name("caffe").unwrap().step_at(at(20)).bias_lr, 2e-3);
    assert_eq!(rates(&by_name("torchvision").unwrap(), &[29, 30, 59, 60, 90]), [0.01, 1e-3, 1e-3, 1e-4, 1e-5]);
}

#[test]
fn cuda_convnet_drops_for_two_times_ten_epochs_at_the_end() {
    assert_eq!(rates(&by_name("cifar-18pct").unwrap(), &[0, 119, 120, 129, 130, 139]), [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]);
    assert_eq!(rates(&by_name("cifar-11pct").unwrap(), &[0, 449, 450, 459, 460, 469]), [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]);
    // All rates of the first fall, but only those of the weights of the second.
    assert_eq!(["cifar-18pct", "cifar-11pct"].map(|name| by_name(name).unwrap().step_at(at(465)).bias_lr), [2e-5, 2e-3]);
}

#[test]
fn warm_up_rises_and_cosine_decays() {
    let recipe = Recipe { epochs: 10, lr: 1.0, schedule: Schedule::WarmupCosine { warmup: 0.1 }, ..by_name("quick").unwrap() };
    let rate = |step| recipe.lr_at(Progress { epoch: 0, step, steps_per_epoch: 10, drops: 0 });
    // 10 steps up, 90 down: cos(pi 0.5 / 90), and near the middle of the decay cos(pi 44.5 / 90), cos(pi 45.5 / 90).
    assert_eq!((rate(0), rate(9)), (0.05, 0.95));
    assert!((rate(10) - 0.999_923_85).abs() < 1e-6);
    assert!((rate(54) + rate(55) - 1.0).abs() < 1e-12);
    assert!(rate(99) > 0.0 && rate(99) < 1e-3);
}

#[test]
fn warm_up_rises_and_polynomial_decays() {
    let schedule = Schedule::WarmupPoly { epochs: 2.0, power: 2.0 };
    let recipe = Recipe { epochs: 12, lr: 1.0, schedule, ..by_name("large-batch").unwrap() };
    let rate = |step| recipe.lr_at(Progress { epoch: 0, step, steps_per_epoch: 10, drops: 0 });
    // 20 steps up, 100 down: (1 - 0.5 / 100)^2, in the middle (1 - 50.5 / 100)^2, at the end (0.5 / 100)^2.
    assert_eq!((rate(0), rate(19)), (0.025, 0.975));
    for (step, share) in [(20, 0.995f64), (70, 0.495), (119, 0.005)] {
        assert!((rate(step) - share * share).abs() < 1e-12, "step {step}: {}", rate(step));
    }
    // With two epochs of warm-up in a run of two, half of the run rises.
    let short = Recipe { epochs: 2, ..recipe.clone() };
    assert_eq!(short.lr_at(Progress { epoch: 0, step: 9, steps_per_epoch: 10, drops: 0 }), 0.95);
    let optimizer = Sgd { lars_trust: Some(0.0), ..Sgd::default() }.into();
    assert!(Recipe { optimizer, ..recipe.clone() }.check().is_err());
    let schedule = Schedule::WarmupPoly { epochs: f64::NAN, power: 2.0 };
    assert!(Recipe { schedule, ..recipe }.check().is_err());
}

#[test]
fn only_the_rate_for_large_batches_scales_with_the_batch() {
    let large = by_name("large-batch").unwrap();
    assert_eq!((large.batch, large.lr, large.optimizer.lars_trust()), (32_768, 32.0, Some(0.001)));
    let small = large.with_batch(512);
    assert_eq!((small.batch, small.lr), (512, 0.5));
    assert_eq!(small.clone().step_at(at(50)).optimizer.lars_trust(), Some(0.001));
    let accumulated = small.with_accumulate(64);
    assert_eq!((accumulated.batch, accumulated.accumulate, accumulated.lr), (512, 64, 32.0));
    assert_eq!(by_name("caffe").unwrap().with_batch(512).with_accumulate(2).lr, 0.01);
}

#[test]
fn the_rate_follows_the_number_of_drops() {
    let recipe = by_name("paper").unwrap();
    assert_eq!(recipe.lr_at(Progress { drops: 2, ..at(5) }), 0.01 / 100.0);
    let constant = Recipe { schedule: Schedule::Constant, ..recipe };
    assert_eq!(constant.lr_at(Progress { drops: 2, ..at(80) }), 0.01);
}

#[test]
fn he_scales_every_layer_by_fan_in_and_the_last_one_small() {
    let net = by_name("quick").unwrap().prepare(crate::net::presets::by_name("torchvision").unwrap());
    let inits: Vec<WeightInit> = net
        .layers
        .iter()
        .filter_map(|l| match l.op {
            Op::Conv { weight_init, .. } | Op::Linear { weight_init, .. } => Some(weight_init),
            _ => None,
        })
        .collect();
    assert_eq!(inits.len(), 8);
    assert!(inits[..7].iter().all(|i| *i == WeightInit::HeNormal));
    assert_eq!(inits[7], WeightInit::Normal(0.01));
}

#[test]
fn small_sets_scale_by_fan_in_corrected_for_pools_and_dropout() {
    let net = crate::net::presets::by_name("torchvision").unwrap();
    let recipe = by_name("quick").unwrap().without_batch_norm().for_small_set(54, 6);
    let deviation = |net: &crate::net::Net, name: &str| match net.layers[net.layer(name).unwrap()].op {
        Op::Conv { weight_init: WeightInit::Normal(x), .. } | Op::Linear { weight_init: WeightInit::Normal(x), .. } => x,
        _ => panic!("unexpected initialisation of {name}"),
    };
    let found = ["conv1", "conv2", "conv4", "fc6", "fc7", "fc8"].map(|name| deviation(&recipe.prepare(net.clone()), name));
    // sqrt(2 / (11 * 11 * 3)); a third of the 2 after max pooling; and half of that where dropout doubles half of the
    // inputs.
    let wanted = [2f32 / 363.0, 2.0 / 3.0 / 1600.0, 2.0 / 3456.0, 1.0 / 3.0 / 9216.0, 1.0 / 4096.0, 1e-6].map(f32::sqrt);
    assert!(found.iter().zip(&wanted).all(|(a, b)| (a / b - 1.0).abs() < 1e-6), "{found:?}, not {wanted:?}");
}

#[test]
fn options_of_later_versions_are_left_out_unless_used() {
    for name in NAMES {
        let json = serde_json::to_string(&by_name(name).unwrap()).unwrap();
        assert!(
            ["accumulate", "clip_norm", "ema", "nesterov", "warmup_epochs", "warmup_fraction", "\"on\""]
                .iter()
                .all(|key| !json.contains(key)),
            "{json}"
        );
    }
    let text = "decay = 0.99";
    let ema: Ema = toml::from_str(text).unwrap();
    assert_eq!(ema, Ema { decay: 0.99, every: 8, warmup: true });
    let recipe = by_name("quick").unwrap();
    assert!(Recipe { accumulate: 0, ..recipe.clone() }.check().is_err());
    let cosine: Schedule = toml::from_str("kind = \"cosine\"").unwrap();
    let warm = Recipe { warmup_epochs: 1.0, schedule: cosine, epochs: 4, lr: 1.0, ..recipe.clone() };
    warm.check().unwrap();
    assert_eq!((warm.lr_at(at(0)), warm.lr_at(at(1))), (1.0 / 11.0, 1.0));
    let text = toml::to_string(&warm).unwrap();
    assert!(text.contains("warmup_epochs = 1.0") && toml::from_str::<Recipe>(&text).unwrap() == warm, "{text}");
    assert!(Recipe { clip_norm: Some(0.0), ..recipe.clone() }.check().is_err());
    assert!(Recipe { clip_norm: Some(f64::NAN), ..recipe.clone() }.check().is_err());
    assert!(Recipe { ema: Some(Ema { decay: 1.5, ..ema }), ..recipe }.check().unwrap_err().to_string().contains("ema.decay"));
}

#[test]
fn every_recipe_keeps_its_name_roundtrips_json_and_is_valid() {
    for name in NAMES {
        let recipe = by_name(name).unwrap();
        recipe.check().unwrap();
        assert_eq!(recipe.name, name);
        let json = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
    }
    assert!(by_name("papper").unwrap_err().to_string().contains("paper, original"));
    assert!(Recipe { lr: f64::NAN, ..by_name("paper").unwrap() }.check().is_err());
}

#[test]
fn small_sets_get_enough_steps_of_all_images_and_large_ones_are_unchanged() {
    let quick = by_name("quick").unwrap();
    let plain = quick.clone().without_batch_norm();
    for (train, recipe) in (2..SMALL_SET).flat_map(|train| [(train, &quick), (train, &plain)]) {
        let recipe = recipe.clone().for_small_set(train, 6);
        recipe.check().unwrap();
        let (steps, rest) = (train.div_ceil(recipe.batch), train % recipe.batch);
        let (largest, enough) = if recipe.batch_norm { (40, 240) } else { (20, 400) };
        assert!(!recipe.drop_last && recipe.batch <= largest && steps * recipe.epochs >= 50, "{train}: {recipe:?}");
        assert!(rest == 0 || 2 * rest >= recipe.batch && rest > 1, "{train}: a last batch of {rest} of {}", recipe.batch);
        assert!(steps * recipe.epochs >= enough || recipe.epochs == 100, "{train}: {recipe:?}");
        assert!(recipe.batch_norm == (quick.adapts_to(train) && train >= 16 && recipe.dropout.is_some()), "{train}: {recipe:?}");
        // The warm-up is a fraction of all steps, not of an epoch.
        let at = |step| Progress { epoch: 0, step, steps_per_epoch: steps as u64, drops: 0 };
        let rise = steps * recipe.epochs / 10;
        assert!(recipe.lr_at(at(0)) < recipe.lr / 5.0 && recipe.lr_at(at(rise as u64)) > 0.9 * recipe.lr, "{train}");
    }
    let of = |train| quick.clone().for_small_set(train, 6);
    let of_plain = |train| plain.clone().for_small_set(train, 6);
    assert_eq!((of_plain(54).batch, of_plain(54).epochs), (6, 50));
    assert_eq!((of(54).batch, of(54).epochs, of(54).lr), (12, 48, 0.04));
    assert_eq!([8, 48, 64, 600].map(|train| of_plain(train).lr), [0.001, 0.0015, 0.002, 0.002]);
    assert_eq!((of(SMALL_SET), of_plain(SMALL_SET)), (quick.clone(), plain));
    assert_eq!(quick.clone().for_small_set(300, 60).best, Choice::Validation);
    assert_eq!(of(300).best, Choice::Last);
    for name in NAMES.into_iter().filter(|name| *name != "quick") {
        assert_eq!(by_name(name).unwrap().for_small_set(54, 6), by_name(name).unwrap());
    }
}

#[test]
fn large_sets_get_less_decay_down_to_that_of_the_paper() {
    let quick = by_name("quick").unwrap();
    let of = |train| quick.clone().for_large_set(train).weight_decay;
    assert_eq!([10, 4000, 8000, 50_000, 80_000, 1_281_167].map(of), [0.01, 0.01, 0.005, 0.0008, 0.0005, 0.0005]);
    let light = Recipe { weight_decay: 1e-5, ..quick.clone() };
    assert_eq!(light.clone().for_large_set(50_000), light);
    let plain = quick.without_batch_norm();
    assert_eq!(plain.clone().for_large_set(50_000), plain);
}

#[test]
fn long_runs_get_more_augmentation() {
    let quick = by_name("quick").unwrap();
    let of = |epochs, train| Recipe { epochs, ..quick.clone() }.for_long_run(train);
    let changed =
        |recipe: &Recipe| quick.differences(recipe).unwrap().into_iter().map(|[key, _, value]| format!("{key} = {value}"));
    assert_eq!(changed(&of(60, 3000)).collect::<Vec<_>>(), ["epochs = 60", "augment.auto = \"trivial\""]);
    for (epochs, train) in [(59, 3000), (100, 100)] {
        assert_eq!(of(epochs, train), Recipe { epochs, ..quick.clone() });
    }
    let plain = Recipe { epochs: 90, ..quick.clone().without_batch_norm() };
    assert_eq!(plain.clone().for_long_run(3000), plain);
}

#[test]
fn short_runs_get_crops_of_a_fixed_size() {
    let quick = by_name("quick").unwrap();
    let of = |epochs, train| Recipe { epochs, ..quick.clone() }.for_short_run(train);
    let short = of(11, 50_000);
    assert_eq!(short, Recipe { epochs: 11, augment: Augmentation::crop_mirror(), crop_pct: Some(0.875), ..quick.clone() });
    short.check().unwrap();
    for (epochs, train) in [(12, 50_000), (4, 100)] {
        assert_eq!(of(epochs, train), Recipe { epochs, ..quick.clone() });
    }
    let plain = Recipe { epochs: 4, ..quick.clone().without_batch_norm() };
    assert_eq!(plain.clone().for_short_run(3000), plain);
}

#[test]
fn another_optimizer_brings_its_own_settings_and_rate() {
    let quick = by_name("quick").unwrap();
    let adamw = quick.clone().with_optimizer("adamw").unwrap();
    adamw.check().unwrap();
    assert_eq!((adamw.lr, adamw.optimizer), (0.004, AdamW::default().into()));
    assert_eq!(adamw.step_at(at(3)).number, 31);
    assert_eq!(quick.clone().with_optimizer("sgd").unwrap(), quick);
    assert!(quick.with_optimizer("adam").unwrap_err().to_string().contains("sgd, adamw"));
}

/// Number of images from which the recipe is unchanged.
const SMALL_SET: usize = 640;

#[test]
fn the_crop_may_be_a_share_of_the_image() {
    let net = crate::net::presets::by_name("torchvision").unwrap().with_image_size(128);
    let resize = |crop_pct| Recipe { crop_pct, ..by_name("quick").unwrap() }.preprocess(&net).resize;
    assert_eq!([None, Some(0.875), Some(1.0), Some(0.5)].map(resize), [146, 146, 128, 256].map(Resize::ShortSide));
    let dropout = Recipe { dropout: Some(0.1), ..by_name("quick").unwrap() }.prepare(net);
    let rates: Vec<f32> =
        dropout.layers.iter().filter_map(|l| if let Op::Dropout { rate, .. } = l.op { Some(rate) } else { None }).collect();
    assert_eq!(rates, [0.1; 2]);
}
