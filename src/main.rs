//! The binary: hands over to the command line of the library.

use std::process::ExitCode;

/// Returns unused memory to the system (docs/adr/0026-allocator.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hallpass::cli::main()
}
