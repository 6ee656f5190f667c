//! `openapi`: the REST interface as an OpenAPI document. Needs no hub and no database.

use super::{CliError, print_line};

const EXAMPLES: &str = "\
Examples:
  bellpull openapi > openapi.json
  bellpull openapi | jq '.paths | keys'

A running hub serves the same at /api/schema/.";

/// `openapi` has no options.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

/// Prints the document.
///
/// # Errors
/// See [`CliError`].
pub fn run(Args {}: &Args) -> Result<(), CliError> {
    print_line(&bellpull_http::document())
}
