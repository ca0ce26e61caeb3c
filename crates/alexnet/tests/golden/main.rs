//! Comparison of the CPU engine with PyTorch's reference values, for every net that has them.

use alexnet::engine::cpu::{Convolutions, Cpu};
use alexnet::selftest::{self, Bounds, Case, Deviation, Report, compare, golden};

/// Asserts that a report is within the bounds and complete.
fn assert_equal(report: &Report, reference: &Report, bounds: &Bounds) {
    let deviations = compare(report, reference, bounds);
    // 1 count, 3 losses, 8 probabilities, 11 activations or more, 16 gradients and 16 updates; of the nets for CIFAR-10, at least 7
    // activations, 8 gradients and 8 updates.
    let least = if reference.net.starts_with("cifar-") { 35 } else { 55 };
    assert!(deviations.len() >= least, "{} quantities of {}", deviations.len(), reference.net);
    for Deviation { what, ratio } in deviations {
        assert!(ratio <= 1.0, "{}: {what} deviates by {ratio:.1} times the tolerance", reference.net);
    }
}

fn run(case: &Case, convolutions: Convolutions) -> Report {
    let engine = Cpu::new(&case.engines_net(), case.batch, 0).expect("a preset");
    selftest::run(case, "test", &mut engine.with_convolutions(convolutions)).expect("the case runs")
}

#[test]
fn every_reference_case_agrees_with_pytorch() {
    for reference in golden::all().expect("golden files are part of the program") {
        let case = golden::case(&reference).expect("golden nets are presets");
        assert_equal(&run(&case, Convolutions::Direct), &reference, &Bounds::DIRECT);
        assert_equal(&run(&case, Convolutions::Winograd), &reference, &Bounds::WHERE_SLOPES_JUMP);
    }
}

#[test]
fn winograd_is_as_accurate_as_direct_on_smooth_nets() {
    for reference in golden::all().expect("golden files are part of the program") {
        let case = golden::case(&reference).expect("golden nets are presets");
        let case = Case { net: selftest::smooth(&case.net), ..case };
        assert_equal(&run(&case, Convolutions::Winograd), &run(&case, Convolutions::Direct), &Bounds::DIRECT);
    }
}

#[test]
fn deviations_of_a_report_are_found() {
    let reference = golden::all().expect("golden files are part of the program").remove(0);
    let report = reference.clone();
    assert!(compare(&report, &reference, &Bounds::DIRECT).iter().all(|d| d.ratio == 0.0));
    for bounds in [Bounds::DIRECT, Bounds::WHERE_SLOPES_JUMP] {
        let mut report = reference.clone();
        let gradient = report.gradients.get_mut("conv4.weight").expect("a gradient");
        gradient.probe += 2.0 * bounds.gradients * gradient.l2;
        report.losses[2] += 1.1 * bounds.updates * (report.losses[0] - report.losses[2]);
        report.update.remove("fc8.bias");
        let wrong: Vec<String> =
            compare(&report, &reference, &bounds).into_iter().filter(|d| d.ratio > 1.0).map(|d| d.what).collect();
        assert_eq!(wrong, ["loss 2", "gradient conv4.weight", "update fc8.bias"]);
    }
}
