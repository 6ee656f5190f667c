//! All templates of a hub: what admins wrote, over the defaults.
//!
//! Senders render from memory. An edit is in the store first, and in this node's memory before it
//! is answered; other nodes see by the store's version that theirs are old.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use bellpull_actors::domain::locale::Locale;
use bellpull_actors::domain::routing::Channel;
use bellpull_actors::port::templates::{
    PutTemplate, Source, TemplateKey, TemplateShelf, WrittenTemplate,
};
use bellpull_actors::port::{StoreError, TemplateStore};

use super::defaults::default_of;
use super::template::{Parsed, Rendered, View, plain};

/// How often the store's version is compared: so long may an edit on another node stay unseen.
pub const FOLLOW_EVERY: Duration = Duration::from_secs(5);

/// What counts for an event, a channel and a language.
#[derive(Debug, Clone)]
pub enum Found {
    /// What somebody wrote, in this language or in the nearest there is.
    Written(Arc<WrittenTemplate>),
    /// The default.
    Default(Source),
}

impl Found {
    /// What it says.
    #[must_use]
    pub fn source(&self) -> &Source {
        match self {
            Self::Written(template) => &template.source,
            Self::Default(source) => source,
        }
    }
}

/// All templates in memory. Its clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Templates {
    shelf: Arc<RwLock<Shelf>>,
}

#[derive(Debug, Default)]
struct Shelf {
    version: i64,
    written: HashMap<TemplateKey, Arc<WrittenTemplate>>,
    /// A shelf's own: what an edit replaces is forgotten with the shelf.
    parsed: Arc<Parsed>,
}

impl Templates {
    fn shelf(&self) -> RwLockReadGuard<'_, Shelf> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the store has, unless it is older than what is here.
    pub fn take(&self, TemplateShelf { version, templates }: TemplateShelf) {
        let written = templates.into_iter().map(|one| (one.key.clone(), Arc::new(one)));
        let new = Shelf { version, written: written.collect(), parsed: Arc::default() };
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        if new.version > shelf.version {
            *shelf = new;
        }
    }

    /// What counts for it: the language's own, its parent's (`de` for `de-AT`), English, or the
    /// default.
    #[must_use]
    pub fn find(&self, event: &str, channel: Channel, locale: &Locale) -> Found {
        let shelf = self.shelf();
        let key = |tag: &str| {
            let locale = tag.parse().ok()?;
            Some(TemplateKey { event: event.to_owned(), channel, locale })
        };
        // Most hubs have no templates of their own, and every e-mail asks.
        let nearest = locale.nearest().filter(|_| !shelf.written.is_empty());
        let written = nearest.filter_map(key).find_map(|key| shelf.written.get(&key).cloned());
        written.map_or_else(|| Found::Default(default_of(event, channel)), Found::Written)
    }

    /// All that somebody wrote, in no order.
    #[must_use]
    pub fn written(&self) -> Vec<TemplateKey> {
        self.shelf().written.keys().cloned().collect()
    }

    /// What goes out. A template that fails is replaced by the default, which cannot.
    #[must_use]
    pub fn render(&self, event: &str, channel: Channel, locale: &Locale, view: &View) -> Rendered {
        let parsed = Arc::clone(&self.shelf().parsed);
        if let Found::Written(template) = self.find(event, channel, locale) {
            match parsed.render(&template.source, view) {
                Ok(rendered) => return Rendered { is_written: true, ..rendered },
                Err(bad) => failed(event, channel, &template.key.locale, &bad.to_string()),
            }
        }
        parsed.render(&default_of(event, channel), view).unwrap_or_else(|bad| {
            failed(event, channel, &Locale::english(), &bad.to_string());
            plain(view)
        })
    }
}

/// What an operator learns of a template that failed when it was to go out.
fn failed(event: &str, channel: Channel, locale: &Locale, bad: &str) {
    let channel = channel.as_str();
    metrics::counter!("bellpull_template_failures_total", "channel" => channel).increment(1);
    tracing::warn!(event, channel, %locale, bad, "a template failed: the default goes out");
}

/// The templates with the store that keeps them.
#[derive(Debug, Clone)]
pub struct TemplateDesk {
    store: Arc<dyn TemplateStore>,
    templates: Templates,
}

