//! The binary: hands over to the command line of the library.

use std::process::ExitCode;

/// Configured by `.cargo/config.toml` (docs/adr/0025-memory-and-start.md).
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    hallpass::cli::main()
}
