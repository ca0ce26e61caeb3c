//! Program `alexnet`.

use std::process::ExitCode;

/// Global allocator that prints a one-line error when memory runs out.
#[global_allocator]
static ALLOCATOR: alexnet_kernels::allocator::Reporting = alexnet_kernels::allocator::Reporting;

fn main() -> ExitCode {
    alexnet_cli::run(std::env::args_os()).into()
}
