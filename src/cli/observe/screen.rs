//! What is on the screen, and what a key or news from the hub does to it.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::KeyCode;

use super::actions::{ACTIONS, Request};
use super::asked::Asked;
use super::feed::{Event, News, Signals};
use super::keys::{Key, Navigation, Row};
use super::rows::{Entry, Id, Order, Rows};
use crate::cli::tree::Actor;

/// How many events can be looked back at.
const EVENTS_MAX: usize = 1_000;
const SEARCH_MAX: usize = 60;
/// How long the result of a request is shown.
const TOLD_FOR: Duration = Duration::from_secs(8);

/// What fills the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    List,
    /// One actor's page.
    Actor(Id),
    Events,
    Help,
}

/// What a key asks of the command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    End,
    /// Whether the hub is to list all children, for a search.
    AskAll(bool),
    /// A confirmed request is to be sent.
    Send(Request),
}

/// All that is shown.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) rows: Rows,
    pub(super) signals: Signals,
    pub(super) events: VecDeque<Event>,
    pub(super) view: View,
    pub(super) asked: Asked,
    pub(super) order: Order,
    pub(super) words: String,
    /// Why the hub does not answer.
    pub(super) away: Option<String>,
    told: Option<(Instant, String)>,
    heard_at: Instant,
    closed: HashSet<Id>,
    selected: Id,
    /// The first line of what is longer than the screen.
    pub(super) top: usize,
    /// How many lines of it are on the screen, and how many there are: known once it is drawn.
    pub(super) page: usize,
    pub(super) lines: usize,
}

impl Screen {
    pub(super) fn new(tree: Actor) -> Self {
        let mut screen = Self {
            rows: Rows::default(),
            signals: Signals::default(),
            events: VecDeque::new(),
            view: View::List,
            asked: Asked::Nothing,
            order: Order::Tree,
            words: String::new(),
            away: None,
            told: None,
            heard_at: Instant::now(),
            closed: HashSet::new(),
            selected: Id::default(),
            top: 0,
            page: 1,
            lines: 0,
        };
        screen.show(tree);
        screen
    }

    /// Takes in what is new.
    pub(super) fn take(&mut self, news: News) {
        match news {
            News::Tree(tree) => self.show(*tree),
            News::Signals(signals) => self.signals = *signals,
            News::Event(event) => self.note(event),
            News::Missed(count) => {
                let detail = format!("{count} events are no longer kept");
                self.note(Event { what: "missed".to_owned(), detail, ..Event::default() });
            }
            News::Away(why) => self.away = Some(why),
            News::Outcome(text) => self.tell(text),
        }
    }

    fn show(&mut self, tree: Actor) {
        let passed = self.heard_at.elapsed();
        self.rows = self.rows.followed_by(tree, passed);
        self.heard_at = Instant::now();
        self.away = None;
    }

