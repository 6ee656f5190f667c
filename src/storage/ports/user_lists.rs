//! Lists of accounts.

use bellpull_domain::user::User;
use bellpull_port::accounts::UserFilter;
use bellpull_port::{Page, PageRequest, StoreError};

use crate::engine::{Build, Dialect, ReadPage, Reads};
use crate::rows::{containing, user, user_columns};

/// A page of the accounts that match the filter.
pub(in super::super) async fn list<D: Dialect>(
    store: &D,
    filter: &UserFilter,
    page: PageRequest,
) -> Result<Page<User>, StoreError> {
    let mut count = Build::new("SELECT count(*)");
    narrow(&mut count, filter);
    let mut rows = Build::new(concat!("SELECT ", user_columns!()));
    narrow(&mut rows, filter);
    rows.push(" ORDER BY u.id LIMIT ").bind(page.page_size).push(" OFFSET ").bind(page.offset());
    let read = ReadPage { count: count.done(), rows: rows.done(), decode: user };
    let reads = if filter.search.is_some() { Reads::Searches } else { Reads::Lists };
    store.read(reads, read).await
}

fn narrow(sql: &mut Build, filter: &UserFilter) {
    const CONTAINS: &str = " {LIKE|ILIKE} ";
    const ESCAPED: &str = "{ ESCAPE '\\'|}";
    sql.push(" FROM users u WHERE true");
    if let Some(role) = &filter.role {
        sql.push(" AND u.role = ").bind(role.as_str());
    }
    if let Some(text) = &filter.search {
        let pattern = containing(text);
        sql.push(" AND (u.username").push(CONTAINS).bind(&pattern).push(ESCAPED);
        sql.push(" OR u.full_name").push(CONTAINS).bind(&pattern).push(ESCAPED);
        sql.push(" OR u.id IN (SELECT a.user_id FROM addresses a WHERE a.channel = 'EMAIL' ");
        sql.push("AND a.address").push(CONTAINS).bind(&pattern).push(ESCAPED).push("))");
    }
}
