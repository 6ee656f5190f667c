//! Templates, from source to output.

use bellpull_domain::event::Event;
use bellpull_domain::notification::Kind;
use bellpull_domain::routing::Channel;
use bellpull_domain::ticket::Priority;
use jiff::Timestamp;
use serde_json::Map;

use super::super::defaults::default_of;
use super::*;

fn message(title: &str, body: &str) -> Message {
    Message {
        event: Event::Other("general".into()),
        kind: Kind::Info,
        title: title.to_owned(),
        body: body.to_owned(),
        action_url: String::new(),
        metadata: Map::new(),
        ticket: None,
        sender: None,
        priority: Priority::Medium,
        created_at: Timestamp::UNIX_EPOCH,
    }
}

fn view(title: &str, body: &str) -> View {
    View::of(&message(title, body), "Ada", Some("https://desk.example/x?a=1&b=2"), None)
}

fn source(subject: &str, text: &str, html: &str) -> Source {
    let [subject, text, html] = [subject, text, html].map(str::to_owned);
    Source { subject, text, html }
}

fn render(source: &Source, view: &View) -> Result<Rendered, BadTemplate> {
    Parsed::of(source)?.render(view)
}

/// The output of minijinja's own virtual machine.
fn by_minijinja(part: &str, text: &str, View(view): &View) -> Result<String, minijinja::Error> {
    let mut environment = minijinja::Environment::new();
    environment.set_keep_trailing_newline(true);
    let name = if part == "html" { "x.html" } else { "x.txt" };
    environment.render_named_str(name, text, view)
}

fn by_us(part: &'static str, text: &str, view: &View) -> Result<String, BadTemplate> {
    super::part(part, &parse(part, text)?, view)
}

#[test]
fn what_is_put_into_html_is_escaped_and_into_text_is_not() {
    let view = view("<b>Hi</b>", "1 < 2 & \"3\"");
    let rendered = render(&default_of("general", Channel::Email), &view).unwrap();
    let html = rendered.html.unwrap();
    assert!(html.contains("1 &lt; 2 &amp; &quot;3&quot;"), "{html}");
    assert!(html.contains("a=1&amp;b=2") && !html.contains("<b>Hi"), "{html}");
    assert_eq!(rendered.subject, "<b>Hi</b>");
    assert!(rendered.text.contains("1 < 2 & \"3\""), "{}", rendered.text);
}

#[test]
fn no_header_is_smuggled_into_a_subject() {
    let view = view("Hello\r\nBcc: all@example.com\u{b}\u{0}", "x");
    for channel in Channel::ALL {
        let rendered = render(&default_of("general", channel), &view).unwrap();
        assert!(!rendered.subject.contains(char::is_control), "{:?}", rendered.subject);
    }
    let written = render(&source("a\nBcc: {{ title }}", "", ""), &view).unwrap();
    assert!(!written.subject.contains(char::is_control));
}

#[test]
fn a_bad_template_is_named_with_its_part_and_line() {
    let bad = |subject, text, html| {
        render(&source(subject, text, html), &view("t", "b")).unwrap_err().to_string()
    };
    assert!(bad("{{ title", "", "").starts_with("subject: line 1: "));
    assert!(bad("", "a\nb\n{% if %}", "").starts_with("text: line 3: "));
    assert!(bad("", "", "{{ nothing() }}").starts_with("html: line 1: "));
    assert!(bad("", "{{ 'a' * 3 }}", "").contains("not both numbers"));
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    assert_eq!(bad("", endless, ""), "text: line 1: it takes more than 100000 steps");
    let huge = "{% for a in range(9000) %}{{ '0123456789 0123456789 0123456789' }}{% endfor %}";
    assert_eq!(bad("", huge, ""), "text: it becomes more than 262144 bytes");
    assert!(bad("", &"x".repeat(SOURCE_MAX + 1), "").contains("more than 20000 characters"));
}

#[test]
fn what_a_part_takes_from_outside_is_known() {
    let text = "{% set a = title %}{{ a }}{% for i in range(3) %}{{ i }}{% endfor %}\
                {{ ticket.key }}{{ data.x.y }}{{ nme }}";
    let free: Vec<String> = Tree::parse(text).unwrap().free.into_iter().collect();
    assert_eq!(free, ["data.x.y", "nme", "ticket.key", "title"]);
}

#[test]
fn a_digest_lists_all_its_items() {
    let (one, two) = (message("One", "first"), message("Two", "<second>"));
    let view =
        View::of_digest(&[(&one, Some("https://x.example/".into())), (&two, None)], "Ada", None);
    let rendered = render(&default_of("digest", Channel::Email), &view).unwrap();
    assert_eq!(rendered.subject, "2 notifications");
    assert!(rendered.text.contains("* One\n  first\n  https://x.example/\n\n* Two\n"));
    assert!(rendered.html.unwrap().contains("&lt;second&gt;"));
}

