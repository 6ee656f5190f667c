//! All templates of a hub: those that admins wrote, on top of the defaults.
//!
//! Senders render from memory. An edit is committed to the store first, then read into this node's
//! memory before it is answered; other nodes notice by the store's version number.
//!
//! Templates that admins wrote are rendered on threads for blocking work, a few at a time: their
//! limits ([`super::template`]) allow one to keep a core busy for a moment, and no request should
//! wait for that. The defaults are rendered in place.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;

use bellpull_actors::broker::LocalBroker;
use bellpull_domain::locale::Locale;
use bellpull_domain::routing::Channel;
use bellpull_domain::version::Version;
use bellpull_port::templates::{PutTemplate, Source, TemplateKey, TemplateShelf, WrittenTemplate};
use bellpull_port::{Broker, BrokerMessage, StoreError, Subscriber, TemplateStore};
use tokio::sync::{Notify, Semaphore};

use super::defaults::{DIGEST, default_of};
use super::proof::prove;
use super::template::{BadTemplate, Parsed, Rendered, View, plain};

/// How often the store's version is compared: an edit on another node may go unnoticed for this
/// long.
pub const FOLLOW_EVERY: Duration = Duration::from_secs(5);

/// The template in effect for an event, a channel and a language.
#[derive(Debug, Clone)]
pub enum Found {
    /// An admin's template, in this language or the nearest available one.
    Written(Arc<WrittenTemplate>),
    /// The default.
    Default(Source),
}

impl Found {
    /// Its source.
    #[must_use]
    pub fn source(&self) -> &Source {
        match self {
            Self::Written(template) => &template.source,
            Self::Default(source) => source,
        }
    }
}

/// Admins' templates that are rendered for deliveries at the same time: they take at most two cores
/// from requests.
const RENDERS_MAX: usize = 2;
/// Templates of requests (previews, and templates to be saved) that are rendered at the same time.
/// They have a limit of their own, so they never hold up deliveries.
const PROOFS_MAX: usize = 1;

/// All templates in memory. Clones share them.
#[derive(Debug, Clone)]
pub struct Templates {
    shelf: Arc<RwLock<Shelf>>,
    renders: Arc<Semaphore>,
}

impl Default for Templates {
    fn default() -> Self {
        Self { shelf: Arc::default(), renders: Arc::new(Semaphore::new(RENDERS_MAX)) }
    }
}

#[derive(Debug, Default)]
struct Shelf {
    version: i64,
    written: HashMap<TemplateKey, Arc<Kept>>,
}

/// A template that an admin wrote.
#[derive(Debug)]
struct Kept {
    template: Arc<WrittenTemplate>,
    /// Parsed when it is first rendered. A template saved by an earlier version may use constructs
    /// that are no longer available.
    parsed: OnceLock<Result<Parsed, BadTemplate>>,
}

impl Kept {
    fn render(&self, view: &View) -> Result<Rendered, BadTemplate> {
        let parsed = self.parsed.get_or_init(|| Parsed::of(&self.template.source));
        let rendered = parsed.as_ref().map_err(BadTemplate::clone)?.render(view)?;
        Ok(Rendered { is_written: true, ..rendered })
    }
}

/// The parsed defaults: for each channel one for digests and one for everything else.
static DEFAULTS: LazyLock<HashMap<(Channel, bool), Result<Parsed, BadTemplate>>> =
    LazyLock::new(|| {
        let of = |channel| [(channel, DIGEST), (channel, "")];
        let parsed = Channel::ALL.into_iter().flat_map(of).map(|(channel, event)| {
            ((channel, event == DIGEST), Parsed::of(&default_of(event, channel)))
        });
        parsed.collect()
    });

impl Templates {
    fn shelf(&self) -> RwLockReadGuard<'_, Shelf> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the store's templates, unless they are older than those in memory.
    pub fn take(&self, TemplateShelf { version, templates }: TemplateShelf) {
        let kept = |template| Kept { template: Arc::new(template), parsed: OnceLock::new() };
        let written = templates.into_iter().map(|one| (one.key.clone(), Arc::new(kept(one))));
        let new = Shelf { version, written: written.collect() };
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        if new.version > shelf.version {
            *shelf = new;
        }
    }

    /// The template in effect: of the language itself, of its parent (`de` for `de-AT`), English,
    /// or the default.
    #[must_use]
    pub fn find(&self, event: &str, channel: Channel, locale: &Locale) -> Found {
        match self.kept(event, channel, locale) {
            Some(kept) => Found::Written(Arc::clone(&kept.template)),
            None => Found::Default(default_of(event, channel)),
        }
    }

