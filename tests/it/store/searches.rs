//! Searches: which words find which tickets, for whom, and what changes it.

use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_domain::search::Search;
use bellpull_domain::ticket::{Command, Edit, Status};
use bellpull_domain::user::{Role, User};
use bellpull_port::tickets::TicketFilter;
use bellpull_port::{PageRequest, ProjectStore, TicketStore};

use super::people::{creation, first, person, raise, step};
use super::{Fixture, Store};

fn found_by(text: &str) -> TicketFilter {
    TicketFilter { search: Some(Search::of(text).unwrap()), ..TicketFilter::default() }
}

async fn titles(store: &impl Store, filter: &TicketFilter) -> Vec<String> {
    let page = store.tickets(filter, first(100)).await.unwrap();
    assert_eq!(page.count, i64::try_from(page.rows.len()).unwrap());
    page.rows.into_iter().map(|ticket| ticket.title).collect()
}

/// The same, of a search by all of its ways: in the index of words, and in the words of the few
/// tickets that the client, the first account, has raised: all of them.
async fn both(store: &impl Store, text: &str) -> Vec<String> {
    let found = titles(store, &found_by(text)).await;
    let visible_to = Some((UserId(1), Role::Client));
    let of_few = titles(store, &TicketFilter { visible_to, ..found_by(text) }).await;
    assert_eq!(found, of_few, "{text}");
    found
}

pub(crate) async fn all_words_must_match_each_with_its_beginning<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    for title in ["The door is stuck", "A stuck window", "Türgriff à côté", "e-mail is down"] {
        raise(store, title, &client).await;
    }
    for (text, wanted) in [
        ("stuck", &["A stuck window", "The door is stuck"][..]),
        ("STUCK door", &["The door is stuck"]),
        ("stu doo", &["The door is stuck"]),
        ("oor", &[]),
        ("stuck mail", &[]),
        ("turgriff COTE", &["Türgriff à côté"]),
        ("e-ma", &["e-mail is down"]),
        ("mail-e", &[]),
        ("mail e", &["e-mail is down"]),
    ] {
        assert_eq!(both(store, text).await, wanted, "{text}");
    }
}

pub(crate) async fn text_without_spaces_and_letters_that_fold_are_found<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let many = "です".repeat(9_000) + "終";
    for title in [
        "サーバー障害が発生しました",
        "请重启服务器",
        "웹서버가 응답하지 않습니다",
        "ระบบล่มตอนเช้า",
        "Große Straße in Łódź",
        "ışık sönük",
        "Ｆｕｌｌ ｗｉｄｔｈ Ærø",
        "हिन्दी समस्या",
        "شُكْرًا ٥٧",
        &many,
    ] {
        raise(store, title, &client).await;
    }
    for (text, wanted) in [
        ("障害", "サーバー障害が発生しました"),
        ("ｻｰﾊﾞｰ", "サーバー障害が発生しました"),
        ("生しま サーバ", "サーバー障害が発生しました"),
        ("た", "サーバー障害が発生しました"),
        ("服务器", "请重启服务器"),
        ("启", "请重启服务器"),
        ("서버", "웹서버가 응답하지 않습니다"),
        ("\u{1109}\u{1165}\u{1107}\u{1165}", "웹서버가 응답하지 않습니다"),
        ("ล่ม", "ระบบล่มตอนเช้า"),
        ("STRASSE", "Große Straße in Łódź"),
        ("grosse lodz", "Große Straße in Łódź"),
        ("IŞIK", "ışık sönük"),
        ("isik", "ışık sönük"),
        ("full width aero", "Ｆｕｌｌ ｗｉｄｔｈ Ærø"),
        ("हिन्दी", "हिन्दी समस्या"),
        ("हिन्", "हिन्दी समस्या"),
        ("شكرا 57", "شُكْرًا ٥٧"),
        ("す終", &many),
    ] {
        assert_eq!(both(store, text).await, [wanted], "{text}");
    }
    for text in ["害障", "障生", "生障害", "务重", "버웹", "ละ", "भ", "rasse"] {
        assert_eq!(both(store, text).await, [""; 0], "{text}");
    }
}