impl TemplateDesk {
    /// With what the store has.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn open(store: Arc<dyn TemplateStore>) -> Result<Self, StoreError> {
        let desk = Self { store, templates: Templates::default() };
        desk.refresh().await?;
        Ok(desk)
    }

    /// What senders render from.
    #[must_use]
    pub fn templates(&self) -> &Templates {
        &self.templates
    }

    /// Keeps a template; whatever is rendered here after this returns goes by it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put(&self, template: WrittenTemplate) -> Result<PutTemplate, StoreError> {
        let put = self.store.put_template(template).await?;
        self.see().await;
        Ok(put)
    }

    /// Takes a template away; `false` where there was none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn delete(&self, key: TemplateKey) -> Result<bool, StoreError> {
        let is_gone = self.store.delete_template(key).await?;
        self.see().await;
        Ok(is_gone)
    }

    /// Keeps what is in memory as new as the store; never returns.
    pub async fn follow(self, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.see().await;
        }
    }

    /// An edit that is in the store is done, also where it cannot be read back at once: the next
    /// look will see it.
    async fn see(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "templates could not be read; those before go on");
        }
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        let known = self.templates.shelf().version;
        if self.store.templates_version().await? > known {
            self.templates.take(self.store.templates().await?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use jiff::Timestamp;

    use super::super::defaults::sample;
    use super::*;

    fn written(event: &str, channel: Channel, tag: &str, text: &str) -> WrittenTemplate {
        let key = TemplateKey { event: event.to_owned(), channel, locale: tag.parse().unwrap() };
        let source = Source { text: text.to_owned(), ..Source::default() };
        WrittenTemplate { key, source, updated_at: Timestamp::UNIX_EPOCH, updated_by: None }
    }

    fn shelf(version: i64, templates: Vec<WrittenTemplate>) -> TemplateShelf {
        TemplateShelf { version, templates }
    }

    fn text(templates: &Templates, tag: &str) -> String {
        let found = templates.find("mentioned", Channel::Sms, &tag.parse().unwrap());
        found.source().text.clone()
    }

    #[test]
    fn a_language_falls_back_to_its_parent_to_english_to_the_default() {
        let templates = Templates::default();
        let sms = |tag, text| written("mentioned", Channel::Sms, tag, text);
        assert!(text(&templates, "de-AT").contains("{{ title }}"));
        templates.take(shelf(1, vec![sms("en", "english")]));
        assert_eq!(text(&templates, "de-AT"), "english");
        templates.take(shelf(2, vec![sms("en", "english"), sms("de", "deutsch")]));
        assert_eq!(
            [text(&templates, "de-AT"), text(&templates, "fr")],
            ["deutsch".to_owned(), "english".to_owned()]
        );
        templates.take(shelf(3, vec![sms("de", "deutsch"), sms("de-AT", "servus")]));
        assert_eq!([text(&templates, "de-AT"), text(&templates, "de")], ["servus", "deutsch"]);
        assert!(text(&templates, "fr").contains("{{ title }}"));
        let other = templates.find("mentioned", Channel::Push, &"de".parse().unwrap());
        assert!(matches!(other, Found::Default(_)));
    }

    #[test]
    fn what_is_older_is_not_taken() {
        let templates = Templates::default();
        templates.take(shelf(2, vec![written("mentioned", Channel::Sms, "en", "two")]));
        templates.take(shelf(1, vec![written("mentioned", Channel::Sms, "en", "one")]));
        assert_eq!(text(&templates, "en"), "two");
    }

    #[test]
    fn a_template_that_fails_when_it_is_sent_gives_way_to_the_default() {
        let templates = Templates::default();
        let bad = written("general", Channel::Sms, "en", "{{ data.a.b.c }}");
        templates.take(shelf(1, vec![bad]));
        let (view, english) = (sample("general"), Locale::english());
        let rendered = templates.render("general", Channel::Sms, &english, &view);
        assert!(rendered.text.starts_with("A title: A message"), "{}", rendered.text);
        assert!(!rendered.is_written);
    }

    /// A store that another node writes to.
    #[derive(Debug, Default)]
    struct Shared {
        shelf: Mutex<TemplateShelf>,
        reads: Mutex<u32>,
    }

    #[async_trait]
    impl TemplateStore for Shared {
        async fn templates_version(&self) -> Result<i64, StoreError> {
            Ok(self.shelf.lock().unwrap().version)
        }

        async fn templates(&self) -> Result<TemplateShelf, StoreError> {
            *self.reads.lock().unwrap() += 1;
            Ok(self.shelf.lock().unwrap().clone())
        }

        async fn put_template(&self, one: WrittenTemplate) -> Result<PutTemplate, StoreError> {
            let mut shelf = self.shelf.lock().unwrap();
            shelf.version += 1;
            shelf.templates.push(one);
            Ok(PutTemplate::Created)
        }

        async fn delete_template(&self, _: TemplateKey) -> Result<bool, StoreError> {
            Ok(false)
        }
    }

    #[tokio::test]
    async fn an_edit_is_seen_here_at_once_and_elsewhere_soon() {
        let store = Arc::new(Shared::default());
        let here = TemplateDesk::open(store.clone()).await.unwrap();
        let there = TemplateDesk::open(store.clone()).await.unwrap();
        let following = tokio::spawn(there.clone().follow(Duration::from_millis(1)));
        here.put(written("mentioned", Channel::Sms, "en", "new")).await.unwrap();
        assert_eq!(text(here.templates(), "en"), "new");
        let seen = async {
            while text(there.templates(), "en") != "new" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
        // One reading each: a version that has not changed costs one look.
        assert_eq!(*store.reads.lock().unwrap(), 2);
        following.abort();
    }
}
