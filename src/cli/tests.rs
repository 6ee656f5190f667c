//! Options that are accepted, and the errors for others.

use clap::CommandFactory;

use super::*;
use bellpull_config::table::SETTINGS;

fn refused(args: &[&str]) -> String {
    let args = ["bellpull"].iter().chain(args);
    one_line(&Cli::try_parse_from(args).unwrap_err().render().to_string())
}

fn config(args: &[&str]) -> Result<bellpull_config::Config, CliError> {
    let args = ["bellpull", "serve"].iter().chain(args);
    let cli = Cli::try_parse_from(args).unwrap();
    let Command::Serve(args) = cli.command else { panic!("not serve") };
    args.load()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_of_serve_lists_every_setting_with_all_its_names_and_its_default() {
    let mut command = Cli::command();
    let serve = command.find_subcommand_mut("serve").unwrap();
    let help = serve.render_long_help().to_string();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for setting in SETTINGS {
        assert!(words.contains(&format!("--{} ", setting.flag())), "{}", setting.key);
        assert!(words.contains(&format!("[env: {}]", setting.env())), "{}", setting.key);
        assert!(words.contains(&format!("[key: {}]", setting.key)), "{}", setting.key);
    }
    assert!(words.contains("125 to 16777216 bytes"));
    assert!(words.contains("[default: 65536 bytes]"));
}

#[test]
fn wrong_usage_is_told_in_one_line() {
    assert_eq!(
        refused(&["serve", "--ws-max-fram", "1"]),
        "unexpected argument '--ws-max-fram' found; a similar argument exists: '--ws-max-frame'"
    );
    assert_eq!(
        refused(&["user", "create", "--username", "ada"]),
        "the following required arguments were not provided: --password <PASSWORD> --role <ROLE>"
    );
    assert_eq!(
        refused(&["token", "--user", "ada", "--ttl", "0"]),
        "invalid value '0' for '--ttl <SECONDS>': 0 is not in 1..=31536000"
    );
    assert!(refused(&["sreve"]).starts_with("unrecognized subcommand 'sreve'"));
}

#[test]
fn flags_become_settings() {
    let config = config(&[
        "--listen=127.0.0.1:0",
        "--database",
        "sqlite::memory:",
        "--auth-auto-provision",
        "--auth-registration=false",
        "--ws-max-frame",
        "1000",
    ]);
    let config = config.unwrap();
    assert_eq!((config.listen.port(), config.database_url.reveal()), (0, "sqlite::memory:"));
    assert!(config.auth.auto_provision && !config.auth.registration);
    assert_eq!(config.ws.max_frame, 1000);
}

#[test]
fn a_wrong_flag_is_named_and_exits_with_2() {
    let error = config(&["--ws-max-frame", "-1"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--ws-max-frame: -1 is not a number of bytes from 125 to 16777216"
    );
    assert_eq!(error.code(), 2);
    let error = config(&["--config", "/nowhere/at/all.toml"]).unwrap_err();
    assert!(error.to_string().starts_with("--config: /nowhere/at/all.toml cannot be read: "));
}

#[test]
fn secrets_are_in_no_debug() {
    for args in [
        vec!["serve", "--jwt-secret", "hunter2"],
        vec!["tree", "--token", "hunter2"],
        vec!["user", "create", "--username", "a", "--role", "client", "--password", "hunter2"],
    ] {
        let cli = Cli::try_parse_from(["bellpull"].iter().chain(&args)).unwrap();
        assert!(!format!("{cli:?}").contains("hunter2"), "{args:?}");
    }
}
