//! Rows of account links as values of the domain.

use bellpull_domain::account_link::LinkPurpose;
use bellpull_domain::ids::{LinkId, UserId};
use bellpull_domain::plan::link::StoredLink;
use bellpull_port::StoreError;

use super::error::corrupt;
use super::rows::{Columns, int, optional_timestamp, string, text, timestamp};

/// A link's row.
pub(super) fn stored_link(row: &impl Columns) -> Result<StoredLink, StoreError> {
    let purpose = LinkPurpose::from_name(text(row, "purpose")?);
    Ok(StoredLink {
        id: LinkId(int(row, "id")?),
        user: UserId(int(row, "user_id")?),
        purpose: purpose.ok_or_else(|| corrupt("purpose"))?,
        email: string(row, "email")?,
        created_at: timestamp(int(row, "created_at")?)?,
        expires_at: timestamp(int(row, "expires_at")?)?,
        ended_at: optional_timestamp(row.int("ended_at")?)?,
    })
}
