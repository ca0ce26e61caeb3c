//! What every operator needs to know of the machine.

use crate::isa::Isa;
use crate::threads::{Serial, Threads};

/// The instruction set to use, and who runs the tasks.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The instruction set; it must be supported by this processor ([`Isa::is_supported`]).
    pub isa: Isa,
    /// Who runs the tasks.
    pub threads: &'a dyn Threads,
}

impl Context<'static> {
    /// One thread, with the given instruction set: for tests.
    pub fn serial(isa: Isa) -> Self {
        Context { isa, threads: &Serial }
    }
}
