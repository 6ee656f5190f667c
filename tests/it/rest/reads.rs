//! Searches and lists over many tickets: what they find, what they cost others, and where they end.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::support::{Hub, Person, answer};

const TICKETS: i64 = 26_000;
/// The first one's id and number: past all that the hub gives out.
const FIRST: i64 = 1_000_001;

/// Puts many tickets of `owner`'s into the hub's database, past the hub.
async fn seed(hub: &Hub, owner: &Person) {
    let options = SqliteConnectOptions::new().filename(hub.database());
    let mut beside = options.connect().await.unwrap();
    let (id, last) = (owner.id, FIRST + TICKETS - 1);
    // Some kilobytes of text each, as people write them.
    let tickets = format!(
        "WITH RECURSIVE n (n) AS (SELECT {FIRST} UNION ALL SELECT n + 1 FROM n WHERE n < {last}) \
         INSERT INTO tickets (id, project_id, number, title, description, priority, category, \
         status, created_by, version, created_at, updated_at) SELECT n, 1, n, 'Printer ' || n || \
         ' is on fire', replace(hex(zeroblob(100)), '00', 'smoke in room ' || (n % 100) || ', '), \
         'LOW', 'OTHER', iif(n % 2, 'NEW', 'OPENED'), {id}, 1, 0, 0 FROM n"
    );
    sqlx::query(AssertSqlSafe(tickets)).execute(&mut beside).await.unwrap();
    let words = "SELECT count(*) FROM sqlite_schema WHERE name = 'ticket_words'";
    let has_words: i64 = sqlx::query_scalar(words).fetch_one(&mut beside).await.unwrap();
    if has_words > 0 {
        let words = "INSERT INTO ticket_words (rowid, text) SELECT id, 'TKT-' || number || ' ' || \
                     title || ' ' || description FROM tickets";
        sqlx::query(words).execute(&mut beside).await.unwrap();
    }
    beside.close().await.unwrap();
}