/// Every available construct, applied to every variable.
const SAID: [&str; 55] = [
    "{{ title }} {{ name }} {{ missing }} {{ ticket }} {{ data.n }} {{ data.f }} {{ data.yes }}",
    "{{ data.tags }} {{ data }} {{ [title, 1, none, true, 1.5] }} {{ () }}",
    "{% if ticket %}a{% elif data.n > 2 %}b{% else %}c{% endif %}",
    "{% for tag in data.tags %}{{ loop.index }}/{{ loop.length }}{{ tag }}{% else %}x{% endfor %}",
    "{% for x in range(5) %}{{ loop.first }}{{ loop.last }}{{ loop.revindex0 }}{% endfor %}",
    "{% for x in range(2, 9, 3) if x != 5 %}{{ x }}{{ loop.index0 }}{% endfor %}",
    "{% for k, v in data | dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in data | items %}{{ k }};{% endfor %}",
    "{% for c in name %}{{ c }}.{% endfor %}{% for x in none %}{% else %}none{% endfor %}",
    "{% set a = title %}{% with b = a %}{{ b }}{% set a = 1 %}{{ a }}{% endwith %}{{ a }}",
    "{% set a, b = [1, 2] %}{{ a + b }}{{ a - b }}{{ a * b }}{{ a / b }}{{ 7 // 2 }}{{ 7 % 4 }}",
    "{{ 2 ** 10 }} {{ 1.5 + 1 }} {{ -3 // 2 }} {{ -3 % 2 }} {{ -(data.n) }} {{ 7.5 // 2 }}",
    "{{ 18446744073709551615 * 2 }} {{ 9223372036854775807 + 1 }} {{ 2 ** 64 // 3 }}",
    "{{ title ~ ' ' ~ data.n ~ none }} {{ 'a' + 'b' }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' == 'a' }} {{ 1 != 1.0 }} {{ 'b' >= 'a' }}",
    "{{ 'a' in 'cab' }} {{ 'x' not in data.tags }} {{ 'n' in data }} {{ 1 in [1, 2] }}",
    "{{ 3 in 'a3' }} {{ 'x' in missing }}",
    "{{ not title }} {{ title and 1 }} {{ '' or 'else' }} {{ 'a' if data.n > 2 else 'b' }}",
    "{{ 'a' if false }}|{{ title | upper }} {{ title | lower }} {{ body | title }}",
    "{{ body | capitalize }} {{ '  x ' | trim }}|{{ 'xax' | trim('x') }}",
    "{{ body | replace('a', 'bb') }} {{ 'abc' | replace('', '-') }}",
    "{{ data.tags | join(', ') }} {{ data.tags | join }} {{ [1, 2] | join('-') }}",
    "{{ data.tags | length }} {{ title | count }} {{ data | length }}",
    "{{ missing | default('x') }} {{ '' | d('x', true) }} {{ title | default('x') }}",
    "{{ data.tags | first }} {{ data.tags | last }} {{ 'abc' | first }} {{ [] | first }}",
    "{{ data.tags | sort | join }} {{ data.tags | sort(reverse=true) }} {{ [3, 1] | sort }}",
    "{{ data.list | sort(attribute='x') }} {{ data.list | map(attribute='x') | join(',') }}",
    "{{ [[1, 2], [3]] | map(attribute='0') | join }} {{ data.list | map(attribute='y') | length }}",
    "{{ data.list | sort(attribute='y.z') | length }}",
    "{{ data.tags | unique }} {{ data.tags | reverse }} {{ 'abc' | reverse }}",
    "{{ data.tags | min }} {{ [1, 5, 2] | max }} {{ 'a b  c' | split }} {{ 'a-b' | split('-') }}",
    "{{ 'a\nb' | lines }} {{ 'abc' | list }} {{ ('a\nb' | split('\n'))[-1] }}",
    "{{ '3' | int + 1 }} {{ '2.5' | float }} {{ -3 | abs }} {{ 2.567 | round(1) }} {{ 1 | bool }}",
    "{{ body | indent(2) }} {{ 'a\nb' | indent(3, true) }}",
    "{{ '<b>' | e }} {{ '<b>' | escape | upper }} {{ '<b>' | safe }} {{ '<' ~ ('<' | safe) }}",
    "{{ title is defined }} {{ missing is undefined }} {{ 3 is odd }} {{ 4 is divisibleby 2 }}",
    "{{ title is string }} {{ data is mapping }} {{ data.tags is sequence }} {{ 1 is number }}",
    "{{ title is startingwith 'A' }} {{ title is not endingwith('x') }} {{ 1 is in [1] }}",
    "{{ none is none }} {{ 2 is eq 2 }} {{ 'a' is lower }} {{ 2 is ge(1) }}",
    "{{ title[0] }} {{ data.tags[0] }} {{ data.tags[-1] }} {{ data['n'] }} {{ data.tags[9] }}",
    "{{ title[1:3] }} {{ title[:-1] }} {{ title[-2:] }} {{ data.tags[1:] }} {{ data.tags[:9] }}",
    "{{ data.tags[1:] is sequence }} {{ data.tags[1:] is iterable }} {{ missing[1:] }} {{ none[:2] }}",
    "{{ (data.tags[1:])[0] }} {{ data.tags[1:] | length }} {{ data.tags[5:7] }} {{ data.tags[1:][:1] }}",
    "{{ data.tags[0:2] == data.tags[0:2] }} {{ data.tags[1:] < data.tags }} {{ missing[1:] is sequence }}",
    "{% for x in data.tags[1:] %}{{ x }}{{ loop.last }}{% endfor %}{{ data.tags[-2:] | join }}",
    "{{ ('a b' | split)[1:] }} {{ ('a\nb' | lines)[:1] }} {{ (data.tags | reverse)[2:9] }} {{ title[5:2] }}",
    "{% for x in range(4) %}{{ loop.cycle('odd', 'even') }}{% endfor %}",
    "{% raw %}{{ x }}{% endraw %}{# gone #}{%- if true -%} a {%- endif -%} b\n",
    "{{ data.list[0].x }} {{ 'ä' | upper }} {{ 'ß' | upper }} {{ data.list }}",
    "{{ title | string }} {{ 3 | string ~ 4 }} {{ [] or 'empty' }} {{ data.tags | list }}",
    "{{ data | dictsort(by='value', reverse=true) | length }} {{ 'a' < 'B' }}",
    "{{ 'a' and 0 }} {{ 0 and (1 // 0) }} {{ [] and 1 }} {{ 1 and 'b' }} {{ (0 and 1) or 'c' }}",
    "{{ 0 and 1 / 0 }} {{ 0 and -(0 / 0) }} {{ 0 and 1 % 0 }} {{ 0 and (1 / 0) // 0 }} {{ 0 and 2 ** -1 }}",
    "{{ title and 0 }} {{ missing and 1 }} {{ 0 and title }} {{ not (1 and 0) }} {{ 0 and 2 < 3 }}",
    "{% for a in data.list %}{% for b in data.tags %}{{ a.x }}{{ b }}{{ loop.index }}{% endfor %}{% endfor %}",
];

