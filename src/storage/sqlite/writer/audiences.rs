//! A cache of the audiences of sends in progress: a list of a hundred thousand accounts is parsed
//! once, not once per chunk.

use std::sync::Arc;

use bellpull_domain::ids::SendId;
use bellpull_domain::plan::send::Audience;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rusqlite::Connection;

use super::super::rows::json;
use super::super::statement::one;
use super::failure::Failure;

/// About as many as a scheduler has in progress at once.
const KEPT: usize = 64;
/// The total number of accounts that they name: 8 MiB.
const NAMED_MAX: u64 = 1 << 20;

/// Those that were used last. An audience never changes.
#[derive(Debug)]
pub(in super::super) struct Audiences {
    recent: Cache<SendId, Arc<Audience>, Names>,
}

#[derive(Debug, Clone, Copy)]
struct Names;

impl Weighter<SendId, Arc<Audience>> for Names {
    fn weight(&self, _: &SendId, audience: &Arc<Audience>) -> u64 {
        let Audience::Users(users) = &**audience else { return 1 };
        u64::try_from(users.len()).unwrap_or(u64::MAX).max(1)
    }
}

impl Audiences {
    /// None yet.
    pub(in super::super) fn new() -> Self {
        Self { recent: Cache::with_weighter(KEPT, NAMED_MAX, Names) }
    }

    /// The audience of a send that was committed before.
    pub(super) fn of(&self, connection: &Connection, id: SendId) -> Result<Arc<Audience>, Failure> {
        if let Some(audience) = self.recent.get(&id) {
            return Ok(audience);
        }
        let sql = "SELECT audience FROM sends WHERE id = ?";
        let text: String = one(connection, sql, (id.0,), |row| row.get(0))?;
        let audience = Arc::new(json(&text)?);
        self.recent.insert(id, Arc::clone(&audience));
        Ok(audience)
    }
}
