//! Admission in paused time: a hash takes as long as the test says.

use std::sync::atomic::{AtomicUsize, Ordering};

use bellpull_domain::ids::UserId;
use bellpull_port::testing::FakeLimits;
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::queue::WAITING_MAX;
use super::*;

/// What a hash takes.
const HASH: Duration = Duration::from_millis(20);

const ADA: Name = Name::Account(UserId(1));
const BOB: Name = Name::Account(UserId(2));

/// An attempt with a wrong password; how long it took, or that it was throttled.
async fn fail(admission: Admission, name: Name, network: u64) -> Result<Duration, Throttled> {
    let began = Instant::now();
    let attempt = Admission::attempt(name, network);
    let mut turn = admission.login(attempt).await?;
    turn.begin();
    sleep(HASH).await;
    drop(turn);
    admission.refusal(attempt).await?;
    Ok(began.elapsed())
}

/// The same with the right one.
async fn succeed(admission: &Admission, name: Name, network: u64) -> Result<Duration, Throttled> {
    let began = Instant::now();
    let attempt = Admission::attempt(name, network);
    let mut turn = admission.login(attempt).await?;
    turn.begin();
    sleep(HASH).await;
    turn.succeeded(attempt);
    Ok(began.elapsed())
}

/// Clients that fail in a loop, each with the name that is made of its number and its attempt's.
fn attack(
    admission: &Admission,
    clients: u64,
    name: fn(u64, u64) -> Name,
    network: fn(u64) -> u64,
) -> JoinSet<()> {
    (0..clients)
        .map(|client| {
            let admission = admission.clone();
            async move {
                for attempt in 0.. {
                    let name = name(client, attempt);
                    if fail(admission.clone(), name, network(client)).await.is_err() {
                        sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn guesses_at_one_account_are_bounded_over_all_addresses() {
    let admission = Admission::new(None);
    let told = Arc::new(AtomicUsize::new(0));
    let mut attackers: JoinSet<()> = (0..20)
        .map(|network| {
            let (admission, told) = (admission.clone(), Arc::clone(&told));
            async move {
                loop {
                    match fail(admission.clone(), ADA, network).await {
                        Ok(_) => drop(told.fetch_add(1, Ordering::Relaxed)),
                        Err(Throttled(_)) => sleep(Duration::from_millis(100)).await,
                    }
                }
            }
        })
        .collect();
    sleep(Duration::from_secs(120)).await;
    attackers.shutdown().await;
    let told = told.load(Ordering::Relaxed);
    assert!((30..=34).contains(&told), "{told} guesses in 2 minutes");
}

#[tokio::test(start_paused = true)]
async fn past_its_budget_an_account_has_a_turn_every_five_seconds() {
    let admission = Admission::new(None);
    let mut tries: JoinSet<_> = (0..50).map(|_| fail(admission.clone(), ADA, 1)).collect();
    let mut told = Vec::new();
    let mut throttled = 0;
    while let Some(outcome) = tries.join_next().await {
        match outcome.unwrap() {
            Ok(took) => told.push(took.as_secs()),
            Err(Throttled(wait)) => {
                assert!(wait > Duration::from_secs(4) && wait < WAIT_MAX * 2, "{wait:?}");
                throttled += 1;
            }
        }
    }
    told.sort_unstable();
    assert_eq!((&told[..9], told.len() + throttled), (&[0; 9][..], 50));
    assert!((11..=12).contains(&told.len()), "{told:?}");
    // The right one waits for its turn, and is not refused.
    let took = succeed(&admission, ADA, 1).await.unwrap();
    assert!(took <= Duration::from_secs(6), "{took:?}");
    // From now on this network has a budget of its own; others share the account's.
    assert_eq!(succeed(&admission, ADA, 1).await, Ok(HASH));
    for _ in 0..5 {
        assert_eq!(fail(admission.clone(), ADA, 1).await, Ok(HASH));
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_at_home_is_not_kept_out_by_guesses_from_elsewhere() {
    let admission = Admission::new(None);
    succeed(&admission, ADA, 1).await.unwrap();
    let mut attackers = attack(&admission, 200, |_, _| ADA, |client| 100 + client);
    sleep(Duration::from_secs(60)).await;
    for _ in 0..12 {
        let took = succeed(&admission, ADA, 1).await.unwrap();
        assert!(took <= HASH * 4, "{took:?}");
        sleep(Duration::from_millis(333)).await;
    }
    attackers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn made_up_names_keep_no_account_out_even_at_its_own_address() {
    let admission = Admission::new(None);
    let name = |client, attempt| Name::Unknown(client * 1_000_000 + attempt);
    let mut attackers = attack(&admission, 600, name, |_| 1);
    sleep(Duration::from_secs(30)).await;
    for user in 0..12 {
        let took = succeed(&admission, Name::Account(UserId(user)), 1).await.unwrap();
        assert!(took <= HASH * 4, "{took:?}");
        sleep(Duration::from_millis(333)).await;
    }
    attackers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_loop_of_right_passwords_has_one_turn_in_a_round() {
    let admission = Admission::new(None);
    let mut loops: JoinSet<()> = (0..100)
        .map(|_| {
            let admission = admission.clone();
            async move {
                loop {
                    let _ = succeed(&admission, BOB, 7).await;
                }
            }
        })
        .collect();
    sleep(Duration::from_secs(10)).await;
    for user in 10..22 {
        let took = succeed(&admission, Name::Account(UserId(user)), 1).await.unwrap();
        assert!(took <= HASH * 5, "{took:?}");
    }
    loops.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_noisy_network_waits_behind_a_quiet_one() {
    let admission = Admission::new(None);
    let name = |client: u64, attempt: u64| {
        Name::Account(UserId(i64::try_from(1_000 + (client * 31 + attempt) % 5_000).unwrap()))
    };
    let mut attackers = attack(&admission, 300, name, |_| 666);
    sleep(Duration::from_secs(30)).await;
    for user in 0..12 {
        let took = succeed(&admission, Name::Account(UserId(user)), 1).await.unwrap();
        assert!(took <= HASH * 5, "{took:?}");
        sleep(Duration::from_millis(333)).await;
    }
    attackers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn attempts_whose_clients_disconnect_leave_the_queue() {
    let admission = Admission::new(None);
    let busy = admission.work().await.unwrap();
    let mut gone: JoinSet<_> = (0..400).map(|_| fail(admission.clone(), BOB, 2)).collect();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(admission.0.lock().queue.len(), 400);
    gone.shutdown().await;
    let waiting = tokio::spawn({
        let admission = admission.clone();
        async move { succeed(&admission, ADA, 1).await }
    });
    sleep(Duration::from_millis(1)).await;
    assert_eq!(admission.0.lock().queue.len(), 401);
    drop(busy);
    assert!(waiting.await.unwrap().unwrap() <= HASH * 2);
    assert!(!admission.0.lock().is_busy);
    assert_eq!(fail(admission, BOB, 2).await, Ok(HASH), "what was not tried has not failed");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_takes_an_account_in_and_has_an_unknown_name_give_way() {
    let admission = Admission::new(None);
    let busy = admission.work().await.unwrap();
    let unknown = |n| fail(admission.clone(), Name::Unknown(n), 2);
    let mut crowd: JoinSet<_> = (0..WAITING_MAX as u64).map(unknown).collect();
    sleep(Duration::from_millis(1)).await;
    let late = tokio::spawn(unknown(9_999)).await.unwrap();
    assert_eq!(late, Err(Throttled(CROWDED_RETRY)), "the last of the lowest class gives way");
    let mut ada = Box::pin(succeed(&admission, ADA, 2));
    assert!(ada.as_mut().now_or_never().is_none());
    assert_eq!(admission.0.lock().queue.len(), WAITING_MAX);
    assert!(crowd.join_next().await.unwrap().unwrap().is_err());
    drop(busy);
    assert!(ada.await.is_ok());
    crowd.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_takes_as_long_for_an_account_as_for_a_made_up_name() {
    let admission = Admission::new(None);
    for name in [ADA, Name::Unknown(1)] {
        assert_eq!(fail(admission.clone(), name, 1).await, Ok(HASH), "without load");
    }
    let name = |client, attempt| Name::Unknown(client * 1_000_000 + attempt);
    let mut attackers = attack(&admission, 100, name, |_| 666);
    sleep(Duration::from_secs(10)).await;
    let unknown = fail(admission.clone(), Name::Unknown(2), 1).await.unwrap();
    let known = fail(admission.clone(), BOB, 1).await.unwrap();
    assert!(unknown > HASH * 20, "{unknown:?}");
    let (least, most) = (unknown.min(known), unknown.max(known));
    assert!(most < least * 3 / 2, "{unknown:?} and {known:?}");
    attackers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_never_given_a_turn_is_told_in_time() {
    let admission = Admission::new(None);
    let busy = admission.work().await.unwrap();
    let began = Instant::now();
    assert_eq!(succeed(&admission, ADA, 1).await, Err(Throttled(CROWDED_RETRY)));
    assert_eq!(began.elapsed(), WAIT_MAX);
    drop(busy);
    assert_eq!(succeed(&admission, ADA, 1).await, Ok(HASH));
}

#[test]
fn names_are_told_apart_without_their_case() {
    assert_eq!(Admission::unknown("Jane"), Admission::unknown("jANE"));
    assert_ne!(Admission::unknown("jane"), Admission::unknown("john"));
}

/// Nodes that share their limits.
fn nodes<const N: usize>(all: &Arc<FakeLimits>) -> [Admission; N] {
    std::array::from_fn(|_| Admission::new(Some(Arc::clone(all) as _)))
}

#[tokio::test(start_paused = true)]
async fn guesses_at_one_name_are_bounded_over_all_nodes() {
    for name in [ADA, Name::Unknown(7)] {
        let all = FakeLimits::new();
        let nodes: [Admission; 4] = nodes(&all);
        let told = Arc::new(AtomicUsize::new(0));
        let mut attackers: JoinSet<()> = (0..20)
            .map(|client| {
                let (admission, told) = (nodes[client % 4].clone(), Arc::clone(&told));
                async move {
                    loop {
                        match fail(admission.clone(), name, client as u64).await {
                            Ok(_) => drop(told.fetch_add(1, Ordering::Relaxed)),
                            Err(Throttled(_)) => sleep(Duration::from_millis(100)).await,
                        }
                    }
                }
            })
            .collect();
        sleep(Duration::from_secs(120)).await;
        attackers.shutdown().await;
        let told = told.load(Ordering::Relaxed);
        assert!((30..=34).contains(&told), "{told} guesses in 2 minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_node_has_used_up_has_attempts_wait_on_the_other() {
    let all = FakeLimits::new();
    let [a, b] = nodes(&all);
    for _ in 0..10 {
        assert_eq!(fail(a.clone(), ADA, 1).await, Ok(HASH));
    }
    let mut tries: JoinSet<_> = (0..4).map(|_| fail(b.clone(), ADA, 2)).collect();
    let (mut told, mut refused) = (0, 0);
    while let Some(outcome) = tries.join_next().await {
        match outcome.unwrap() {
            Ok(took) => {
                assert!(took > Duration::from_secs(4), "{took:?}");
                told += 1;
            }
            Err(Throttled(wait)) => {
                assert!(wait > Duration::from_secs(4), "{wait:?}");
                refused += 1;
            }
        }
    }
    assert_eq!((told, refused), (1, 3));
    let took = succeed(&a, ADA, 1).await.unwrap();
    assert!(took <= Duration::from_secs(6), "the right one waits, and is not refused: {took:?}");
    assert_eq!(fail(b, BOB, 2).await, Ok(HASH), "another account");
}

#[tokio::test(start_paused = true)]
async fn a_right_password_uses_nothing_up() {
    let all = FakeLimits::new();
    let [a, b] = nodes(&all);
    for network in 0..100 {
        assert_eq!(succeed(&a, ADA, network).await, Ok(HASH));
    }
    // Nor does an attempt whose client leaves before its password is tried.
    for network in 100..200 {
        drop(a.login(Admission::attempt(ADA, network)).await.unwrap());
        sleep(Duration::from_millis(1)).await;
    }
    for _ in 0..10 {
        assert_eq!(fail(b.clone(), ADA, 1).await, Ok(HASH));
    }
}

#[tokio::test(start_paused = true)]
async fn a_network_with_many_failures_has_the_lower_class_on_every_node() {
    let all = FakeLimits::new();
    let [a, b] = nodes(&all);
    let user = |n: i64| Name::Account(UserId(n));
    let class = |admission: &Admission| admission.0.budgets.claim(BOB, 6).class;
    let mut n = 100;
    while class(&a) == Class::Ordinary {
        n += 1;
        fail(a.clone(), user(n), 6).await.unwrap();
    }
    assert!((60..=64).contains(&(n - 100)), "{n}");
    assert_eq!(class(&b), Class::Ordinary, "it has not asked");
    fail(b.clone(), user(1), 6).await.unwrap();
    fail(b.clone(), user(2), 6).await.unwrap();
    assert_eq!(class(&b), Class::Doubtful);
    assert_eq!(b.0.budgets.claim(BOB, 7).class, Class::Ordinary, "another network");
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_each_node_counts_for_itself() {
    let all = FakeLimits::new();
    let [a, b] = nodes(&all);
    for _ in 0..10 {
        fail(a.clone(), ADA, 1).await.unwrap();
    }
    all.set_away(true);
    for _ in 0..10 {
        assert_eq!(fail(b.clone(), ADA, 1).await, Ok(HASH));
    }
    assert!(fail(b, ADA, 1).await.unwrap() > Duration::from_secs(4));
}
