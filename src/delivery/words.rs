//! What is said in one delivery.

use bellpull_actors::domain::delivery::Leased;
use bellpull_actors::domain::locale::Locale;
use bellpull_actors::domain::routing::Channel;

use super::defaults::DIGEST;
use super::desk::Templates;
use super::link::Links;
use super::template::{Rendered, View};

/// Templates, and the links that are put into them.
#[derive(Debug, Clone)]
pub struct Words {
    /// What is said.
    pub templates: Templates,
    /// Where it leads.
    pub links: Links,
}

impl Words {
    /// What goes out on a channel: one letter's words, or a digest's.
    pub async fn render(
        &self,
        leased: &Leased,
        channel: Channel,
        unsubscribe: Option<&str>,
    ) -> Rendered {
        let addressee = leased.addressee.as_ref();
        let english = Locale::english();
        let (name, locale) = addressee.map_or(("", &english), |one| (&*one.name, &one.locale));
        if let [letter] = &leased.letters[..] {
            let message = &letter.message;
            let link = match &leased.account_link {
                Some(link) => self.links.accounts().map(|accounts| accounts.url(link)),
                None => self.links.action(&message.action_url),
            };
            let view = View::of(message, name, link.as_deref(), unsubscribe);
            return self.templates.render(message.event.as_str(), channel, locale, view).await;
        }
        let items: Vec<_> = leased
            .letters
            .iter()
            .map(|letter| (&letter.message, self.links.action(&letter.message.action_url)))
            .collect();
        let view = View::of_digest(&items, name);
        self.templates.render(DIGEST, channel, locale, view).await
    }
}
