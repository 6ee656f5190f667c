//! `user adopt`: hands an account of the hub's to the issuer of tokens.

use bellpull_domain::ids::UserId;
use bellpull_port::StoreError;
use bellpull_port::accounts::UserChanges;

use super::describe;
use crate::cli::{CliError, SettingFlags, open_existing_store, print_line};

pub(super) const EXAMPLES: &str = "\
Examples:
  bellpull user adopt --id 7

Do this only if the user whom the issuer numbers 7 is the user of this account: all that the
account has is theirs from then on, its role too until a token's claims change it.";

/// The account.
#[derive(Debug, clap::Args)]
pub(super) struct Adopt {
    /// The account's number
    #[arg(long, value_name = "N")]
    id: i64,
    #[command(flatten)]
    settings: SettingFlags<false>,
}

pub(super) async fn run(adopt: Adopt) -> Result<(), CliError> {
    let config = adopt.settings.load()?;
    let store = open_existing_store(&config).await?;
    let changes = UserChanges { hands_over: true, ..UserChanges::default() };
    let adopted = store.update_user(UserId(adopt.id), changes).await;
    store.close().await;
    let user = adopted.map_err(|error| {
        if error == StoreError::NotFound {
            return CliError::failed(format!("--id: there is no user {}", adopt.id));
        }
        error.into()
    })?;
    print_line(&describe(&user))
}