pub(crate) async fn a_key_and_a_number_find_one_ticket<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    for n in 1..=12 {
        raise(store, &format!("title {}", "x".repeat(n)), &client).await;
    }
    let sql = "INSERT INTO projects (id, key, name, is_open, created_at) \
               VALUES (7, 'WEB', 'Main Website', TRUE, 0)";
    fixture.execute(sql).await;
    let web = store.project(ProjectId(7)).await.unwrap().unwrap();
    let id = store.reserve_ticket_id().await.unwrap();
    store.commit(creation(id, &web, "like TKT-2", &client)).await.unwrap();
    for (text, wanted) in [
        ("TKT-1", &["title x"][..]),
        ("tkt-12", &["title xxxxxxxxxxxx"]),
        ("#11", &["title xxxxxxxxxxx"]),
        ("TKT-2", &["like TKT-2", "title xx"]),
        ("web", &["like TKT-2"]),
        ("web-1", &["like TKT-2"]),
        ("web-2", &[]),
        ("TKT-99", &[]),
    ] {
        assert_eq!(both(store, text).await, wanted, "{text}");
    }
}

pub(crate) async fn what_means_something_to_a_query_means_nothing_here<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    raise(store, "near or not 100%", &client).await;
    for text in ["\"", "*", "%", "_", "\\", "'", "-", "()", "^:", "🔔", "\u{301}", "", " ", "…"]
    {
        assert_eq!(both(store, text).await, [""; 0], "{text}");
    }
    for text in [
        "\"near",
        "near*",
        "NEAR(or, 5)",
        "near OR window",
        "not NOT",
        "text:near",
        "-near",
        "^near",
        "near\" *",
        "(near",
        "near AND",
        "{text} : near",
        "100% or 1=1",
        "💥",
        "Ⓐ",
        "near + not",
    ] {
        // Whatever it finds, it is an answer.
        both(store, text).await;
    }
    for text in ["\"near\"", "NEAR*", "-near", "^near", "(near)", "100% not", "or NOT", "near🔔"]
    {
        assert_eq!(both(store, text).await, ["near or not 100%"], "{text}");
    }
}

pub(crate) async fn the_words_follow_the_ticket<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    let admin = person(store, "admin", "admin").await;
    let one = raise(store, "First light", &client).await.ticket;
    raise(store, "Second light", &client).await;
    let opened = store.commit(step(&one, Command::Open, &admin)).await.unwrap().ticket;
    assert_eq!(both(store, "first").await, ["First light"], "after a step");
    let edit = Edit {
        title: Some("Changed lamp".to_owned()),
        description: Some("it flickers".to_owned()),
        ..Edit::default()
    };
    let edited = store.commit(step(&opened, Command::Edit(edit), &client)).await.unwrap().ticket;
    assert_eq!(both(store, "first").await, [""; 0]);
    assert_eq!(both(store, "flicker lamp tkt-1").await, ["Changed lamp"]);
    assert_eq!(both(store, "light").await, ["Second light"]);
    store.commit(step(&edited, Command::Delete, &admin)).await.unwrap();
    assert_eq!(both(store, "lamp").await, [""; 0]);
    let fixture = fixture.reopen().await;
    assert_eq!(titles(&**fixture.store(), &found_by("light")).await, ["Second light"]);
}