    fn kept(&self, event: &str, channel: Channel, locale: &Locale) -> Option<Arc<Kept>> {
        let shelf = self.shelf();
        let key = |tag: &str| {
            let locale = tag.parse().ok()?;
            Some(TemplateKey { event: event.to_owned(), channel, locale })
        };
        // Most hubs have no templates of their own, and every e-mail looks one up.
        let nearest = locale.nearest().filter(|_| !shelf.written.is_empty());
        nearest.filter_map(key).find_map(|key| shelf.written.get(&key).cloned())
    }

    /// All templates that admins wrote, in no particular order.
    #[must_use]
    pub fn written(&self) -> Vec<TemplateKey> {
        self.shelf().written.keys().cloned().collect()
    }

    /// Renders a message. If a template fails, the default is rendered instead; it cannot fail.
    pub async fn render(
        &self,
        event: &str,
        channel: Channel,
        locale: &Locale,
        view: View,
    ) -> Rendered {
        let view = Arc::new(view);
        if let Some(kept) = self.kept(event, channel, locale) {
            let (template, seen) = (Arc::clone(&kept.template), Arc::clone(&view));
            match apart(&self.renders, move || kept.render(&seen)).await {
                Ok(rendered) => return rendered,
                Err(bad) => failed(event, channel, &template.key.locale, &bad.to_string()),
            }
        }
        by_default(event, channel, &view).unwrap_or_else(|bad| {
            failed(event, channel, &Locale::english(), &bad.to_string());
            plain(&view)
        })
    }
}

fn by_default(event: &str, channel: Channel, view: &View) -> Result<Rendered, BadTemplate> {
    match DEFAULTS.get(&(channel, event == DIGEST)) {
        Some(parsed) => parsed.as_ref().map_err(BadTemplate::clone)?.render(view),
        None => Parsed::of(&default_of(event, channel))?.render(view),
    }
}

/// Renders on a thread for blocking work, once a permit is free. The permit is held until the work
/// ends, even if the caller no longer waits.
async fn apart<T: Send + 'static, E: From<BadTemplate> + Send + 'static>(
    places: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let place = Arc::clone(places).acquire_owned().await;
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    done.await.unwrap_or_else(|error| {
        tracing::error!(%error, "rendering a template failed");
        Err(BadTemplate { part: "text", problem: "it cannot be rendered".to_owned() }.into())
    })
}

/// Tells operators that a template failed when it was to be sent.
fn failed(event: &str, channel: Channel, locale: &Locale, bad: &str) {
    let channel = channel.as_str();
    metrics::counter!("bellpull_template_failures_total", "channel" => channel).increment(1);
    tracing::warn!(event, channel, %locale, bad, "a template failed: the default goes out");
}

/// Everything that is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong(pub Vec<BadTemplate>);

impl From<BadTemplate> for Wrong {
    fn from(bad: BadTemplate) -> Self {
        Self(vec![bad])
    }
}

/// The templates with the store that holds them.
#[derive(Debug, Clone)]
pub struct TemplateService {
    store: Arc<dyn TemplateStore>,
    templates: Templates,
    proofs: Arc<Semaphore>,
    broker: Arc<dyn Broker>,
    changed: Arc<ChangedElsewhere>,
}

/// Wakes [`TemplateService::follow`] when another node has changed templates; any number of
/// messages that arrive meanwhile are one more reading.
#[derive(Debug, Default)]
struct ChangedElsewhere(Notify);

impl Subscriber for ChangedElsewhere {
    fn receive(&self, message: BrokerMessage<'_>) {
        if matches!(message, BrokerMessage::TemplatesChanged) {
            self.0.notify_one();
        }
    }
}

