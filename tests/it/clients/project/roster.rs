//! Who is there, as a tab's frames have it: a list, and what changed since.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::clients::FrontEnd;

/// Who is there, and at which ticket each of them looks.
#[derive(Debug)]
pub(super) struct Roster<'t> {
    tab: &'t str,
    people: BTreeMap<i64, (String, Option<i64>)>,
}

impl<'t> Roster<'t> {
    /// The next list that the tab is given.
    pub(super) async fn again(front: &mut FrontEnd, tab: &'t str) -> Self {
        let mut roster = Self { tab, people: BTreeMap::new() };
        // What others of a roster did while it came down may still be on its way.
        while !roster.take(&front.hears_in(tab).await) {}
        roster
    }

    /// Takes in what the tab hears until it is as wanted.
    pub(super) async fn until(mut self, front: &mut FrontEnd, is_wanted: impl Fn(&Self) -> bool) {
        while !is_wanted(&self) {
            self.take(&front.hears_in(self.tab).await);
        }
    }

    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.people.values().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn looks(&self, user: i64) -> Option<i64> {
        self.people.get(&user)?.1
    }

    /// Takes in a frame; whether it was a list.
    fn take(&mut self, frame: &Value) -> bool {
        let name = |from: &Value| from["username"].as_str().unwrap().to_owned();
        let user = |from: &Value| from["user_id"].as_i64().unwrap();
        match frame["type"].as_str().unwrap() {
            "presence_state" => {
                let users = frame["users"].as_array().unwrap().iter();
                self.people =
                    users.map(|one| (user(one), (name(one), one["viewing"].as_i64()))).collect();
                return true;
            }
            "user_status" if frame["action"] == "joined" => {
                self.people.insert(user(frame), (name(frame), None));
            }
            "user_status" => {
                self.people.remove(&user(frame));
            }
            "ticket_viewing" => {
                if let Some(person) = self.people.get_mut(&user(frame)) {
                    person.1 = frame["ticket_id"].as_i64();
                }
            }
            other => panic!("{other} says nothing of who is there"),
        }
        false
    }
}