#[test]
fn a_template_means_what_jinja_says() {
    let mut message = message("A title", "<body> & \"more\"\nand 'more'/");
    let data = json!({"n": 3, "f": 1.5, "yes": true, "tags": ["b", "<a>", "b"],
        "list": [{"x": "two"}, {"x": "One"}]});
    message.metadata = data.as_object().unwrap().clone();
    let view = View::of(&message, "Ada", None, None);
    for (part, text) in SAID.into_iter().flat_map(|text| [("text", text), ("html", text)]) {
        assert_eq!(
            by_us(part, text, &view).unwrap(),
            by_minijinja(part, text, &view).unwrap(),
            "{text}"
        );
    }
}

#[test]
fn what_fails_in_jinja_fails_here() {
    let view = view("A title", "b");
    for text in [
        "{{ missing.x }}",
        "{{ 'a' + 1 }}",
        "{{ 1 // 0 }}",
        "{{ 3 | join }}",
        "{% for x in 3 %}{% endfor %}",
        "{% set a, b = [1] %}",
        "{{ 9223372036854775807 ** 9 }}",
        "{{ [] | map }}",
        "{{ missing in 1 }}",
        "{{ 1 in 1 in [1, 2] }}",
        "{{ 1 not in true }}",
        "{{ [{'x': 1}] | map(attribute='y.z') }}",
        "{{ [{'x': 1}] | map(attribute='.') }}",
        "{{ range() }}",
        "{{ data[1:] }}",
        "{{ 3[1:] }}",
        "{{ true[:1] }}",
        "{{ title | replace('a') }}",
    ] {
        assert!(by_minijinja("text", text, &view).is_err(), "{text}");
        assert!(by_us("text", text, &view).is_err(), "{text}");
    }
}

