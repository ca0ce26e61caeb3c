//! What makes a machine slow, and what to do.

use super::Examination;

/// Share of a thread's own speed that it must keep beside the others.
const SHARED: f64 = 0.75;
/// Processes per thread, on average, from which others take a noticeable part of the machine.
const BUSY: f64 = 0.25;
/// Memory in bytes that training torchvision's net with the default recipe takes at 224 pixels.
const TRAINING: u64 = 2_000_000_000;
/// Times by which bytes or bfloat16 must be faster to be worth their rounding.
const WORTH: f64 = 1.1;

impl Examination {
    /// What is wrong or slow, with its reason and remedy, the gravest first. Nothing, on a machine as it should be.
    pub fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        let mut say = |is_so: bool, text: String| {
            if is_so {
                advice.push(text);
            }
        };
        let (machine, speeds) = (&self.machine, &self.speeds);
        let lacks = |name: &str| self.features.contains(&(name, false));
        say(
            !self.is_right(),
            "results differ from PyTorch's: this machine or this build computes wrongly. Compare ALEXNET_ISA=portable alexnet selftest, and please report both".into(),
        );
        say(self.debug, "this is a debug build, many times slower: compile with cargo build --release".into());
        say(
            self.isa != self.best_isa,
            format!(
                "ALEXNET_ISA selects {}, but the processor supports {}, which is faster: unset the variable",
                self.isa, self.best_isa
            ),
        );
        say(
            self.best_isa == "portable" && !self.features.is_empty(),
            "the processor has no instruction set with kernels of its own: the portable ones are several times slower".into(),
        );
        if let Some(all) = machine.processors.filter(|&all| all > machine.threads) {
            say(
                true,
                format!(
                    "this process may use {} of {all} processors: an affinity mask (taskset) or the quota of a container limits it",
                    machine.threads
                ),
            );
        }
        let load = machine.load.filter(|load| *load > BUSY * machine.threads as f64);
        say(
            load.is_some(),
            format!(
                "{:.1} processes were running in the last minute, on {} processors: without them, this machine is faster than it says above",
                load.unwrap_or_default(),
                machine.threads
            ),
        );
        let scaling = speeds.flops / speeds.flops_of_one_thread;
        let shared = machine.threads > 1 && scaling < SHARED * machine.threads as f64;
        say(
            shared,
            format!(
                "{} threads compute {scaling:.1} times as fast as one: other programs are running, or several threads share a core",
                machine.threads
            ),
        );
        say(self.best_isa == "avx2" && lacks("avx512f"), "no AVX-512: AVX2 does half the work per instruction".into());
        // Beside other programs, differences of speeds mean little.
        let quiet = load.is_none() && !shared;
        say(
            quiet && speeds.one_image / speeds.one_image_int8 < WORTH,
            format!(
                "int8 models are hardly faster than f32 here{}: quantize them for their size, not for speed",
                if lacks("avx512vnni") { " (no VNNI)" } else { "" }
            ),
        );
        say(
            quiet && speeds.training_bf16 / speeds.training < WORTH,
            format!(
                "--precision bf16 hardly speeds up training{}: prefer f32",
                if lacks("avx512bf16") { " (no instructions for it)" } else { "" }
            ),
        );
        if let Some(available) = machine.available.filter(|&bytes| bytes < TRAINING) {
            say(
                true,
                format!(
                    "only {:.1} GB of memory are free: train with --image-size 128 or smaller, or a smaller --batch",
                    available as f64 / 1e9
                ),
            );
        }
        advice
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Machine, Speeds, Tested};
    use super::*;

    /// A machine without faults.
    fn healthy() -> Examination {
        Examination {
            machine: Machine {
                processor: Some("AMD EPYC".into()),
                processors: Some(4),
                threads: 4,
                load: Some(0.1),
                memory: Some(16 << 30),
                available: Some(8 << 30),
            },
            isa: "avx512".into(),
            best_isa: "avx512".into(),
            features: vec![("avx2", true), ("avx512f", true), ("avx512vnni", true), ("avx512bf16", true)],
            speeds: Speeds {
                flops: 4e11,
                flops_of_one_thread: 1e11,
                byte_ops: 1e12,
                read: 2e10,
                one_image: 0.01,
                one_image_int8: 0.005,
                training: 100.0,
                training_bf16: 150.0,
            },
            selftest: vec![Tested { net: "torchvision".into(), size: 128, quantities: 55, deviation: 0.1 }],
            debug: false,
        }
    }

    /// The only advice for a healthy machine with one change.
    fn only(change: impl FnOnce(&mut Examination)) -> String {
        let mut examination = healthy();
        change(&mut examination);
        let advice = examination.advice();
        assert_eq!(advice.len(), 1, "{advice:?}");
        advice[0].clone()
    }

    #[test]
    fn a_healthy_machine_needs_no_advice() {
        assert_eq!(healthy().advice(), Vec::<String>::new());
        // What is unknown is no fault.
        let unknown = Examination { machine: Machine { threads: 4, ..Machine::default() }, ..healthy() };
        assert_eq!(unknown.advice(), Vec::<String>::new());
    }

    #[test]
    fn each_fault_has_its_advice() {
        assert!(only(|e| e.selftest[0].deviation = 1.5).starts_with("results differ"));
        assert!(only(|e| e.debug = true).contains("--release"));
        assert!(only(|e| e.isa = "portable".into()).contains("ALEXNET_ISA selects portable"));
        assert!(only(|e| e.machine.processors = Some(64)).contains("4 of 64 processors"));
        assert!(only(|e| e.machine.load = Some(3.2)).starts_with("3.2 processes"));
        assert!(only(|e| e.speeds.flops = 2e11).contains("2.0 times as fast as one"));
        assert!(only(|e| e.speeds.one_image_int8 = 0.01).contains("int8"));
        assert!(only(|e| e.speeds.training_bf16 = 100.0).contains("bf16"));
        assert!(only(|e| e.machine.available = Some(1_500_000_000)).contains("1.5 GB"));
        let old = only(|e| {
            (e.isa, e.best_isa) = ("avx2".into(), "avx2".into());
            e.features[1].1 = false;
        });
        assert!(old.contains("no AVX-512"));
    }
}
