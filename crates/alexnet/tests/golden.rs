//! The CPU engine against PyTorch's figures, for every net that has some.

use alexnet::engine::cpu::{Convolutions, Cpu};
use alexnet::selftest::{self, compare, golden};

#[test]
fn every_reference_case_agrees_with_pytorch() {
    for reference in golden::all().expect("golden files are part of the program") {
        let case = golden::case(&reference).expect("golden nets are presets");
        let report = selftest::run(&case, "test", |net| {
            Cpu::new(net, case.batch, 0).map(|cpu| cpu.with_convolutions(Convolutions::Direct))
        })
        .expect("the case runs");
        let deviations = compare(&report, &reference);
        // 1 count, 3 losses, 8 probabilities, 11 activations or more, 16 gradients and 16 updates.
        assert!(deviations.len() >= 55, "{} quantities of {}", deviations.len(), reference.net);
        for deviation in deviations {
            assert!(
                deviation.ratio <= 1.0,
                "{}: {} is off {:.1} times what is allowed",
                reference.net,
                deviation.what,
                deviation.ratio
            );
        }
    }
}

#[test]
fn a_wrong_report_is_told() {
    let reference = golden::all().expect("golden files are part of the program").remove(0);
    let mut report = reference.clone();
    assert!(compare(&report, &reference).iter().all(|d| d.ratio == 0.0));
    let tell = report.gradients.get_mut("conv4.weight").expect("a gradient");
    tell.probe += 2e-4 * tell.l2;
    report.update.remove("fc8.bias");
    let wrong: Vec<String> = compare(&report, &reference).into_iter().filter(|d| d.ratio > 1.0).map(|d| d.what).collect();
    assert_eq!(wrong, ["gradient conv4.weight", "update fc8.bias"]);
}