/// minijinja's own test panics.
#[test]
fn nothing_is_divisible_by_zero() {
    let view = view("A title", "b");
    let fault = by_us("text", "{{ 4 is divisibleby 0 }}", &view).unwrap_err().to_string();
    assert!(fault.contains("divisibleby 0"), "{fault}");
}

#[test]
fn what_has_no_bound_is_refused_by_its_name() {
    let told = |text: &str| parse("text", text).unwrap_err().to_string();
    for (text, what) in [
        ("{{ loop.index }}", "loop outside of a loop"),
        ("{% for x in [] %}{% else %}{{ loop.cycle(1) }}{% endfor %}", "loop outside of a loop"),
        ("{% set x %}a{% endset %}", "{% set %} of a block"),
        ("{% filter upper %}a{% endfilter %}", "{% filter %}"),
        ("{% autoescape false %}a{% endautoescape %}", "{% autoescape %}"),
        ("{% do range(3) %}", "{% do %}"),
        ("{% set ns.x = 1 %}", "setting an attribute"),
        ("{{ namespace(x=1) }}", "the function namespace"),
        ("{{ debug() }}", "the function debug"),
        ("{{ dict(a=1) }}", "the function dict"),
        ("{% for x in range %}{% endfor %}", "range without a call"),
        ("{{ debug.x }}", "debug without a call"),
        ("{{ {'a': 1} }}", "a map"),
        ("{% for x in items recursive %}{{ loop(x) }}{% endfor %}", "a recursive loop"),
        ("{% for x in items %}{{ loop(x) }}{% endfor %}", "the function loop"),
        ("{% for x in items %}{{ loop.changed(x) }}{% endfor %}", "the method changed"),
        ("{{ title.upper() }}", "the method upper"),
        ("{{ title[::2] }}", "a slice's step"),
        ("{{ items | batch(3) }}", "the filter batch"),
        ("{{ '%9999999d' | format(1) }}", "the filter format"),
        ("{{ title | pprint }}", "the filter pprint"),
        ("{{ items | map('upper') }}", "takes 0 arguments"),
        ("{{ title | indent(width=9) }}", "the argument width of the filter indent"),
        ("{{ range(*items) }}", "*"),
        ("{{ 3 is filter }}", "the test filter"),
    ] {
        assert!(told(&format!("a\n{text}")).starts_with("text: line 2: "), "{}", told(text));
        assert!(told(text).contains(what), "{what}: {}", told(text));
    }
    for text in [
        "{% macro m() %}{% endmacro %}",
        "{% include 'x' %}",
        "{% import 'x' as x %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{% call x() %}{% endcall %}",
        "{% break %}",
    ] {
        assert!(told(text).starts_with("text: line 1: unknown statement"), "{}", told(text));
    }
}

#[test]
fn a_deep_template_overflows_no_stack() {
    let view = view("A title", "b");
    let nested =
        |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    // The stack size of the threads that render.
    let check = move || {
        for text in [
            format!("{{{{ a{} }}}}", ".a".repeat(9_000)),
            format!("{{{{ a{} }}}}", "|e".repeat(9_000)),
            format!("{{{{ a{} }}}}", "[0]".repeat(6_000)),
            format!("{{{{ 1{} }}}}", "+1".repeat(9_000)),
            format!("{{{{ {}1 }}}}", "-".repeat(19_000)),
            format!("{{{{ {}1 }}}}", "not ".repeat(4_900)),
            format!("{{{{ {} }}}}", nested("[", "]", 9_000)),
            format!("{{{{ {} }}}}", nested("(", ")", 9_000)),
            format!("{{% if a %}}{}{{% endif %}}", "{%elif a%}".repeat(1_900)),
            nested("{%if a%}", "{%endif%}", 1_000),
            nested("{%for a in b%}", "{%endfor%}", 800),
            format!("{{% set a = [1] %}}{}{{{{ a }}}}", "{%set a=[a]%}".repeat(1_500)),
            format!("{{{{ {} }}}}", nested("(", ")", 70)),
            format!("{{{{ 1{} }}}}", "+1".repeat(120)),
        ] {
            let _ = by_us("text", &text, &view);
        }
        let text = format!("{{{{ 1{} }}}}", "+1".repeat(120));
        assert_eq!(by_us("text", &text, &view).unwrap(), "121");
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(check).unwrap().join().unwrap();
}

#[test]
fn a_deadline_ends_the_work() {
    let tree = Tree::parse("{% for x in range(9000) %}{{ x }}{% endfor %}").unwrap();
    let run = Run::new(&minijinja::Value::UNDEFINED, false, Budget::new(Instant::now()));
    assert_eq!(run.render(&tree).unwrap_err().to_string(), "line 1: it takes more than 250 ms");
}
