//! The fields of a body: typed getters that collect every error, so that a client sees all of them
//! at once. The texts are those of Django REST framework, which clients display.
//!
//! A getter that records an error returns an empty value; call [`Fields::finish`] before using any
//! of them. Fields that no getter has read by then are unknown, and refused if the body was taken
//! as [`super::body::Strict`].

use std::collections::HashSet;

use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::text::{BadLine, is_blank, line};
use bellpull_domain::version::Version;
use bellpull_port::StoreError;
use serde::Serialize;
use serde_json::{Map, Value};

use super::error::{ApiError, FieldErrors};
use super::once::{KeyOwner, SentKey};
use super::unknown::{self, Unknown};

/// How many invalid entries of one list are named.
const ENTRIES_MAX: usize = 10;

/// How many characters of an invalid value are shown.
const SHOWN_MAX: usize = 100;

/// A body's fields and the errors so far.
#[derive(Debug)]
pub(super) struct Fields {
    values: Map<String, Value>,
    errors: FieldErrors,
    unknown: Unknown,
    /// The fields read so far.
    known: Vec<&'static str>,
    /// The request's idempotency key.
    key: Option<SentKey>,
}

/// What a text may contain.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextRule {
    /// In characters.
    max: usize,
    is_blank_allowed: bool,
    lines: Lines,
}

/// How white space and control characters are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// Trimmed; no control characters.
    One,
    /// Unchanged; line breaks and tabs are the only control characters.
    Many,
    /// Unchanged: a password.
    Opaque,
}

impl TextRule {
    /// One line, not empty.
    pub(super) const fn line(max: usize) -> Self {
        Self { max, is_blank_allowed: false, lines: Lines::One }
    }

    /// Any number of lines, or empty.
    pub(super) const fn prose(max: usize) -> Self {
        Self { max, is_blank_allowed: true, lines: Lines::Many }
    }

    /// Any number of lines, not empty.
    pub(super) const fn lines(max: usize) -> Self {
        Self { max, is_blank_allowed: false, lines: Lines::Many }
    }

    /// Any characters.
    pub(super) const fn opaque(max: usize) -> Self {
        Self { max, is_blank_allowed: false, lines: Lines::Opaque }
    }

    /// May be empty.
    pub(super) const fn or_blank(mut self) -> Self {
        self.is_blank_allowed = true;
        self
    }

    /// Must not be only white space.
    pub(super) const fn not_blank(mut self) -> Self {
        self.is_blank_allowed = false;
        self
    }

    fn check(self, text: &str) -> Result<String, String> {
        let is_opaque = self.lines == Lines::Opaque;
        let is_blank = if is_opaque { text.trim().is_empty() } else { is_blank(text) };
        if is_blank && !self.is_blank_allowed {
            return Err("This field may not be blank.".to_owned());
        }
        if text.contains('\0') {
            return Err("Null characters are not allowed.".to_owned());
        }
        let is_bad = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        let text = match self.lines {
            Lines::One => line(text.trim()).map_err(|bad| bad.to_string())?,
            Lines::Many if text.contains(is_bad) => return Err(BadLine::Control.to_string()),
            Lines::Many | Lines::Opaque => text.to_owned(),
        };
        // A name of invisible characters is none.
        let text = if is_blank && self.lines == Lines::One { String::new() } else { text };
        if text.chars().count() > self.max {
            let max = self.max;
            return Err(format!("Ensure this field has no more than {max} characters."));
        }
        Ok(text)
    }
}

impl Fields {
    /// The fields of an object.
    pub(super) fn new(values: Map<String, Value>) -> Self {
        let (errors, known) = (FieldErrors::default(), Vec::new());
        Self { values, errors, unknown: Unknown::Ignored, known, key: None }
    }

    /// The same fields, but unknown ones are refused.
    pub(super) fn strict(self) -> Self {
        Self { unknown: Unknown::Refused, ..self }
    }

    /// All fields, as they were sent.
    pub(super) fn into_values(self) -> Map<String, Value> {
        self.values
    }

    /// The same fields, of a request with this key.
    pub(super) fn with_key(self, key: Option<SentKey>) -> Self {
        Self { key, ..self }
    }

    /// The caller's idempotency key for this request, if it has one; see [`SentKey::owned`].
    pub(super) fn key(
        &self,
        owner: impl Into<KeyOwner>,
        what: &str,
    ) -> Result<Option<IdempotencyKey>, ApiError> {
        self.key.as_ref().map(|key| key.owned(owner.into(), what)).transpose()
    }

