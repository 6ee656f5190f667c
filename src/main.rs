//! The binary: everything else is in the library, where tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    bellpull::cli::main()
}
