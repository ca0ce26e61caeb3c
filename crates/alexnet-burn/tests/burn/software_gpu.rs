//! Comparison of the engine on a Vulkan device with the CPU engine, by Burn's SPIR-V (`vulkan`) or WGSL (`webgpu`). A
//! software device is sufficient, such as the SwiftShader of Debian's chromium:
//! `VK_DRIVER_FILES=/usr/lib/chromium/vk_swiftshader_icd.json cargo test -p alexnet-burn --features vulkan --test burn software_gpu`
#![cfg(any(feature = "vulkan", feature = "webgpu"))]

use alexnet::engine::Precision;
use alexnet::engine::cpu::{Convolutions, Cpu};
use alexnet::net::{Net, Op, presets};
use alexnet::selftest::{self, Bounds, Case, compare, smooth};
use alexnet_burn::{Gpu, device};

/// Values, gradients and training steps; linear layers are narrow, since a software device is slow.
#[test]
fn two_presets_and_their_smooth_twins_agree_with_the_cpu_engine() {
    let kind = if cfg!(feature = "webgpu") { "webgpu" } else { "vulkan" };
    let devices = match device::parse(kind) {
        Ok(devices) => devices,
        // If a driver is named explicitly, it must be tested.
        Err(why) if std::env::var_os("VK_DRIVER_FILES").is_some() => panic!("{why}"),
        Err(why) => return println!("skipped: {why}"),
    };
    for (name, size) in [("paper", 67), ("torchvision", 63)] {
        let net = presets::by_name(name).expect("a preset");
        let (twin, bounds) = (smooth(&net), &Bounds::WHERE_SLOPES_JUMP);
        let runs = [(&twin, 2, &Bounds::DIRECT), (&twin, 3, &Bounds::DIRECT), (&net, 4, bounds)];
        for (net, seed, bounds) in runs {
            let case = Case { net: narrow(net).with_image_size(size), seed, batch: 1 };
            let mut engine = Gpu::new(&case.engines_net(), 1, devices.clone(), Precision::F32).expect("a preset");
            let found = selftest::run(&case, kind, &mut engine).expect("a case");
            let cpu = Cpu::new(&case.engines_net(), 1, 0).expect("a preset");
            let expected = selftest::run(&case, "cpu", &mut cpu.with_convolutions(Convolutions::Direct)).expect("a case");
            let deviations = compare(&found, &expected, bounds).into_iter();
            let (ratio, what) = deviations.map(|d| (d.ratio, d.what)).max_by(|a, b| a.0.total_cmp(&b.0)).expect("quantities");
            println!("{name}, seed {seed}: {what} deviates most, at {ratio:.3} of the tolerance");
            assert!(ratio <= 1.0, "{name}, seed {seed}: {what} is off {ratio:.1} times what is allowed");
        }
    }
}

/// The only tower test whose two devices differ.
#[cfg(feature = "flex")]
#[test]
fn towers_on_different_devices_match_one_net() {
    let devices = match device::parse("vulkan,flex") {
        Ok(devices) => devices,
        Err(why) if std::env::var_os("VK_DRIVER_FILES").is_some() => panic!("{why}"),
        Err(why) => return println!("skipped: {why}"),
    };
    let case = Case {
        net: narrow(&smooth(&presets::by_name("original-145").expect("a preset"))).with_image_size(67),
        seed: 5,
        batch: 1,
    };
    let mut engine = Gpu::new(&case.engines_net(), 1, devices, Precision::F32).expect("two groups");
    let found = selftest::run(&case, "vulkan,flex", &mut engine).expect("a case");
    let cpu = Cpu::new(&case.engines_net(), 1, 0).expect("a preset");
    let expected = selftest::run(&case, "cpu", &mut cpu.with_convolutions(Convolutions::Direct)).expect("a case");
    for deviation in compare(&found, &expected, &Bounds::DIRECT) {
        assert!(deviation.ratio <= 1.0, "{} is off {:.1} times what is allowed", deviation.what, deviation.ratio);
    }
}

fn narrow(net: &Net) -> Net {
    let mut net = net.clone();
    for layer in &mut net.layers {
        if let Op::Linear { out, .. } = &mut layer.op {
            *out = 14;
        }
    }
    net
}