    fn note(&mut self, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// The rows of the list.
    pub(super) fn shown(&self) -> Vec<&Entry> {
        self.rows.shown(self.order, &self.words, &self.closed)
    }

    /// Which of them is selected: the first if that one is no longer there.
    pub(super) fn selected(&self, shown: &[&Entry]) -> usize {
        shown.iter().position(|entry| entry.id == self.selected).unwrap_or(0)
    }

    pub(super) fn is_closed(&self, id: &Id) -> bool {
        self.closed.contains(id)
    }

    /// How long ago the hub answered.
    pub(super) fn quiet_for(&self) -> Duration {
        self.heard_at.elapsed()
    }

    /// What has come of the last request, for a time.
    pub(super) fn told(&self) -> Option<&str> {
        let (at, text) = self.told.as_ref()?;
        (at.elapsed() < TOLD_FOR).then_some(text.as_str())
    }

    fn tell(&mut self, text: String) {
        self.told = Some((Instant::now(), text));
    }

    /// The actor that a key's action is for.
    pub(super) fn subject(&self) -> Option<&Actor> {
        let entry = match &self.view {
            View::List => self.rows.find(&self.current()),
            View::Actor(id) => self.rows.find(id),
            View::Events | View::Help => None,
        };
        entry.map(|entry| &entry.actor)
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: Key) -> Option<Next> {
        match (&self.asked, key) {
            (Asked::Search, Key::Pressed(code)) => self.typed(code),
            (Asked::Choice(_), Key::Pressed(_)) => self.choose(key.navigation()?),
            (Asked::Confirmation(request), Key::Pressed(code)) => {
                let request = request.clone();
                self.asked = Asked::Nothing;
                if code != KeyCode::Char('y') {
                    return None;
                }
                self.tell("sent to the hub".to_owned());
                Some(Next::Send(request))
            }
            (_, Key::Pressed(KeyCode::Char(typed))) if key.navigation().is_none() => {
                self.start(typed);
                None
            }
            _ => self.navigate(key.navigation()?),
        }
    }

    /// Begins the action of a key, with its question.
    fn start(&mut self, key: char) {
        let Some(action) = ACTIONS.iter().find(|action| action.key == key) else { return };
        let Some(actor) = self.subject() else { return };
        match Asked::before(action, actor) {
            Some(asked) => self.asked = asked,
            None => {
                let on = format!("{} on {}", actor.path, actor.node);
                self.tell(format!("{on} cannot do this now: {}", action.label));
            }
        }
    }

    /// A key while one of several requests is chosen.
    fn choose(&mut self, navigation: Navigation) -> Option<Next> {
        let Asked::Choice(choice) = &mut self.asked else { return None };
        match navigation {
            Navigation::Enter => self.asked = choice.chosen(),
            Navigation::Back => self.asked = Asked::Nothing,
            Navigation::End => return Some(Next::End),
            Navigation::To(row) => choice.select(row, self.page),
            Navigation::Open
            | Navigation::Close
            | Navigation::Search
            | Navigation::Sort
            | Navigation::Events
            | Navigation::Help => {}
        }
        None
    }

    /// A key while the words of a search are typed.
    fn typed(&mut self, code: KeyCode) -> Option<Next> {
        let was_empty = self.words.is_empty();
        if let KeyCode::Char(typed) = code {
            if self.words.chars().count() < SEARCH_MAX {
                self.words.push(typed);
            }
        } else if code == KeyCode::Backspace {
            self.words.pop();
        } else if code == KeyCode::Enter {
            self.asked = Asked::Nothing;
        } else if code == KeyCode::Esc {
            self.asked = Asked::Nothing;
            self.words.clear();
        } else if let KeyCode::Up | KeyCode::Down = code {
            self.asked = Asked::Nothing;
            return self.navigate(Key::Pressed(code).navigation()?);
        }
        let is_empty = self.words.is_empty();
        (was_empty != is_empty).then_some(Next::AskAll(!is_empty))
    }

    fn navigate(&mut self, navigation: Navigation) -> Option<Next> {
        match navigation {
            Navigation::To(row) => self.move_to(row),
            Navigation::Open => self.open(),
            Navigation::Close => self.close(),
            Navigation::Enter => {
                if self.view == View::List {
                    self.turn_to(View::Actor(self.current()));
                }
            }
            Navigation::Back => return self.back(),
            Navigation::Search => {
                self.turn_to(View::List);
                self.asked = Asked::Search;
            }
            Navigation::Sort => {
                self.turn_to(View::List);
                self.order = self.order.next();
            }
            Navigation::Events => self.toggle(View::Events),
            Navigation::Help => self.toggle(View::Help),
            Navigation::End => return Some(Next::End),
        }
        None
    }

    fn turn_to(&mut self, view: View) {
        if self.view != view {
            self.view = view;
            self.top = 0;
        }
    }

    fn toggle(&mut self, view: View) {
        let to = if self.view == view { View::List } else { view };
        self.turn_to(to);
    }

    fn back(&mut self) -> Option<Next> {
        if self.view != View::List {
            self.turn_to(View::List);
            return None;
        }
        let had_words = !self.words.is_empty();
        self.words.clear();
        had_words.then_some(Next::AskAll(false))
    }

    /// The selected actor.
    fn current(&self) -> Id {
        let shown = self.shown();
        shown.get(self.selected(&shown)).map(|entry| entry.id.clone()).unwrap_or_default()
    }

    /// Moves the selection in the list, or what is seen of a longer text.
    fn move_to(&mut self, row: Row) {
        if self.view == View::List {
            let shown = self.shown();
            let at = row.from(self.selected(&shown), self.page, shown.len());
            self.selected = shown.get(at).map(|entry| entry.id.clone()).unwrap_or_default();
        } else {
            // The last page is full.
            let tops = self.lines.saturating_sub(self.page) + 1;
            self.top = row.from(self.top, self.page, tops);
        }
    }

    fn open(&mut self) {
        let id = self.current();
        self.closed.remove(&id);
    }

    fn close(&mut self) {
        let id = self.current();
        let is_open = self.rows.find(&id).is_some_and(|entry| entry.has_children)
            && !self.closed.contains(&id);
        // In another order than the tree's there is nothing to hide.
        if is_open && self.order == Order::Tree && self.words.is_empty() {
            self.closed.insert(id);
        } else if let Some(parent) = self.rows.parent(&id) {
            self.selected = parent.id.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn screen() -> Screen {
        let json = json!({"node": "a", "path": "hub", "children_total": 2, "children": [
            {"node": "a", "path": "users/0", "children_total": 1, "children": [
                {"node": "a", "path": "user/42"}]},
            {"node": "a", "path": "tickets/0"},
        ]});
        Screen::new(serde_json::from_value(json).unwrap())
    }

    fn press(screen: &mut Screen, keys: &str) -> Option<Next> {
        let codes = keys.chars().map(|key| match key {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            '<' => KeyCode::Backspace,
            key => KeyCode::Char(key),
        });
        let nexts: Vec<Next> = codes.filter_map(|code| screen.press(Key::Pressed(code))).collect();
        nexts.into_iter().last()
    }

    fn id(path: &str) -> Id {
        Id { node: "a".to_owned(), path: path.to_owned() }
    }

    #[test]
    fn the_selection_moves_and_stays_with_its_actor() {
        let mut screen = screen();
        press(&mut screen, "jj");
        assert_eq!(screen.current(), id("user/42"));
        press(&mut screen, "hh"); // it has nothing to hide: its parent, which then hides it
        assert_eq!((screen.current(), screen.shown().len()), (id("users/0"), 3));
        press(&mut screen, "jjjjj");
        assert_eq!(screen.current(), id("tickets/0"));
        press(&mut screen, "kl");
        assert_eq!(screen.shown().len(), 4);
        press(&mut screen, "G");
        let without = json!({"node": "a", "path": "hub", "children_total": 0, "children": []});
        screen.take(News::Tree(Box::new(serde_json::from_value(without).unwrap())));
        assert_eq!(screen.current(), id("hub"), "its actor is gone");
    }

    #[test]
    fn a_search_asks_for_all_children_until_it_ends() {
        let mut screen = screen();
        assert_eq!(press(&mut screen, "/u"), Some(Next::AskAll(true)));
        assert_eq!(press(&mut screen, "ser/q\n"), None, "q is typed, not obeyed");
        assert_eq!((screen.words.as_str(), screen.shown().len()), ("user/q", 0));
        assert_eq!(press(&mut screen, "/<42\n"), None);
        assert_eq!(screen.current(), id("user/42"));
        assert_eq!(press(&mut screen, "\u{1b}"), Some(Next::AskAll(false)));
        assert_eq!(press(&mut screen, &format!("/{}", "x".repeat(99))), Some(Next::AskAll(true)));
        assert_eq!(screen.words.len(), SEARCH_MAX);
    }

    fn path(next: Option<Next>) -> String {
        match next {
            Some(Next::Send(request)) => request.path,
            next => panic!("no request: {next:?}"),
        }
    }

    #[test]
    fn an_action_is_asked_for_and_only_y_confirms_it() {
        let mut screen = screen();
        assert_eq!(press(&mut screen, "jr"), None);
        let Asked::Confirmation(asked) = &screen.asked else { panic!("{:?}", screen.asked) };
        assert!(asked.question.starts_with("Restart users/0 on a?"), "{}", asked.question);
        assert_eq!(press(&mut screen, "n"), None);
        assert_eq!(screen.asked, Asked::Nothing);
        let restart = "/api/operator/actors/users%2F0/restart/?node=a";
        assert_eq!(path(press(&mut screen, "\nry")), restart);
        assert_eq!(screen.view, View::Actor(id("users/0")));
        assert_eq!(press(&mut screen, "q"), Some(Next::End));
    }

    #[test]
    fn one_of_several_requests_is_chosen_before_it_is_confirmed() {
        let mut screen = screen();
        let with_sessions = json!({"node": "a", "path": "user/42", "observed": {"sessions": [
            {"id": 3}, {"id": 7}, {"id": 9}]}});
        screen.take(News::Tree(Box::new(serde_json::from_value(with_sessions).unwrap())));
        assert_eq!(press(&mut screen, "cj\n"), None);
        // The tree that comes meanwhile changes nothing of what is asked.
        let without = json!({"node": "a", "path": "user/42"});
        screen.take(News::Tree(Box::new(serde_json::from_value(without).unwrap())));
        let close = "/api/operator/users/42/sessions/7/close/?node=a";
        assert_eq!(path(press(&mut screen, "y")), close);
        assert_eq!(press(&mut screen, "c"), None, "there is none any more");
        assert_eq!(screen.told(), Some("user/42 on a cannot do this now: close a session"));
    }

    #[test]
    fn a_choice_can_be_left_and_others_keys_do_nothing_in_it() {
        let mut screen = screen();
        let channel = json!({"node": "a", "path": "channels/sms", "observed": {}});
        screen.take(News::Tree(Box::new(serde_json::from_value(channel).unwrap())));
        assert_eq!(press(&mut screen, "oGe?/sr"), None);
        let Asked::Choice(choice) = &screen.asked else { panic!("{:?}", screen.asked) };
        assert_eq!((choice.at, choice.requests.len()), (5, 6));
        assert_eq!(press(&mut screen, "\u{1b}"), None);
        assert_eq!((&screen.asked, &screen.view), (&Asked::Nothing, &View::List));
        assert_eq!(press(&mut screen, "oq"), Some(Next::End));
    }

    #[test]
    fn what_the_hub_says_is_taken_in_and_bounded() {
        let mut screen = screen();
        screen.take(News::Away("it is away".to_owned()));
        assert_eq!(screen.away.as_deref(), Some("it is away"));
        screen.take(News::Outcome("done".to_owned()));
        assert_eq!(screen.told(), Some("done"));
        screen.take(News::Missed("3".to_owned()));
        for _ in 0..EVENTS_MAX {
            screen.take(News::Event(Event::default()));
        }
        assert_eq!(screen.events.len(), EVENTS_MAX);
        press(&mut screen, "e");
        assert_eq!(screen.view, View::Events);
        press(&mut screen, "?");
        assert_eq!(screen.view, View::Help);
        press(&mut screen, "\u{1b}");
        assert_eq!(screen.view, View::List);
    }
}
