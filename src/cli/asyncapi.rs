//! `bellpull asyncapi`: the socket interface as an AsyncAPI document.

use super::CliError;
use bellpull_wire::asyncapi;

/// `asyncapi` has no options.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints the document.
///
/// # Errors
/// [`CliError`] if it cannot be written.
pub fn run(_: &Args) -> Result<(), CliError> {
    let document = asyncapi::document();
    let text = document.and_then(|document| serde_json::to_string_pretty(&document));
    super::print_line(&text.map_err(|err| CliError::failed(err.to_string()))?)
}
