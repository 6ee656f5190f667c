//! Renders the text of one delivery.

use bellpull_actors::domain::delivery::Leased;
use bellpull_actors::domain::locale::Locale;
use bellpull_actors::domain::routing::Channel;

use super::defaults::DIGEST;
use super::desk::Templates;
use super::link::Links;
use super::template::{Rendered, View};

/// Templates, and the links in them.
#[derive(Debug, Clone)]
pub struct Words {
    /// The templates.
    pub templates: Templates,
    /// The links.
    pub links: Links,
}

impl Words {
    /// Renders what a channel sends: one message, or a digest.
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
