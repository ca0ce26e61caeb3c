//! Examination of this machine: what it is, how fast it is, whether it computes as PyTorch does, and what makes it slow.
//!
//! ```no_run
//! let examination = alexnet::doctor::Examination::of_this_machine()?;
//! for advice in examination.advice() {
//!     println!("{advice}");
//! }
//! # Ok::<(), alexnet::Error>(())
//! ```

mod advice;
mod machine;
mod speeds;

pub use machine::Machine;
pub use speeds::Speeds;

use crate::Result;
use crate::engine::cpu::{Convolutions, Cpu};
use crate::selftest::{self, Bounds, golden};
use alexnet_kernels::isa::{self, Isa};
use serde::Serialize;

/// Nets of the self-test: they contain every kind of layer but dropout, and take about five seconds.
const TESTED: [(&str, usize); 2] = [("torchvision", 128), ("cifar-11pct", 24)];

/// Findings about this machine.
#[derive(Debug, Clone, Serialize)]
pub struct Examination {
    /// What the system says.
    pub machine: Machine,
    /// Instruction set in use.
    pub isa: String,
    /// The best one that the processor supports.
    pub best_isa: String,
    /// Features of the processor that kernels use, and whether it has them.
    pub features: Vec<(&'static str, bool)>,
    /// Measured speeds.
    pub speeds: Speeds,
    /// Results of the self-test by net.
    pub selftest: Vec<Tested>,
    /// Whether the program was compiled without optimisation.
    pub debug: bool,
}

/// A net of the self-test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tested {
    /// Name of the net.
    pub net: String,
    /// Image size in pixels.
    pub size: usize,
    /// Number of compared quantities: activations, gradients, losses and updates.
    pub quantities: usize,
    /// Largest deviation from PyTorch as a multiple of the tolerance; up to 1 is equal.
    pub deviation: f64,
}

impl Tested {
    /// Whether the net's results equal PyTorch's.
    pub fn is_right(&self) -> bool {
        self.deviation <= 1.0
    }
}

impl Examination {
    /// Examines the machine in about ten seconds, with one thread for each processor.
    ///
    /// # Errors
    /// An unknown or unsupported instruction set in `ALEXNET_ISA`, or no memory.
    pub fn of_this_machine() -> Result<Examination> {
        // Before the measurements, which are a load themselves.
        let machine = Machine::examine();
        let (isa, speeds) = speeds::measure(machine.threads)?;
        Ok(Examination {
            isa: isa.to_string(),
            best_isa: Isa::detect().to_string(),
            features: isa::features(),
            speeds,
            selftest: tested(machine.threads)?,
            debug: cfg!(debug_assertions),
            machine,
        })
    }

    /// Whether this machine computes as PyTorch does.
    pub fn is_right(&self) -> bool {
        self.selftest.iter().all(Tested::is_right)
    }
}

fn tested(threads: usize) -> Result<Vec<Tested>> {
    let references = golden::all()?;
    let tested = references.iter().filter(|report| TESTED.contains(&(report.net.as_str(), report.input_size)));
    tested
        .map(|reference| {
            let case = golden::case(reference)?;
            let mut engine = Cpu::new(&case.engines_net(), case.batch, threads)?.with_convolutions(Convolutions::Direct);
            let report = selftest::run(&case, "alexnet", &mut engine)?;
            let deviations = selftest::compare(&report, reference, &Bounds::DIRECT);
            Ok(Tested {
                net: report.net,
                size: report.input_size,
                quantities: deviations.len(),
                deviation: selftest::largest(&deviations),
            })
        })
        .collect()
}
