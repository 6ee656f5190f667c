//! What admins have written, and whose language a lease names.

use bellpull_domain::locale::Locale;
use bellpull_domain::preference::PreferenceChanges;
use bellpull_domain::routing::Channel;
use bellpull_port::templates::{PutTemplate, Source, TEMPLATES_MAX, TemplateKey, WrittenTemplate};
use bellpull_port::{PreferenceStore, TemplateStore};

use super::Fixture;
use super::outbox::{due, lease, reachable};
use super::people::at;

fn written(event: &str, tag: &str, text: &str) -> WrittenTemplate {
    let locale = tag.parse().unwrap();
    let key = TemplateKey { event: event.to_owned(), channel: Channel::Sms, locale };
    let source = Source { text: text.to_owned(), ..Source::default() };
    WrittenTemplate { key, source, updated_at: at(7), updated_by: None }
}

pub(crate) async fn templates_are_kept_replaced_and_forgotten<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    assert_eq!(store.templates().await.unwrap(), Default::default());
    let ann = reachable(store, "ann").await;
    let first = written("mentioned", "pt-BR", "um");
    let second = WrittenTemplate {
        source: Source { subject: "s".into(), text: "dois".into(), html: "<b>h</b>".into() },
        updated_at: at(8),
        updated_by: Some(ann.id),
        ..first.clone()
    };
    let other = written("a\"b", "en", "other");
    assert_eq!(store.put_template(first.clone(), None).await.unwrap(), PutTemplate::Created);
    assert_eq!(store.templates_version().await.unwrap(), 1);
    assert_eq!(store.put_template(second.clone(), None).await.unwrap(), PutTemplate::Replaced);
    assert_eq!(store.put_template(other.clone(), None).await.unwrap(), PutTemplate::Created);
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    let shelf = store.templates().await.unwrap();
    assert_eq!((shelf.version, shelf.templates), (3, vec![other.clone(), second]));
    assert!(!store.delete_template(written("mentioned", "pt", "").key).await.unwrap());
    assert_eq!(store.templates_version().await.unwrap(), 3, "nothing has changed");
    assert!(store.delete_template(first.key).await.unwrap());
    let shelf = store.templates().await.unwrap();
    assert_eq!((shelf.version, shelf.templates), (4, vec![other]));
}

pub(crate) async fn there_is_a_bound_on_templates<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let all =
        (0..TEMPLATES_MAX).map(|n| store.put_template(written(&format!("e{n}"), "en", "x"), None));
    let all = futures_util::future::join_all(all).await;
    assert!(all.into_iter().all(|put| put == Ok(PutTemplate::Created)));
    let put =
        async |event: &str| store.put_template(written(event, "en", "y"), None).await.unwrap();
    assert_eq!(put("one more").await, PutTemplate::TooMany);
    assert_eq!(put("e7").await, PutTemplate::Replaced);
    assert_eq!(store.templates_version().await.unwrap(), i64::from(TEMPLATES_MAX) + 1);
    assert!(store.delete_template(written("e8", "en", "").key).await.unwrap());
    assert_eq!(put("one more").await, PutTemplate::Created);
}

pub(crate) async fn a_lease_has_its_recipients_language<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    let bob = reachable(store, "bob").await;
    let wish = async |locale: Option<&str>| {
        let locale = Some(locale.map(|tag| tag.parse::<Locale>().unwrap()));
        let changes = PreferenceChanges { locale, ..Default::default() };
        store.change_preferences(ann.id, changes, at(1)).await.unwrap().unwrap();
    };
    due(store, "mentioned", &ann, 1).await;
    due(store, "mentioned", &bob, 2).await;
    due(store, "mentioned", &ann, 3).await;
    // It is the language of the moment at which it goes out.
    wish(Some("PT_br")).await;
    let leased = lease(store, 2, 10).await;
    let tags: Vec<&str> =
        leased.iter().map(|one| one.addressee.as_ref().unwrap().locale.as_str()).collect();
    assert_eq!(tags, ["pt-BR", "en"]);
    wish(None).await;
    assert_eq!(lease(store, 1, 10).await[0].addressee.as_ref().unwrap().locale, Locale::english());
}
