//! What a template takes on its way, counted by the allocator: whatever it says, rendering it is
//! bounded in memory and in time.
#![allow(unsafe_code, reason = "an allocator that counts is unsafe code by its trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use bellpull::delivery::defaults::DIGEST;
use bellpull::delivery::proof::prove;
use bellpull_domain::routing::Channel;
use bellpull_port::templates::Source;
use proptest::prelude::*;

/// The system's allocator, which counts for each thread what it has now and had at most.
struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

fn count(more: usize, less: usize) {
    // A thread that ends has no counter any more.
    let _ = NOW.try_with(|now| {
        now.set((now.get() + more).saturating_sub(less));
        let _ = MOST.try_with(|most| most.set(most.get().max(now.get())));
    });
}

// SAFETY: every call is the system allocator's own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A part's values take 4 MiB at most, and its lists twice as much while they grow.
const BYTES_MAX: usize = 24 * 1024 * 1024;
/// Up to three renderings of 250 ms, in a build without optimisation on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(8);

/// Renders it as one that is to be kept is; what that took.
fn proved(event: &str, text: &str) -> (usize, Duration) {
    let subject = "s".to_owned();
    let source = Source { subject, text: text.to_owned(), html: String::new() };
    let before = NOW.get();
    MOST.set(before);
    let began = Instant::now();
    let outcome = prove(event, Channel::Email, &source);
    let took = (MOST.get() - before, began.elapsed());
    drop(outcome);
    took
}

fn assert_bounded(event: &str, text: &str) {
    let (bytes, time) = proved(event, text);
    assert!(bytes <= BYTES_MAX, "{bytes} bytes: {text}");
    assert!(time <= TIME_MAX, "{time:?}: {text}");
}

#[test]
fn what_grows_is_ended() {
    let times = |what: &str, n: usize| what.repeat(n);
    let set = "{% set x = body %}";
    for text in [
        format!("{set}{}", times("{% set x = x ~ x %}", 60)),
        format!("{set}{}", times("{% set x = x + x %}", 60)),
        format!("{set}{}", times("{% set x = [x, x] %}", 25)) + "{{ x }}",
        format!("{set}{}", times("{% set x = [x, x] %}", 25)) + "{{ x | string | length }}",
        format!("{set}{}", times("{% set x = [x, x] %}", 25)) + "{% if x == x %}a{% endif %}",
        format!("{set}{}", times("{% set x = [x, x] | join(x) %}", 25)),
        format!("{set}{}", times("{% set x = x | replace('e', x) %}", 25)),
        format!("{set}{}", times("{% set x = x | replace('', x) %}", 25)),
        format!("{set}{}", times("{% set x = x | list | join(x) %}", 25)),
        format!("{set}{}", times("{% set x = x | indent(100, true) %}", 60)),
        format!("{set}{}", times("{% set x = x | e %}", 60)) + "{{ x | length }}",
        format!("{set}{}", times("{% set x = x ~ x %}", 14)) + "{{ title | join([x, x, 7]) }}",
        format!("{set}{}", times("{% set x = x ~ x %}", 14)) + "{{ title | replace('e', [x, x]) }}",
        format!("{set}{}", times("{% set x = x ~ x %}", 12))
            + "{% set y = x | replace('J', 'o') %}{{ x | trim(y ~ x ~ '@adhimnostuwy,? ') }}",
        format!("{set}{}", times("{% set x = x ~ x %}", 12))
            + "{% for i in range(9000) %}{% if x == x ~ 'a' %}{% endif %}{% endfor %}",
        format!("{set}{}", times("{% set x = x ~ x %}", 12))
            + "{% for i in range(9000) %}{{ x | length }}{% endfor %}",
        format!("{set}{}", times("{% set x = x ~ x %}", 12))
            + "{% for c in x %}{% for d in x %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}".to_owned(),
        "{% for a in range(9999) %}{% set b = range(9999) %}{% endfor %}".to_owned(),
        "{{ range(9999) | sort | unique | reverse | list | join(range(9999) | join) }}".to_owned(),
        times("{% set a = 1 %}", 1300),
        times("{{ [[[[[[[[1]]]]]]]] }}", 800),
    ] {
        assert_bounded("mentioned", &text);
    }
    assert_bounded(
        DIGEST,
        "{% for a in items %}{% for b in items %}{% if items == items %}a{% endif %}{% endfor %}{% endfor %}",
    );
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["x", "y", "body", "title", "data", "ticket", "i", "loop.index"])
            .prop_map(str::to_owned),
        prop::sample::select(vec![
            "''", "'e'", "'ab'", "'\\n'", "0", "7", "100", "-1", "1.5", "9999"
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operator = prop::sample::select(vec![
            "~", "+", "-", "*", "/", "//", "%", "**", "==", "<", "in", "and", "or",
        ]);
        let filter = prop::sample::select(vec![
            "e", "upper", "title", "list", "join", "string", "length", "sort", "unique", "reverse",
            "lines", "split", "split('')", "first", "last", "min", "trim", "indent(100)", "safe",
            "items", "dictsort", "map(attribute='x')",
        ]);
        let given = prop::sample::select(vec!["join", "replace('e', ", "split", "default", "trim"]);
        prop_oneof![
            3 => (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            3 => (inner.clone(), filter).prop_map(|(a, f)| format!("({a} | {f})")),
            2 => (inner.clone(), given, inner.clone()).prop_map(|(a, f, b)| match f {
                "replace('e', " => format!("({a} | {f}{b}))"),
                _ => format!("({a} | {f}({b}))"),
            }),
            2 => prop::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(", "))),
            1 => inner.clone().prop_map(|a| format!("range({a})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}:]")),
            1 => (inner.clone(), inner).prop_map(|(a, b)| format!("({a} if {b} else {a})")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["x", "y", "i"]);
    let leaf = prop_oneof![
        4 => (name(), value()).prop_map(|(name, value)| format!("{{% set {name} = {value} %}}")),
        2 => value().prop_map(|value| format!("{{{{ {value} }}}}")),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let body = prop::collection::vec(inner, 1..4).prop_map(|all| all.concat());
        prop_oneof![
            3 => (name(), value(), body.clone())
                .prop_map(|(i, of, body)| format!("{{% for {i} in {of} %}}{body}{{% endfor %}}")),
            1 => (value(), body.clone()).prop_map(|(a, body)| format!("{{% if {a} %}}{body}{{% endif %}}")),
            1 => (name(), value(), body)
                .prop_map(|(i, of, body)| format!("{{% with {i} = {of} %}}{body}{{% endwith %}}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(48, |cases| cases.parse().unwrap()),
        max_shrink_iters: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_a_template_says_it_is_bounded(
        all in prop::collection::vec(statement(), 1..12),
        doubled in 0_usize..40,
    ) {
        // All names are known, and what they have may be long already.
        let head = "{% set i = body %}{% set y = title %}{% set x = body %}";
        let text = format!("{head}{}{}", "{% set x = x ~ x %}".repeat(doubled), all.concat());
        assert_bounded("mentioned", &text);
        let head = "{% set i = items %}{% set y = title %}{% set x = body %}";
        let all = all.concat().replace("data", "items").replace("ticket", "items[0]");
        assert_bounded(DIGEST, &format!("{head}{}{all}", "{% set x = x ~ x %}".repeat(doubled / 2)));
    }
}