    /// The same for a body with a secret, which a hash in the database must not give away: this
    /// field does not count.
    pub(super) fn key_without(
        &self,
        secret: &str,
        owner: impl Into<KeyOwner>,
    ) -> Result<Option<IdempotencyKey>, ApiError> {
        let Some(key) = &self.key else { return Ok(None) };
        let mut values = self.values.clone();
        values.remove(secret);
        key.with_body(Value::Object(values).to_string().as_bytes())
            .owned(owner.into(), "")
            .map(Some)
    }

    /// Whether the field is present, with any value.
    pub(super) fn has(&self, field: &str) -> bool {
        self.values.contains_key(field)
    }

    /// Takes a field without a value for an absent one.
    pub(super) fn drop_empty(&mut self, field: &str) {
        let is_empty = |value: &Value| value.is_null() || value.as_str().is_some_and(is_blank);
        if self.values.get(field).is_some_and(is_empty) {
            self.values.remove(field);
        }
    }

    /// Adds an error.
    pub(super) fn refuse(&mut self, field: &str, message: impl Into<String>) {
        self.errors.add(field, message);
    }

    /// A required text.
    pub(super) fn text(&mut self, field: &'static str, rule: TextRule) -> String {
        self.require(field);
        self.text_if_sent(field, rule).unwrap_or_default()
    }

    /// An optional text.
    pub(super) fn text_if_sent(&mut self, field: &'static str, rule: TextRule) -> Option<String> {
        let checked = match self.not_null(field)? {
            Value::String(text) => rule.check(&text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => Err("Not a valid string.".to_owned()),
        };
        self.note(field, checked)
    }

    /// One of a set of names, optional.
    pub(super) fn choice<T>(
        &mut self,
        field: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.not_null(field)?;
        let chosen = value.as_str().and_then(parse).ok_or_else(|| not_a_choice(&value));
        self.note(field, chosen)
    }

    /// An optional integer; a decimal string is accepted.
    pub(super) fn integer(&mut self, field: &'static str) -> Option<i64> {
        let value = self.not_null(field)?;
        let number = integer(&value).ok_or_else(|| "A valid integer is required.".to_owned());
        self.note(field, number)
    }

    /// The version that the caller has seen, if it is that of what is stored: else another caller
    /// came first.
    pub(super) fn seen(&mut self, stored: Version) -> Result<Option<Version>, ApiError> {
        let seen = self.integer("version").map(Version);
        if stored.admits(seen) { Ok(seen) } else { Err(StoreError::Conflict.into()) }
    }

    /// A required id; a decimal string is accepted.
    pub(super) fn id(&mut self, field: &'static str) -> i64 {
        self.require(field);
        let Some(value) = self.not_null(field) else { return 0 };
        let checked = id(&value);
        self.note(field, checked).unwrap_or_default()
    }

    /// An optional boolean.
    pub(super) fn boolean(&mut self, field: &'static str) -> Option<bool> {
        let value = self.not_null(field)?;
        let answer = value.as_bool().ok_or_else(|| "Must be a valid boolean.".to_owned());
        self.note(field, answer)
    }

    /// A required list of 1 to `max` ids: each once, with its position in the list, counted from 1.
    /// Each entry that is not an id is named.
    pub(super) fn placed_ids(&mut self, field: &'static str, max: usize) -> Vec<(usize, i64)> {
        self.require(field);
        let Some(value) = self.not_null(field) else { return Vec::new() };
        let checked = items(&value, max).map(<[Value]>::to_vec);
        let (mut ids, mut seen) = (Vec::new(), HashSet::new());
        for (place, item) in (1..).zip(self.note(field, checked).unwrap_or_default()) {
            match integer(&item) {
                Some(id) if seen.insert(id) => ids.push((place, id)),
                Some(_) => {}
                None => self.refuse_entry(field, place, &shown(&item), "not an id (a number)."),
            }
        }
        ids
    }

    /// Adds an error about an entry of a list.
    pub(super) fn refuse_entry(&mut self, field: &str, place: usize, entry: &str, problem: &str) {
        self.errors.add_up_to(ENTRIES_MAX, field, format!("Entry {place}, {entry}: {problem}"));
    }

    /// Refuses a field that cannot be changed here, if it is present; `instead` says how to change
    /// it.
    pub(super) fn refuse_if_sent(&mut self, field: &str, instead: impl Into<String>) {
        if self.values.remove(field).is_some() {
            self.refuse(field, instead);
        }
    }

    /// Refuses read-only fields, unless they have the values that `shown` has: clients send back
    /// what they were shown.
    pub(super) fn read_only(&mut self, fields: &[&str], shown: &impl Serialize) {
        self.unchanged(fields.iter().map(|field| (*field, "This field is read-only.")), shown);
    }

    /// The same, each with its own error.
    pub(super) fn unchanged<'f>(
        &mut self,
        fields: impl Iterator<Item = (&'f str, &'f str)>,
        shown: &impl Serialize,
    ) {
        // Whatever is shown can be serialised.
        let shown = serde_json::to_value(shown).unwrap_or_default();
        for (field, instead) in fields {
            if self.values.remove(field).is_some_and(|sent| shown.get(field) != Some(&sent)) {
                self.refuse(field, instead);
            }
        }
    }

