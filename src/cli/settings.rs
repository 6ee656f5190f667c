//! The settings as flags, generated from their table.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, builder::ValueHint};

use super::CliError;
use bellpull_config::table::{Kind, SETTINGS, STORE_KEYS, Setting};
use bellpull_config::{Config, Sources};
use bellpull_telemetry as telemetry;

const CONFIG: &str = "config";

/// The flags of all settings, or (not `ALL`) of those for commands beside a hub.
pub struct SettingFlags<const ALL: bool> {
    flags: Vec<(&'static str, String)>,
    file: Option<PathBuf>,
}

// Values may be secrets.
impl<const ALL: bool> std::fmt::Debug for SettingFlags<ALL> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SettingFlags").finish_non_exhaustive()
    }
}

impl<const ALL: bool> SettingFlags<ALL> {
    fn settings() -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(|setting| ALL || STORE_KEYS.contains(&setting.key))
    }

    /// The settings, from the flags and all other sources; starts the log. A command beside a hub
    /// logs nothing by default: its one line on stderr is for its user.
    ///
    /// # Errors
    /// What is wrong with a setting.
    pub fn load(self) -> Result<Config, CliError> {
        let config = self.read()?;
        if ALL || config.log_filter != Config::default().log_filter {
            telemetry::init_logs(&config);
        }
        Ok(config)
    }

    /// The same for a command with output of its own: by default only warnings are logged.
    ///
    /// # Errors
    /// What is wrong with a setting.
    pub fn load_quietly(self) -> Result<Config, CliError> {
        let mut config = self.read()?;
        if config.log_filter == Config::default().log_filter {
            "warn".clone_into(&mut config.log_filter);
        }
        telemetry::init_logs(&config);
        Ok(config)
    }

    /// The value of a flag, if it was given.
    #[cfg(feature = "load")]
    pub(super) fn given(&self, key: &str) -> Option<&str> {
        self.flags.iter().find(|(flag, _)| *flag == key).map(|(_, value)| value.as_str())
    }

    /// The flags as variables and their values, for another process: its arguments would show
    /// secrets to other users.
    #[cfg(feature = "load")]
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let variable = |(key, value): &(&'static str, String)| {
            Some((bellpull_config::table::find(key)?.env(), value.clone()))
        };
        let file = self.file.as_ref().map(|file| std::path::absolute(file).unwrap_or(file.clone()));
        let file =
            file.map(|file| (bellpull_config::FILE_ENV.to_owned(), file.display().to_string()));
        self.flags.iter().filter_map(variable).chain(file).collect()
    }

    fn read(self) -> Result<Config, CliError> {
        Ok(Config::load(&Sources::of_process(self.flags, self.file.as_deref())?)?)
    }
}

impl<const ALL: bool> FromArgMatches for SettingFlags<ALL> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |setting: &'static Setting| {
            let value = matches.get_one::<String>(setting.key)?;
            Some((setting.key, value.clone()))
        };
        let file = matches.get_one::<PathBuf>(CONFIG).cloned();
        Ok(Self { flags: Self::settings().filter_map(given).collect(), file })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<const ALL: bool> Args for SettingFlags<ALL> {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .value_hint(ValueHint::FilePath)
            .help("The file of settings [env: BELLPULL_CONFIG] [default: bellpull.toml, if there]");
        command.arg(config).args(Self::settings().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.value_name())
        .help(setting.help())
        .help_heading(heading(setting.key))
        // For a negative number the error names the range instead of an unknown flag.
        .allow_negative_numbers(true);
    if matches!(setting.kind, Kind::Switch) {
        return arg.num_args(0..=1).default_missing_value("true");
    }
    arg
}

fn heading(key: &str) -> Option<&'static str> {
    match key.split_once('.')?.0 {
        "auth" => Some("Accounts and tokens"),
        "http" => Some("REST"),
        "ws" => Some("Sockets"),
        _ => Some("Hub"),
    }
}
