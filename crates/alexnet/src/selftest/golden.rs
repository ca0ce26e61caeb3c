//! Reference values computed by PyTorch 2.15 in float32; `tutorial-code` was checked against Paddle running the page's own class.
//!
//! The nets for CIFAR-10 are from `tools/make_cifar_goldens.py`, in float64, with the layers that PyTorch lacks written out.
//!
//! `original-145` is from the same script in float64: in its float32 run, rounding makes a zero unit pass a ReLU, which changes
//! gradients by up to 150 times the bound. Any case can have such a unit; these cases have none for this engine on AVX-512 and
//! AVX2.

use super::{Case, Report};
use crate::net::presets;
use crate::{Error, Result};

/// Reference files, ordered by the age of the nets; those for CIFAR-10 last.
const FILES: [&str; 11] = [
    include_str!("../../golden/original-145.seed1.json"),
    include_str!("../../golden/paper.seed1.json"),
    include_str!("../../golden/bvlc.seed1.json"),
    include_str!("../../golden/caffenet.seed1.json"),
    include_str!("../../golden/torchvision.seed1.json"),
    include_str!("../../golden/torchvision.size128.seed1.json"),
    include_str!("../../golden/tutorial-text.seed1.json"),
    include_str!("../../golden/tutorial-code.seed1.json"),
    include_str!("../../golden/cifar-18pct.seed1.json"),
    include_str!("../../golden/cifar-13pct.seed1.json"),
    include_str!("../../golden/cifar-11pct.seed1.json"),
];

/// All reference reports.
///
/// # Errors
/// A file is not a valid report.
pub fn all() -> Result<Vec<Report>> {
    let parse = |text: &&str| serde_json::from_str(text).map_err(|e| Error::Invalid(format!("a golden file: {e}")));
    FILES.iter().map(parse).collect()
}

/// The case of a report.
///
/// # Errors
/// The net is not a preset.
pub fn case(report: &Report) -> Result<Case> {
    let net = presets::by_name(&report.net)?.with_classes(report.classes).with_image_size(report.input_size);
    Ok(Case { net, seed: report.seed, batch: report.batch })
}