impl TemplateService {
    /// Loads the templates from the store.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn open(store: Arc<dyn TemplateStore>) -> Result<Self, StoreError> {
        let proofs = Arc::new(Semaphore::new(PROOFS_MAX));
        let (broker, changed) = (Arc::new(LocalBroker), Arc::default());
        let templates = Templates::default();
        let template_service = Self { store, templates, proofs, broker, changed };
        template_service.refresh().await?;
        Ok(template_service)
    }

    /// The same, which publishes its changes to the other nodes, and follows theirs at once.
    #[must_use]
    pub fn with_broker(self, broker: &Arc<dyn Broker>) -> Self {
        let weak: Weak<ChangedElsewhere> = Arc::downgrade(&self.changed);
        broker.subscribe(weak);
        Self { broker: Arc::clone(broker), ..self }
    }

    /// The templates that senders render from.
    #[must_use]
    pub fn templates(&self) -> &Templates {
        &self.templates
    }

    /// Renders a template with sample data.
    ///
    /// # Errors
    /// Everything that is wrong with it; see [`prove`].
    pub async fn prove(
        &self,
        event: &str,
        channel: Channel,
        source: Source,
    ) -> Result<Rendered, Wrong> {
        let event = event.to_owned();
        apart(&self.proofs, move || prove(&event, channel, &source).map_err(Wrong)).await
    }

    /// Saves a template; renders that begin after this returns use it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is another version than was `seen`, which can be found
    /// afterwards; [`StoreError::Unavailable`].
    pub async fn put(
        &self,
        template: WrittenTemplate,
        seen: Option<Version>,
    ) -> Result<PutTemplate, StoreError> {
        let put = self.store.put_template(template, seen).await;
        self.see().await;
        self.broker.publish(BrokerMessage::TemplatesChanged);
        put
    }

    /// Deletes a template; `false` if there was none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn delete(&self, key: TemplateKey) -> Result<bool, StoreError> {
        let is_gone = self.store.delete_template(key).await?;
        self.see().await;
        self.broker.publish(BrokerMessage::TemplatesChanged);
        Ok(is_gone)
    }

    /// Compares the templates in memory with the store when another node reports a change, and at
    /// this interval; never returns.
    pub async fn follow(self, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.changed.0.notified() => {}
            }
            self.see().await;
        }
    }

    /// Takes over what other nodes have changed. An edit that is in the store is done even if it
    /// cannot be read back now: the next comparison reads it.
    pub async fn see(&self) {
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
    use bellpull_port::testing::FakeNet;
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

    #[tokio::test]
    async fn a_template_that_fails_when_it_is_sent_gives_way_to_the_default() {
        let templates = Templates::default();
        let english = Locale::english();
        // The second one was saved before the output limit existed.
        for (version, bad) in
            [(1, "{{ data.a.b.c }}"), (2, "{% set n = namespace() %}{% set n.x = 'x' %}{{ n.x }}")]
        {
            templates.take(shelf(version, vec![written("general", Channel::Sms, "en", bad)]));
            let view = sample("general");
            let rendered = templates.render("general", Channel::Sms, &english, view).await;
            assert!(rendered.text.starts_with("A title: A message"), "{}", rendered.text);
            assert!(!rendered.is_written);
        }
    }

    #[tokio::test]
    async fn so_many_are_rendered_at_once_and_the_defaults_do_not_wait() {
        let templates = Templates::default();
        templates.take(shelf(1, vec![written("general", Channel::Sms, "en", "{{ name }}")]));
        let english = Locale::english();
        let all = templates.renders.acquire_many(2).await.unwrap();
        let written = templates.render("general", Channel::Sms, &english, sample("general"));
        let mut written = std::pin::pin!(written);
        assert!(futures_util::poll!(&mut written).is_pending());
        let other = templates.render("mentioned", Channel::Sms, &english, sample("mentioned"));
        assert!(!other.await.is_written);
        drop(all);
        assert_eq!(written.await.text, "Ada Lovelace");
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

        async fn put_template(
            &self,
            one: WrittenTemplate,
            _: Option<Version>,
        ) -> Result<PutTemplate, StoreError> {
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
        let here = TemplateService::open(store.clone()).await.unwrap();
        let there = TemplateService::open(store.clone()).await.unwrap();
        let following = tokio::spawn(there.clone().follow(Duration::from_millis(1)));
        here.put(written("mentioned", Channel::Sms, "en", "new"), None).await.unwrap();
        assert_eq!(text(here.templates(), "en"), "new");
        let seen = async {
            while text(there.templates(), "en") != "new" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
        // One full read each: an unchanged version costs one comparison.
        assert_eq!(*store.reads.lock().unwrap(), 2);
        following.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_told_of_an_edit_reads_it_before_its_next_comparison() {
        let (store, net) = (Arc::new(Shared::default()), FakeNet::default());
        let node = async || {
            let broker: Arc<dyn Broker> = net.join();
            TemplateService::open(store.clone()).await.unwrap().with_broker(&broker)
        };
        let (here, there) = (node().await, node().await);
        let hour = Duration::from_secs(3_600);
        let following = tokio::spawn(there.clone().follow(hour));
        // Its first comparison is made: the next one is an hour away.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begun = tokio::time::Instant::now();
        here.put(written("mentioned", Channel::Sms, "en", "new"), None).await.unwrap();
        while text(there.templates(), "en") != "new" {
            assert!(begun.elapsed() < hour / 2, "it waited for its comparison");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(net.published(), [(0, "TemplatesChanged".to_owned())]);
        following.abort();
    }
}
