//! `user list`: accounts, a line each.

use bellpull_domain::user::Role;
use bellpull_port::accounts::UserFilter;
use bellpull_port::{AccountStore, PageRequest};

use super::describe;
use crate::cli::{CliError, SettingFlags, open_existing_store, print_line};

/// Accounts that are read at once.
const PAGE: u32 = 100;

pub(super) const EXAMPLES: &str = "\
Examples:
  bellpull user list
  bellpull user list --role admin
  bellpull user list --search example.com | jq -r .username";

/// Which accounts.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Only accounts with this role
    #[arg(long)]
    role: Option<String>,
    /// Only accounts with this text in the username, the e-mail address or the full name
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    settings: SettingFlags<false>,
}

pub(super) async fn run(list: List) -> Result<(), CliError> {
    let role = list.role.as_deref().map(str::parse::<Role>).transpose();
    let role = role.map_err(|why| CliError::wrong(format!("--role: {why}")))?;
    let config = list.settings.load()?;
    let store = open_existing_store(&config).await?;
    let printed = print(&*store, &UserFilter { role, search: list.search }).await;
    store.close().await;
    printed
}

async fn print(store: &dyn AccountStore, filter: &UserFilter) -> Result<(), CliError> {
    for page in 1.. {
        let found = store.list_users(filter, PageRequest { page, page_size: PAGE }).await?;
        for user in &found.rows {
            print_line(&describe(user))?;
        }
        if u32::try_from(found.rows.len()).unwrap_or(0) < PAGE {
            break;
        }
    }
    Ok(())
}