    /// All errors, if there are any.
    pub(super) fn finish(&mut self) -> Result<(), ApiError> {
        if self.unknown == Unknown::Refused {
            let names = self.values.keys().map(String::as_str);
            unknown::refuse(names, &self.known, &mut self.errors);
        }
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(ApiError::Fields(std::mem::take(&mut self.errors)))
    }

    /// Any value, optional; for structured fields.
    pub(super) fn value(&mut self, field: &'static str) -> Option<Value> {
        self.not_null(field)
    }

    /// Any value, null included, optional.
    pub(super) fn value_or_null(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        self.values.get(field).cloned()
    }

    pub(super) fn require(&mut self, field: &'static str) {
        if !self.has(field) {
            self.refuse(field, "This field is required.");
        }
    }

    fn not_null(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        let value = self.values.get(field)?.clone();
        if value.is_null() {
            self.refuse(field, "This field may not be null.");
            return None;
        }
        Some(value)
    }

    /// The value, or records the error.
    pub(super) fn note<T>(&mut self, field: &str, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|message| self.refuse(field, message)).ok()
    }
}

/// A value as shown in an error, shortened.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(SHOWN_MAX).collect()
}

/// The error for a name that is not in the set.
pub(super) fn not_a_choice(value: &Value) -> String {
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown: String = shown.chars().take(SHOWN_MAX).collect();
    format!("\"{shown}\" is not a valid choice.")
}

/// The name of a value's type in Django REST framework.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// An integer, or one as decimal text. JSON has one number type, so `5.0` counts as an integer:
/// some clients write all of theirs like this.
pub(super) fn integer(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    text.strip_suffix(".0").unwrap_or(&text).parse().ok()
}

fn id(value: &Value) -> Result<i64, String> {
    let wrong = || format!("Incorrect type. Expected pk value, received {}.", kind(value));
    integer(value).ok_or_else(wrong)
}

/// A list of 1 to `max` items.
fn items(value: &Value, max: usize) -> Result<&[Value], String> {
    let Value::Array(items) = value else {
        return Err(format!("Expected a list of items but got type \"{}\".", kind(value)));
    };
    if items.is_empty() {
        return Err("This list may not be empty.".to_owned());
    }
    if items.len() > max {
        return Err(format!("Ensure this field has no more than {max} elements."));
    }
    Ok(items)
}

