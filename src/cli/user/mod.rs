//! `user`: accounts, directly in the database, beside a running hub or not.

mod adopt;
mod list;
mod set;

use std::io::BufRead;

use bellpull_domain::channel::Channel;
use bellpull_domain::confusable::normal_name;
use bellpull_domain::user::{Origin, Role, User};
use bellpull_port::account_links::PasswordChange;
use bellpull_port::accounts::{LoginName, NewUser};
use bellpull_port::clock::SystemClock;
use bellpull_port::{AccountStore, Clock, StoreError};
use clap::Subcommand;
use serde_json::json;

use super::address_flags::AddressFlags;
use super::{CliError, SettingFlags, open_existing_store, open_store, print_line};
use bellpull_auth::password;
use bellpull_auth::register::{check_full_name, check_password, check_username};
use bellpull_config::Config;

const EXAMPLES: &str = "\
Examples:
  bellpull user create --username ada --password 'long enough' --role super_admin
  pass show ada | bellpull user create --username ada --password - --role developer \\
      --email ada@example.com --full-name 'Ada Lovelace' --whatsapp-number +4915112345678";

const PASSWORD_EXAMPLES: &str = "\
Examples:
  pass show ada | bellpull user password --username ada --password -";

/// The options of `user`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create an account and print it as one line of JSON.
    #[command(after_help = EXAMPLES)]
    Create(Create),
    /// Set an account's password and print the account as one line of JSON. All its logins end,
    /// also at a hub that runs on the database.
    #[command(after_help = PASSWORD_EXAMPLES)]
    Password(Password),
    /// Change an account and print it as one line of JSON. A right that it loses ends at once, also
    /// at a hub that runs on the database.
    #[command(after_help = set::EXAMPLES)]
    Set(set::Set),
    /// Hand an account of the hub's to the issuer of tokens, whose tokens open it from then on, and
    /// print it as one line of JSON. Its password and its logins end.
    #[command(after_help = adopt::EXAMPLES)]
    Adopt(adopt::Adopt),
    /// List accounts, each as one line of JSON.
    #[command(after_help = list::EXAMPLES)]
    List(list::List),
}

/// The account.
#[derive(clap::Args)]
pub struct Create {
    /// 1 to 150 letters, digits and @ . + - _; unique, and not similar to another
    #[arg(long)]
    username: String,
    /// At least 8 characters; `-` reads a line from stdin, which no list of processes shows
    #[arg(long, allow_hyphen_values = true)]
    password: String,
    /// client, developer, admin, super_admin, or a role of your own with a client's rights
    #[arg(long)]
    role: String,
    /// The name that is shown to users
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    full_name: String,
    #[command(flatten)]
    addresses: AddressFlags,
    #[command(flatten)]
    settings: SettingFlags<false>,
}

/// The account and its new password.
#[derive(clap::Args)]
pub struct Password {
    /// The account's username
    #[arg(long)]
    username: String,
    /// At least 8 characters; `-` reads a line from stdin, which no list of processes shows
    #[arg(long, allow_hyphen_values = true)]
    password: String,
    #[command(flatten)]
    settings: SettingFlags<false>,
}

// Without the password.
impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Password").field("username", &self.username).finish_non_exhaustive()
    }
}

// Without the password.
impl std::fmt::Debug for Create {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Create").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Creates, changes or lists accounts.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    match args.command {
        Command::Create(create) => run_create(create).await,
        Command::Password(change) => run_password(change).await,
        Command::Set(set) => set::run(set).await,
        Command::Adopt(adopt) => adopt::run(adopt).await,
        Command::List(list) => list::run(list).await,
    }
}

async fn run_create(mut create: Create) -> Result<(), CliError> {
    if create.password == "-" {
        create.password = first_line()?;
    }
    let new = checked(&create)?;
    let config = create.settings.load()?;
    let store = open_store(&config).await?;
    let made = make_apart(&config, &*store, new).await;
    store.close().await;
    print_line(&describe(&made?))
}

