//! Renders the text of one delivery.

use bellpull_domain::delivery::Leased;
use bellpull_domain::locale::Locale;
use bellpull_domain::routing::Channel;

use super::defaults::DIGEST;
use super::link::Links;
use super::template::{Rendered, View};
use super::template_service::Templates;

/// Templates, and the links in them.
#[derive(Debug, Clone)]
pub struct Renderer {
    /// The templates.
    pub templates: Templates,
    /// The links.
    pub links: Links,
}

impl Renderer {
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
        if let [content] = &leased.contents[..] {
            let message = &content.message;
            let link = match &leased.account_link {
                Some(link) => self.links.accounts().map(|accounts| accounts.url(link)),
                None => self.links.action(&message.action_url),
            };
            let view = View::of(message, name, link.as_deref(), unsubscribe);
            return self.templates.render(message.event.as_str(), channel, locale, view).await;
        }
        let items: Vec<_> = leased
            .contents
            .iter()
            .map(|content| (&content.message, self.links.action(&content.message.action_url)))
            .collect();
        let view = View::of_digest(&items, name, unsubscribe);
        self.templates.render(DIGEST, channel, locale, view).await
    }
}