/// A list of 1 to `max` ids, without duplicates.
pub(super) fn ids(value: &Value, max: usize) -> Result<Vec<i64>, String> {
    let items = items(value, max)?;
    let (mut ids, mut seen) = (Vec::with_capacity(items.len()), HashSet::new());
    for item in items {
        let id = id(item)?;
        if seen.insert(id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        let Value::Object(values) = value else { panic!("not an object") };
        Fields::new(values)
    }

    fn error_of(read: impl FnOnce(&mut Fields), value: Value) -> String {
        let mut fields = fields(value);
        read(&mut fields);
        let Err(ApiError::Fields(errors)) = fields.finish() else { panic!("no error") };
        format!("{errors:?}")
    }

    #[test]
    fn a_text_is_required_not_null_not_blank_and_bounded() {
        let line = |f: &mut Fields| _ = f.text("title", TextRule::line(5));
        for (value, wanted) in [
            (json!({}), "This field is required."),
            (json!({"title": null}), "This field may not be null."),
            (json!({"title": " \u{2003} "}), "This field may not be blank."),
            (json!({"title": 5}), "Not a valid string."),
            (json!({"title": ["x"]}), "Not a valid string."),
            (json!({"title": true}), "Not a valid string."),
            (json!({"title": "a\0b"}), "Null characters are not allowed."),
            (json!({"title": "a\nb"}), "Control characters are not allowed."),
            (json!({"title": "a\u{85}b"}), "Control characters are not allowed."),
            (json!({"title": "äöüß€x"}), "Ensure this field has no more than 5 characters."),
        ] {
            let errors = error_of(line, value.clone());
            assert!(errors.contains(wanted), "{value} gave {errors}");
        }
        let mut good = fields(json!({"title": "  äöü€x\n"}));
        assert_eq!(good.text("title", TextRule::line(5)), "äöü€x");
        assert!(good.finish().is_ok());
    }

    #[test]
    fn prose_keeps_its_lines_and_may_be_empty() {
        let mut good = fields(json!({"a": "x\n\ty ", "b": "", "c": " pass "}));
        assert_eq!(good.text_if_sent("a", TextRule::prose(9)).unwrap(), "x\n\ty ");
        assert_eq!(good.text_if_sent("b", TextRule::line(9).or_blank()).unwrap(), "");
        assert_eq!(good.text("c", TextRule::opaque(9)), " pass ");
        assert_eq!(good.text_if_sent("d", TextRule::prose(9)), None);
        assert!(good.finish().is_ok());
    }

    #[test]
    fn all_errors_come_at_once() {
        let errors = error_of(
            |f| {
                f.text("title", TextRule::line(5));
                f.choice::<()>("priority", |_| None);
                f.integer("project");
                f.boolean("is_active");
                f.placed_ids("developers", 2);
            },
            json!({"priority": "X", "project": "one", "is_active": "yes", "developers": 3}),
        );
        for wanted in [
            "This field is required.",
            "is not a valid choice.",
            "A valid integer is required.",
            "Must be a valid boolean.",
            "Expected a list of items but got type",
        ] {
            assert!(errors.contains(wanted), "{wanted} in {errors}");
        }
    }

    #[test]
    fn lists_of_ids_are_bounded_typed_and_each_counts_once() {
        for (value, wanted) in [
            (json!([]), "This list may not be empty."),
            (json!([1, 2, 3]), "no more than 2 elements"),
            (json!([1.5]), "received float"),
            (json!([true]), "received bool"),
            (json!(["x"]), "received str"),
            (json!([1e30]), "received float"),
        ] {
            let why = ids(&value, 2).unwrap_err();
            assert!(why.contains(wanted), "{value} gave {why}");
        }
        assert_eq!(ids(&json!([7, "7"]), 2), Ok(vec![7]));
    }

    #[test]
    fn each_wrong_entry_of_a_list_of_ids_is_named() {
        for (value, wanted) in [
            (json!({}), "This field is required."),
            (json!({"ids": []}), "This list may not be empty."),
            (json!({"ids": [1, 2, 3, 4]}), "no more than 3 elements"),
            (json!({"ids": [1, 1.5, "x"]}), "Entry 2, 1.5: not an id (a number)."),
            (json!({"ids": [1, 1.5, "x"]}), "Entry 3, \\\"x\\\": not an id (a number)."),
        ] {
            let errors = error_of(|f| _ = f.placed_ids("ids", 3), value.clone());
            assert!(errors.contains(wanted), "{value} gave {errors}");
        }
        let errors = error_of(|f| _ = f.placed_ids("ids", 99), json!({"ids": vec!["x"; 99]}));
        assert_eq!(errors.matches("Entry").count(), ENTRIES_MAX, "{errors}");
        let good = fields(json!({"ids": [7, "7", 8]})).placed_ids("ids", 3);
        assert_eq!(good, [(1, 7), (3, 8)]);
    }

    #[test]
    fn unknown_fields_are_refused_where_the_body_is_strict() {
        let read = |f: &mut Fields| {
            f.text_if_sent("full_name", TextRule::line(9));
            f.value_or_null("locale");
            f.read_only(&["id"], &());
        };
        let body = json!({"full_name": "x", "locale": null, "fullname": "x", "colour": 1, "id": 7});
        let mut lenient = fields(json!({"colour": 1}));
        read(&mut lenient);
        assert!(lenient.finish().is_ok());
        let mut strict = fields(body).strict();
        read(&mut strict);
        let Err(ApiError::Fields(errors)) = strict.finish() else { panic!("no error") };
        let mut wanted = FieldErrors::default();
        wanted.add("fullname", "Unknown field. Did you mean \"full_name\"?");
        wanted.add("colour", "Unknown field.");
        wanted.add("id", "This field is read-only.");
        assert_eq!(errors, wanted);
    }

    #[test]
    fn integers_may_come_as_decimal_text() {
        let mut good = fields(json!({"a": 5, "b": "5"}));
        assert_eq!((good.integer("a"), good.integer("b")), (Some(5), Some(5)));
        for bad in [json!(5.5), json!(true), json!("5x"), json!([]), json!(u64::MAX)] {
            let errors = error_of(|f| _ = f.integer("n"), json!({ "n": bad }));
            assert!(errors.contains("A valid integer is required."), "{errors}");
        }
    }
}
