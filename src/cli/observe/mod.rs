//! `observe`: the running hub's supervision tree, live in the terminal.
//!
//! [`feed`] asks the hub, [`keys`] reads the keyboard, [`actions`] is what an operator can do to an
//! actor, [`asked`] what is asked before it, [`screen`] is what is on the screen and what a key
//! does to it, [`draw`] draws it.

mod actions;
mod asked;
mod draw;
mod feed;
mod keys;
mod rows;
mod screen;
mod sessions;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use ratatui::DefaultTerminal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::CliError;
use super::running::{Address, HubFlags, RunningHub};
use feed::Feed;
use screen::{Next, Screen};

const EXAMPLES: &str = "\
Examples:
  bellpull observe
  bellpull observe --url http://hub-2.internal:8000 --token \"$TOKEN\"
  ssh -t hub-2.internal bellpull observe

Keys: arrows or h j k l to move, Enter for an actor, / to search, s to sort, e for events,
? for all of them, q to end. On an actor, with a confirmation: r restarts it, c closes a session of
a user, L logs the user out, o opens and C closes a channel's circuit, w watches messages,
and d drains a node.";

/// The options of `observe`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    hub: HubFlags,
}

/// Shows the tree until the user ends it.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let mut hub = RunningHub::find(args.hub, Address::Operators).await?;
    // An error belongs on the shell's screen, not on one that is cleared.
    let tree = feed::tree(&mut hub, false).await?;
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(CliError::failed(
            "observe needs a terminal; `bellpull tree` prints the tree once".to_owned(),
        ));
    }
    let mut terminal = ratatui::try_init()
        .map_err(|error| CliError::failed(format!("the terminal cannot be used: {error}")))?;
    let ended = show(&mut terminal, hub, Screen::new(tree)).await;
    ratatui::restore();
    ended.map_err(|error| CliError::failed(format!("the terminal: {error}")))
}

async fn show(
    terminal: &mut DefaultTerminal,
    hub: RunningHub,
    mut screen: Screen,
) -> std::io::Result<()> {
    let (news_in, mut news) = mpsc::channel(feed::WAITING_MAX);
    let feed = Arc::new(Feed::new(hub, news_in));
    let _feeding = feed.begin();
    let mut keys = keys::read()?;
    // The terminal is restored after a signal, too.
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    // The age of what is shown goes on where the hub does not answer.
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        terminal.draw(|frame| draw::draw(frame, &mut screen))?;
        let key = tokio::select! {
            key = keys.recv() => match key {
                Some(key) => Some(key?),
                None => return Ok(()), // the terminal is gone
            },
            Some(told) = news.recv() => {
                screen.take(told);
                // What has come meanwhile is drawn at once.
                while let Ok(told) = news.try_recv() {
                    screen.take(told);
                }
                None
            }
            _ = ticks.tick() => None,
            _ = terminated.recv() => return Ok(()),
            _ = hung_up.recv() => return Ok(()),
        };
        match key.and_then(|key| screen.press(key)) {
            None => {}
            Some(Next::End) => return Ok(()),
            Some(Next::AskAll(is_all)) => feed.ask_all(is_all),
            Some(Next::Send(request)) => feed.send(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_s_help_names_the_key_of_each_action() {
        for action in &actions::ACTIONS {
            let verb = action.label.split(' ').next().unwrap();
            assert!(EXAMPLES.contains(&format!(" {} {verb}", action.key)), "{}", action.label);
        }
        assert!(EXAMPLES.lines().all(|line| line.chars().count() <= 100), "{EXAMPLES}");
    }
}
