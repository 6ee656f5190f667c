//! `config`: the reference of all settings, and those in force.

use super::{CliError, SettingFlags, print_line};
use bellpull_config::{self, Effective, Source};

const EXAMPLES: &str = "\
Examples:
  bellpull config > bellpull.toml
  bellpull config --effective
  bellpull config --effective --changed
  bellpull config --effective --json | jq -r '.[] | select(.source != \"default\") | .key'";

/// What is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print the settings in force and where each comes from, secrets hidden
    #[arg(long)]
    effective: bool,
    /// Only those that are not the default
    #[arg(long, requires = "effective")]
    changed: bool,
    /// As JSON
    #[arg(long, requires = "effective")]
    json: bool,
    #[command(flatten)]
    settings: SettingFlags<true>,
}

/// Prints the reference, a commented `bellpull.toml`, or the settings in force.
///
/// # Errors
/// See [`CliError`].
pub fn run(args: Args) -> Result<(), CliError> {
    if !args.effective {
        return print_line(bellpull_config::reference().trim_end());
    }
    let mut shown = args.settings.load_quietly()?.effective;
    shown.retain(|one| !args.changed || one.source != Source::Default);
    if args.json {
        let text = serde_json::to_string_pretty(&shown);
        return print_line(&text.map_err(|error| CliError::failed(error.to_string()))?);
    }
    shown.iter().try_for_each(|one| print_line(&line(one, &shown)))
}

fn line(one: &Effective, all: &[Effective]) -> String {
    let value = |one: &Effective| one.value.clone().unwrap_or_else(|| "–".to_owned());
    let widest = |width: fn(&Effective, &str) -> usize| {
        all.iter().map(|one| width(one, &value(one))).max().unwrap_or(0)
    };
    let keys = widest(|one, _| one.key.len());
    let values = widest(|_, value| value.chars().count()).min(48);
    let place = match one.source {
        Source::Default => one.source.name(),
        Source::File | Source::Environment | Source::Flag => &one.place,
    };
    format!("{:keys$}  {:values$}  {place}", one.key, value(one))
}