/// The median of how long a read of one ticket and the creation of another take together.
async fn read_and_write(hub: &Hub, who: &Person, times: usize) -> Duration {
    let id = hub.ticket(who, "mine").await;
    let mut took = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        assert_eq!(hub.get(who, &format!("/api/tickets/{id}/")).await.0, 200);
        hub.ticket(who, "another").await;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took[times / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_of_some_do_not_hold_up_reads_and_writes_of_others() {
    if crate::support::sqlite_only() {
        return;
    }
    let hub = Hub::start().await;
    let owner = hub.user("owner", "client").await;
    let other = hub.user("other", "client").await;
    let mut searchers = Vec::new();
    for n in 0..8 {
        searchers.push(hub.user(&format!("admin{n}"), "admin").await);
    }
    seed(&hub, &owner).await;
    let idle = read_and_write(&hub, &other, 21).await;
    let search = async |who: &Person| {
        loop {
            for path in ["?search=smo+fir", "?search=nowhere", "?page=1200", "?status=NEW&page=600"]
            {
                let (status, _) = hub.get(who, &format!("/api/tickets/{path}")).await;
                assert!([200, 503].contains(&status), "{status}");
            }
        }
    };
    let busy = tokio::select! {
        busy = read_and_write(&hub, &other, 11) => busy,
        _ = join_all(searchers.iter().map(search)) => unreachable!("they go on for ever"),
    };
    println!("idle {idle:?}, beside 8 searches {busy:?}");
    assert!(busy < idle * 20 + Duration::from_millis(50), "idle {idle:?}, busy {busy:?}");
    hub.stop().await;
}

/// How long each of so many lists took, in order.
async fn lists(hub: &Hub, who: &Person, times: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        assert_eq!(hub.get(who, "/api/tickets/").await.0, 200);
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took
}

/// Accounts that see no ticket, as anyone may register them, and those that see all: the index of
/// words knows no rights.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_of_many_accounts_do_not_hold_up_lists() {
    if crate::support::sqlite_only() {
        return;
    }
    let hub = Hub::start().await;
    let owner = hub.user("owner", "client").await;
    let [mut clients, mut admins] = <[Vec<Person>; 2]>::default();
    for n in 0..10 {
        let client = hub.user(&format!("client{n}"), "client").await;
        if n % 2 == 0 {
            hub.ticket(&client, "printer").await;
        }
        clients.push(client);
        admins.push(hub.user(&format!("admin{n}"), "admin").await);
    }
    seed(&hub, &owner).await;
    let search = async |who: &Person| {
        loop {
            let path = "/api/tickets/?search=a+b+c+d+e+f+g+h+i+j+k+l+pr+fi+sm+ro";
            let (status, _) = hub.get(who, path).await;
            assert!([200, 429, 503].contains(&status), "{status}");
        }
    };
    for (searchers, who) in [(clients, "clients"), (admins, "admins")] {
        let mut tries = Vec::new();
        // What else the machine does is not the searches' doing.
        let is_good =
            |(idle, busy): &(Duration, Duration)| *busy < *idle * 3 + Duration::from_millis(50);
        while tries.len() < 6 && !tries.last().is_some_and(is_good) {
            let idle = lists(&hub, &owner, 21).await[10];
            let searching = searchers.iter().flat_map(|who| [(); 3].map(|()| search(who)));
            let busy = tokio::select! {
                busy = lists(&hub, &owner, 21) => busy[10],
                _ = join_all(searching) => unreachable!("they go on for ever"),
            };
            tries.push((idle, busy));
        }
        println!("a list alone, and beside 30 searches of {who}: {tries:?}");
        assert!(tries.last().is_some_and(is_good), "{who}: {tries:?}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_too_many_searches_of_one_user_some_are_told_to_wait() {
    if crate::support::sqlite_only() {
        return;
    }
    let hub = Hub::start().await;
    let [carl, dora] = [hub.user("carl", "client").await, hub.user("dora", "client").await];
    seed(&hub, &carl).await;
    let many = "/api/tickets/?search=pr+fi+sm+ro";
    let requests = (0..40).map(|_| async {
        let request = hub.request(Method::GET, many).bearer_auth(&carl.token);
        let response = request.send().await.unwrap();
        let retry_after = response.headers().get("retry-after").cloned();
        (response.status().as_u16(), retry_after.map(|value| value.to_str().unwrap().to_owned()))
    });
    let (found, theirs, list) = tokio::join!(
        join_all(requests),
        hub.get(&dora, "/api/tickets/?search=printer"),
        hub.get(&carl, "/api/tickets/")
    );
    assert_eq!((theirs.0, &theirs.1["count"]), (200, &json!(0)), "another's is served");
    assert_eq!((list.0, &list.1["count"]), (200, &json!(TICKETS)), "a list waits for no search");
    let told: Vec<_> = found.iter().filter(|(status, _)| *status == 429).collect();
    assert!(!told.is_empty() && told.len() < 40, "{found:?}");
    assert!(told.iter().all(|(_, retry_after)| retry_after.as_deref() == Some("1")), "{found:?}");
    assert!(found.iter().all(|(status, _)| [200, 429].contains(status)), "{found:?}");
    hub.stop().await;
}

#[tokio::test]
async fn what_is_found_among_many_is_found_at_once() {
    if crate::support::sqlite_only() {
        return;
    }
    let hub = Hub::start().await;
    let carl = hub.user("carl", "client").await;
    let admin = hub.user("admin", "admin").await;
    seed(&hub, &carl).await;
    let last = FIRST + TICKETS - 1;
    for who in [&carl, &admin] {
        for (query, count) in [
            (String::new(), TICKETS),
            ("search=printer+smoke".to_owned(), TICKETS),
            ("search=in+ROOM+17".to_owned(), TICKETS / 100),
            (format!("search=TKT-{last}"), 1),
            (format!("search={last}"), 1),
            ("search=rinter".to_owned(), 0),
            ("search=%22*".to_owned(), 0),
            ("status=NEW".to_owned(), TICKETS / 2),
            ("status=NEW&search=fire".to_owned(), TICKETS / 2),
        ] {
            let (status, list) = hub.get(who, &format!("/api/tickets/?{query}")).await;
            assert_eq!((status, &list["count"]), (200, &json!(count)), "{query}");
        }
        let (_, list) = hub.get(who, "/api/tickets/?page=1300").await;
        assert_eq!(list["results"][19]["id"], FIRST, "the oldest comes last");
    }
    hub.stop().await;
}

#[tokio::test]
async fn a_list_has_an_end_and_a_search_so_many_words() {
    let hub = Hub::start().await;
    let admin = hub.user("admin", "admin").await;
    for list in ["tickets", "users", "deliveries", "notifications", "scheduled", "projects"] {
        let refused = hub.get(&admin, &format!("/api/{list}/?page=1001&page_size=100")).await;
        assert_eq!((refused.0, &refused.1["code"]), (404, &json!("not_found")), "{list}");
        let detail = refused.1["detail"].as_str().unwrap();
        assert!(detail.contains("100000 rows") && detail.contains("filters"), "{detail}");
        let past = hub.get(&admin, &format!("/api/{list}/?page=1000&page_size=100")).await;
        assert_eq!((past.0, &past.1["detail"]), (404, &json!("Invalid page.")), "{list}");
    }
    let words = |words: usize| "w+".repeat(words) + &format!("x{words}-").repeat(words);
    let path = |count| format!("/api/tickets/?search={}", words(count));
    let long = answer(hub.request(Method::GET, &path(17)).bearer_auth(&admin.token)).await;
    assert_eq!((long.0, &long.1["search"]), (400, &json!(["Enter at most 16 words."])));
    assert_eq!(hub.get(&admin, &path(15)).await.0, 200);
    hub.stop().await;
}