/// Stores the account; where tokens come from elsewhere too, with a number that no issuer gives.
async fn make_apart(
    config: &Config,
    store: &dyn AccountStore,
    new: NewUser,
) -> Result<User, CliError> {
    if config.auth.has_issuer() {
        store.number_apart().await?;
    }
    make(store, new).await
}

async fn run_password(mut change: Password) -> Result<(), CliError> {
    if change.password == "-" {
        change.password = first_line()?;
    }
    let wrong = |why| CliError::wrong(format!("--password: {why}"));
    check_password(&change.password).map_err(wrong)?;
    let config = change.settings.load()?;
    let store = open_existing_store(&config).await?;
    let changed = set_password(&*store, &change.username, &change.password).await;
    store.close().await;
    print_line(&describe(&changed?))
}

/// Hubs on the database notice by themselves that the account's logins have ended.
async fn set_password(
    store: &dyn AccountStore,
    username: &str,
    password: &str,
) -> Result<User, CliError> {
    let name = LoginName::Username(username.to_owned());
    let Some((user, _)) = store.credentials(&name).await? else {
        let shown = username.escape_debug();
        return Err(CliError::failed(format!("--username: there is no user {shown}")));
    };
    let password_hash = password::hash(password).map_err(CliError::failed)?;
    let (seen, keep, now) = (None, None, SystemClock.now());
    let change = PasswordChange { user: user.id, password_hash, seen, keep, now };
    store.change_password(change).await?;
    Ok(user)
}

fn first_line() -> Result<String, CliError> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| CliError::failed(format!("--password: stdin: {error}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The validated account, with its password hashed.
pub(super) fn checked(create: &Create) -> Result<NewUser, CliError> {
    let wrong = |flag: &'static str| move |why| CliError::wrong(format!("--{flag}: {why}"));
    let username = normal_name(&create.username);
    check_username(&username).map_err(wrong("username"))?;
    check_password(&create.password).map_err(wrong("password"))?;
    let role = Role::to_give(&create.role);
    let role = role.map_err(|why| CliError::wrong(format!("--role: {why}")))?;
    check_full_name(&create.full_name).map_err(wrong("full-name"))?;
    let addresses = create.addresses.checked()?;
    Ok(NewUser {
        id: None,
        origin: Origin::Hub,
        username,
        full_name: create.full_name.clone(),
        role,
        addresses,
        is_email_verified: true,
        password_hash: Some(password::hash(&create.password).map_err(CliError::failed)?),
        now: SystemClock.now(),
    })
}

/// Stores the account.
pub(super) async fn make(store: &dyn AccountStore, new: NewUser) -> Result<User, CliError> {
    store.create_user(new, None).await.map(|(user, _)| user).map_err(refused)
}

/// Why the store refused an account's fields.
fn refused(error: StoreError) -> CliError {
    if error == StoreError::TooSimilar("full_name") {
        return CliError::failed("--full-name: it looks like an admin's name");
    }
    if let StoreError::Taken(field) = error {
        CliError::failed(format!("--{field}: a user with that {field} already exists"))
    } else if let StoreError::TooSimilar(field) = error {
        CliError::failed(format!("--{field}: it looks like another user's {field}"))
    } else {
        error.into()
    }
}

/// An account as one line of JSON.
pub(super) fn describe(user: &User) -> String {
    let mut shown = json!({
        "id": user.id,
        "username": user.username,
        "full_name": user.full_name,
        "role": user.role,
        "is_active": user.is_active,
        "email_verified": user.is_email_verified,
        "created_at": user.created_at,
        "origin": match user.origin {
            Origin::Hub => "hub",
            Origin::Issuer { .. } => "issuer",
        },
    });
    for (channel, field) in Channel::address_fields() {
        shown[field.name] = user.addresses.get(channel).into();
    }
    shown.to_string()
}
