//! The end of a user actor's sessions when the hub stops.

use std::ops::Range;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::session::SessionState;
use super::{UserEntity, UserState, confirm};
use bellpull_port::call::Call;
use bellpull_port::outlet::Ending;

/// How long the hub's end waits for frames that are on their way: some round trips of most lines.
/// What a slower line has not acknowledged by then is sent again.
const IN_FLIGHT_MAX: Duration = Duration::from_millis(250);

impl UserEntity {
    /// Ends everything and saves before it answers: the hub is about to stop.
    pub(super) fn drain(&self, call: Call<Range<u32>, ()>, state: &mut UserState) {
        let Some((back_ms, reply)) = call.open() else { return };
        state.is_leaving = true; // it accepts no more sessions
        let mut sessions = std::mem::take(&mut state.sessions);
        for session in &mut sessions {
            // One that is broken ends below.
            let _ = session.flush(&self.shared.unsent);
        }
        let (shared, user, question) = (self.shared(), state.id, state.follow.question());
        let (mut reached, saved) = (state.reached, state.saved);
        tokio::spawn(async move {
            let sessions = acknowledged(sessions).await;
            let count = u32::try_from(sessions.len()).unwrap_or(u32::MAX).max(1);
            let step_ms = (back_ms.end - back_ms.start) / count;
            let times = (0..count).map(|nth| back_ms.start + step_ms * nth);
            for (session, retry_after_ms) in sessions.into_iter().zip(times) {
                let why = Ending::Restarting { retry_after_ms };
                reached = reached.max(session.close(why));
            }
            let save = confirm::save(&*shared.inboxes, user, reached, question);
            if !reached.is_within(saved)
                && let Err(error) = super::in_time(save).await
            {
                tracing::warn!(%error, user = user.0, "a delivered position was not saved");
            }
            reply.send(());
        });
    }
}

/// Waits until all connections have delivered what was written to them, within limits.
async fn acknowledged(sessions: SmallVec<[SessionState; 1]>) -> SmallVec<[SessionState; 1]> {
    let deadline = Instant::now() + IN_FLIGHT_MAX;
    while !sessions.iter().all(SessionState::is_acknowledged) && Instant::now() < deadline {
        tokio::time::sleep(IN_FLIGHT_MAX / 50).await;
    }
    sessions
}
