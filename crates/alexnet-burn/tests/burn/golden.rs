//! Comparison of the Burn engine with PyTorch's reference values.
#![cfg(feature = "flex")]

use alexnet::engine::Precision;
use alexnet::engine::cpu::{Convolutions, Cpu};
use alexnet::net::{Op, presets};
use alexnet::selftest::{self, Bounds, Case, Report, compare, golden, smooth};
use alexnet_burn::{Gpu, device};

fn on_flex(case: &Case) -> Report {
    let devices = device::parse("flex").expect("Burn's processor");
    let mut engine = Gpu::new(&case.engines_net(), case.batch, devices, Precision::F32).expect("a preset");
    selftest::run(case, "flex", &mut engine).expect("a case")
}

fn on_cpu(case: &Case) -> Report {
    let engine = Cpu::new(&case.engines_net(), case.batch, 0).expect("a preset");
    selftest::run(case, "cpu", &mut engine.with_convolutions(Convolutions::Direct)).expect("a case")
}

fn assert_equal(report: &Report, reference: &Report, what: &str) {
    let deviations = compare(report, reference, &Bounds::DIRECT).into_iter();
    let (ratio, quantity) = deviations.map(|d| (d.ratio, d.what)).max_by(|a, b| a.0.total_cmp(&b.0)).expect("quantities");
    assert!(ratio <= 1.0, "{what}: {quantity} is off {ratio:.1} times what is allowed");
}

/// Runs only the fast cases; `alexnet selftest --device flex` runs them all.
#[test]
fn reference_cases_agree_with_pytorch() {
    for reference in golden::all().expect("reference values") {
        if reference.net == "bvlc" || reference.input_size == 128 {
            let case = golden::case(&reference).expect("a preset");
            assert_equal(&on_flex(&case), &reference, &case.net.name);
        }
    }
}

/// Uses tanh and average pools, so that rounding cannot make a slope jump; linear layers are narrow to save time.
#[test]
fn every_preset_agrees_with_the_cpu_engine_at_two_seeds() {
    // Locally connected layers are refused: see `engine`.
    let nets = presets::ALL.iter().filter(|preset| (preset.build)().local_layer().is_none());
    for (i, preset) in nets.enumerate() {
        let mut net = smooth(&(preset.build)());
        for layer in &mut net.layers {
            if let Op::Linear { out, .. } = &mut layer.op {
                *out = 62;
            }
        }
        // Small images, of sizes that divide evenly in no layer.
        let size = (60..).map(|size| size + i).find(|&size| net.clone().with_image_size(size).shapes().is_ok()).expect("a size");
        for seed in [2, 3] {
            let case = Case { net: net.clone().with_image_size(size), seed, batch: 2 };
            assert_equal(&on_flex(&case), &on_cpu(&case), &format!("{} at {size} pixels, seed {seed}", preset.name));
        }
    }
}