pub(crate) async fn a_search_shows_what_its_caller_may_see<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let [carl, dora] =
        [person(store, "carl", "client").await, person(store, "dora", "client").await];
    let [ada, bob] =
        [person(store, "ada", "developer").await, person(store, "bob", "developer").await];
    let admin = person(store, "admin", "admin").await;
    let sql = "INSERT INTO projects (id, key, name, is_open, created_at) \
               VALUES (7, 'WEB', 'Main Website', FALSE, 0)";
    fixture.execute(sql).await;
    fixture.execute(&format!("INSERT INTO project_members VALUES (7, {})", ada.id)).await;
    let web = store.project(ProjectId(7)).await.unwrap().unwrap();
    raise(store, "lamp open", &carl).await;
    let id = store.reserve_ticket_id().await.unwrap();
    let closed = store.commit(creation(id, &web, "lamp closed", &dora)).await.unwrap().ticket;
    let of = |user: &User, filter: TicketFilter| TicketFilter {
        visible_to: Some((user.id, user.role.clone())),
        ..filter
    };
    for (user, wanted) in [
        (&carl, &["lamp open"][..]),
        (&dora, &["lamp closed"]),
        (&ada, &["lamp closed", "lamp open"]),
        (&bob, &["lamp open"]),
        (&admin, &["lamp closed", "lamp open"]),
    ] {
        let found = titles(store, &of(user, found_by("lamp"))).await;
        assert_eq!(found, wanted, "{}", user.username);
        let listed = titles(store, &of(user, TicketFilter::default())).await;
        assert_eq!(listed, wanted, "{}", user.username);
    }
    let assign = Command::Assign { developers: vec![bob.clone()] };
    let closed = store.commit(step(&closed, assign, &admin)).await.unwrap().ticket;
    assert_eq!(titles(store, &of(&bob, found_by("lamp"))).await, ["lamp closed", "lamp open"]);
    // A former developer who is still assigned.
    let was = TicketFilter { visible_to: Some((bob.id, Role::Client)), ..found_by("lamp") };
    assert_eq!(titles(store, &was).await, ["lamp closed"]);
    let all = TicketFilter { search: None, ..was.clone() };
    assert_eq!(titles(store, &all).await, ["lamp closed"]);
    for (filter, wanted) in [
        (TicketFilter { status: Some(Status::New), ..found_by("lamp") }, &["lamp open"][..]),
        (TicketFilter { project: Some(web.id), ..found_by("lamp") }, &["lamp closed"]),
        (TicketFilter { created_by: Some(carl.id), ..found_by("lamp") }, &["lamp open"]),
        (TicketFilter { assigned_to: Some(bob.id), ..found_by("lamp") }, &["lamp closed"]),
        (TicketFilter { assigned_to: Some(bob.id), ..of(&carl, found_by("lamp")) }, &[]),
    ] {
        assert_eq!(titles(store, &filter).await, wanted, "{filter:?}");
    }
    for filter in [
        TicketFilter {
            created_by: Some(dora.id),
            assigned_to: Some(bob.id),
            ..of(&ada, found_by(""))
        },
        TicketFilter { created_by: Some(dora.id), ..of(&carl, found_by("lamp")) },
    ] {
        assert_eq!(titles(store, &filter).await, [""; 0], "{filter:?}");
    }
    let both = TicketFilter {
        created_by: Some(dora.id),
        assigned_to: Some(bob.id),
        ..TicketFilter::default()
    };
    for user in [&ada, &bob, &dora, &admin] {
        assert_eq!(titles(store, &of(user, both.clone())).await, [closed.title.as_str()]);
    }
    assert_eq!(titles(store, &of(&carl, both)).await, [""; 0]);
}

pub(crate) async fn a_search_is_paged_newest_first<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = person(store, "client", "client").await;
    for n in 1..=5 {
        raise(store, &format!("lamp {n}{n}"), &client).await;
        raise(store, "window", &client).await;
    }
    let pages = [
        (1, &["lamp 55", "lamp 44"][..]),
        (2, &["lamp 33", "lamp 22"]),
        (3, &["lamp 11"]),
        (4, &[]),
    ];
    let of_few = Some((client.id, client.role.clone()));
    for ((page, wanted), visible_to) in
        pages.iter().flat_map(|page| [(*page, None), (*page, of_few.clone())])
    {
        let request = PageRequest { page, page_size: 2 };
        let filter = TicketFilter { visible_to, ..found_by("lamp") };
        let page = store.tickets(&filter, request).await.unwrap();
        let titles: Vec<&str> = page.rows.iter().map(|ticket| ticket.title.as_str()).collect();
        assert_eq!((page.count, titles), (5, wanted.to_vec()));
    }
}

/// What others' tickets say is not looked at for a caller who sees few: nothing is found any more
/// without the index, but one's own.
pub(crate) async fn searches_of_callers_who_see_few_tickets_leave_the_index_alone<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let [carl, many] =
        [person(store, "carl", "client").await, person(store, "many", "client").await];
    let dev = person(store, "dev", "developer").await;
    for user in [&carl, &dev] {
        raise(store, "lamp", user).await;
    }
    for _ in 0..60 {
        raise(store, "lamp", &many).await;
    }
    fixture.execute("DELETE FROM ticket_words").await;
    let found = async |user: &User| {
        let visible_to = Some((user.id, user.role.clone()));
        let filter = TicketFilter { visible_to, ..found_by("lam") };
        store.tickets(&filter, first(9)).await.unwrap().count
    };
    assert_eq!((found(&carl).await, found(&many).await), (1, 0));
    assert_eq!(found(&dev).await, 0, "the project is open");
    fixture.execute("UPDATE projects SET is_open = FALSE").await;
    assert_eq!(found(&dev).await, 1);
    fixture.execute(&format!("INSERT INTO project_members VALUES (1, {})", dev.id)).await;
    assert_eq!(found(&dev).await, 0);
}
