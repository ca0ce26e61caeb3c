//! The engine on a Vulkan device against the CPU engine. A software device will do, such as the SwiftShader of Debian's chromium:
//! `VK_DRIVER_FILES=/usr/lib/chromium/vk_swiftshader_icd.json cargo test -p alexnet-burn --features webgpu --test software_gpu`
#![cfg(feature = "webgpu")]

use alexnet::engine::cpu::{Convolutions, Cpu};
use alexnet::net::{Op, presets};
use alexnet::selftest::{self, Bounds, Case, compare, smooth};
use alexnet_burn::{Gpu, Precision, device};

/// Values, gradients and three steps of training; linear layers are narrow, since a software device is slow.
#[test]
fn two_presets_agree_with_the_cpu_engine_at_two_seeds() {
    for (name, size) in [("paper", 67), ("torchvision", 63)] {
        let mut net = smooth(&presets::by_name(name).expect("a preset")).with_image_size(size);
        for layer in &mut net.layers {
            if let Op::Linear { out, .. } = &mut layer.op {
                *out = 14;
            }
        }
        for seed in [2, 3] {
            let case = Case { net: net.clone(), seed, batch: 1 };
            let devices = device::parse("webgpu").expect("a Vulkan device");
            let mut engine = Gpu::new(&case.engines_net(), case.batch, devices, Precision::F32).expect("a preset");
            let found = selftest::run(&case, "webgpu", &mut engine).expect("a case");
            let cpu = Cpu::new(&case.engines_net(), case.batch, 0).expect("a preset");
            let expected = selftest::run(&case, "cpu", &mut cpu.with_convolutions(Convolutions::Direct)).expect("a case");
            for deviation in compare(&found, &expected, &Bounds::DIRECT) {
                let (what, ratio) = (&deviation.what, deviation.ratio);
                assert!(ratio <= 1.0, "{name}, seed {seed}: {what} is off {ratio:.1} times what is allowed");
            }
        }
    }
}
