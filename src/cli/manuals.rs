//! `completions` and `man`: what packages install beside the binary.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, CliError, print_line};

/// The shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bellpull completions bash > /etc/bash_completion.d/bellpull
  bellpull completions zsh > \"${fpath[1]}/_bellpull\"
  bellpull completions fish > ~/.config/fish/completions/bellpull.fish")]
pub struct Completions {
    /// Whose completions
    #[arg(value_enum)]
    shell: Shell,
}

/// Where to.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bellpull man /usr/local/share/man/man1")]
pub struct Manual {
    /// The folder; it is made if it does not exist
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Prints a shell's completions.
///
/// # Errors
/// See [`CliError`].
pub fn completions(args: &Completions) -> Result<(), CliError> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "bellpull", &mut text);
    print_line(String::from_utf8_lossy(&text).trim_end())
}

/// Writes a page of section 1 for each command.
///
/// # Errors
/// See [`CliError`].
pub fn manual(args: &Manual) -> Result<(), CliError> {
    let folder = &args.folder;
    let failed = |error: std::io::Error| CliError::failed(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut command = Cli::command();
    command.build();
    let written = pages(folder, &command, "bellpull").map_err(failed)?;
    print_line(&format!("{written} pages in {}", folder.display()))
}

fn pages(folder: &Path, command: &Command, name: &str) -> std::io::Result<usize> {
    let mut page = Vec::new();
    let titled = command.clone().name(name.to_owned()).display_name(name.to_owned());
    Man::new(titled).render(&mut page)?;
    fs::write(folder.join(format!("{name}.1")), page)?;
    let mut written = 1;
    let shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    for below in command.get_subcommands().filter(shown) {
        written += pages(folder, below, &format!("{name}-{}", below.get_name()))?;
    }
    Ok(written)
}
