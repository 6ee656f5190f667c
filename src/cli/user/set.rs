//! `user set`: changes an account's role, addresses, name, or whether it may sign in.

use bellpull_domain::user::{Role, User};
use bellpull_port::accounts::{LoginName, UserChanges};
use bellpull_port::{AccountStore, StoreError};

use super::{describe, refused};
use crate::cli::address_flags::AddressFlags;
use crate::cli::{CliError, SettingFlags, open_existing_store, print_line};
use bellpull_auth::register::check_full_name;

pub(super) const EXAMPLES: &str = "\
Examples:
  bellpull user set --username ada --role admin
  bellpull user set --username ada --email ada@example.com --full-name 'Ada Lovelace'
  bellpull user set --username ada --active false";

/// The account and its changes.
#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// The account's username
    #[arg(long)]
    username: String,
    /// client, developer, admin, super_admin, or a role of your own with a client's rights
    #[arg(long)]
    role: Option<String>,
    /// Whether the account may sign in; `false` ends its logins and closes its sockets
    #[arg(long, value_name = "true|false", action = clap::ArgAction::Set)]
    active: Option<bool>,
    /// The name that is shown to users
    #[arg(long, value_name = "NAME")]
    full_name: Option<String>,
    #[command(flatten)]
    addresses: AddressFlags,
    #[command(flatten)]
    settings: SettingFlags<false>,
}

pub(super) async fn run(set: Set) -> Result<(), CliError> {
    let changes = changes(&set)?;
    let config = set.settings.load()?;
    let store = open_existing_store(&config).await?;
    let changed = change(&*store, &set.username, changes).await;
    store.close().await;
    print_line(&describe(&changed?))
}

fn changes(set: &Set) -> Result<UserChanges, CliError> {
    let role = set.role.as_deref().map(Role::to_give).transpose();
    let role = role.map_err(|why| CliError::wrong(format!("--role: {why}")))?;
    let name = set.full_name.as_deref().map(check_full_name).transpose();
    name.map_err(|why| CliError::wrong(format!("--full-name: {why}")))?;
    let addresses = set.addresses.changes()?;
    if role.is_none() && set.active.is_none() && set.full_name.is_none() && addresses.is_none() {
        let what = "give at least one of --role, --active, --full-name, --email or another address";
        return Err(CliError::wrong(format!("nothing is to be changed: {what}")));
    }
    Ok(UserChanges {
        addresses: addresses.unwrap_or_default(),
        vouches_for_email: true,
        full_name: set.full_name.clone(),
        role,
        is_active: set.active,
        ..UserChanges::default()
    })
}

/// Hubs on the database notice by themselves that an account has lost a right.
async fn change(
    store: &dyn AccountStore,
    username: &str,
    changes: UserChanges,
) -> Result<User, CliError> {
    let name = LoginName::Username(username.to_owned());
    let Some((user, _)) = store.credentials(&name).await? else {
        let shown = username.escape_debug();
        return Err(CliError::failed(format!("--username: there is no user {shown}")));
    };
    store.update_user(user.id, changes).await.map_err(|error| {
        if error == StoreError::LastSuperAdmin {
            let why = "the hub would have no active super admin";
            return CliError::failed(format!("--username: {why}"));
        }
        refused(error)
    })
}
