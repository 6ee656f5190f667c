//! The query of a URL, and the ids in its path.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use bellpull_domain::event::Event;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use super::error::{ApiError, FieldErrors};
use super::fields::{Fields, ids, not_a_choice};
use super::unknown;

/// The longest event name that a sender may use.
pub(super) const EVENT_MAX: usize = 64;

/// The decoded query, and its errors so far. The last value of a repeated name counts; a name
/// without a value counts as missing.
#[derive(Debug)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    errors: FieldErrors,
}

impl Params {
    /// The value of a name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let last = self.pairs.iter().rev().find(|(found, _)| found == name);
        last.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// An integer.
    pub(super) fn integer(&mut self, name: &str) -> Option<i64> {
        let parsed = self.text(name)?.parse().map_err(|_| "A valid integer is required.");
        self.note(name, parsed)
    }

    /// A non-negative integer.
    pub(super) fn natural(&mut self, name: &str) -> Option<i64> {
        let number = self.integer(name)?;
        let checked = if number < 0 { Err("Must not be negative.") } else { Ok(number) };
        self.note(name, checked)
    }

    /// A value with a format of its own.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let parsed = parse(self.text(name)?);
        self.note(name, parsed)
    }

    /// A boolean, in the spellings of the clients' frameworks.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        let parsed = match self.text(name)?.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("Must be a valid boolean."),
        };
        self.note(name, parsed)
    }

    /// One of a set of names.
    pub(super) fn choice<T>(&mut self, name: &str, parse: fn(&str) -> Option<T>) -> Option<T> {
        let given = self.text(name)?;
        let parsed = parse(given).ok_or_else(|| not_a_choice(&Value::from(given)));
        self.note(name, parsed)
    }

    /// A text of bounded length without NUL, which a database would refuse.
    pub(super) fn bounded(&mut self, name: &str, max: usize) -> Option<String> {
        let given = self.text(name)?.to_owned();
        let checked = if given.contains('\0') {
            Err("Null characters are not allowed.".to_owned())
        } else if given.chars().count() > max {
            Err(format!("Ensure this value has at most {max} characters."))
        } else {
            Ok(given)
        };
        self.note(name, checked)
    }

    /// The value, or records the error.
    pub(super) fn checked<T>(
        &mut self,
        name: &str,
        found: Result<T, impl Into<String>>,
    ) -> Option<T> {
        self.note(name, found)
    }

    /// A list of 1 to `max` integers, between commas. A list that is there and empty is an error:
    /// it does not mean all.
    pub(super) fn integers(&mut self, name: &str, max: usize) -> Option<Vec<i64>> {
        if !self.has(name) {
            return None;
        }
        let items: Vec<&str> =
            self.text(name).map_or_else(Vec::new, |text| text.split(',').collect());
        let checked = if items.is_empty() {
            Err("This list may not be empty.".to_owned())
        } else if items.len() > max {
            Err(format!("Ensure this field has no more than {max} elements."))
        } else {
            let parsed = items.into_iter().map(|item| item.trim().parse());
            parsed.collect::<Result<_, _>>().map_err(|_| "Enter integers, with commas.".to_owned())
        };
        self.note(name, checked)
    }

    /// Whether the name is there, with a value or without.
    pub(super) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(found, _)| found == name)
    }

    /// Adds the fields of a body, each as it would stand in the query; `list` is the one that is a
    /// list of ids, and how many it has at most.
    pub(super) fn add_body(&mut self, fields: Fields, list: (&str, usize)) {
        let mut pairs = Vec::new();
        for (name, value) in fields.into_values() {
            let text = if name == list.0 && !value.is_null() {
                let listed = |ids: Vec<i64>| ids.iter().map(i64::to_string).collect::<Vec<_>>();
                ids(&value, list.1).map(|ids| listed(ids).join(","))
            } else {
                plain(&value).map_err(str::to_owned)
            };
            match text {
                Ok(text) => pairs.push((name, text)),
                Err(problem) => self.errors.add(&name, problem),
            }
        }
        pairs.append(&mut self.pairs);
        self.pairs = pairs;
    }

    /// Adds an error for each name that is not one of these, has no value, or several: where a
    /// query says what is destroyed, none of it is left out.
    pub(super) fn refuse_others(&mut self, known: &[&'static str]) {
        for (at, (name, value)) in self.pairs.iter().enumerate() {
            if value.trim().is_empty() {
                self.errors.add(name, "This value may not be empty.");
            } else if self.pairs[..at].iter().any(|(other, _)| other == name) {
                self.errors.add(name, "Give this value once.");
            }
        }
        let names = self.pairs.iter().map(|(name, _)| name.as_str());
        unknown::refuse(names, known, &mut self.errors);
    }

    /// All errors, if there are any.
    pub(super) fn finish(&mut self) -> Result<(), ApiError> {
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(ApiError::Fields(std::mem::take(&mut self.errors)))
    }

    fn note<T>(&mut self, name: &str, parsed: Result<T, impl Into<String>>) -> Option<T> {
        parsed.map_err(|message| self.errors.add(name, message)).ok()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Decoding into strings replaces invalid UTF-8 and so never fails.
        let pairs = Query::try_from_uri(&parts.uri).map(|Query(pairs)| pairs);
        Ok(Self { pairs: pairs.unwrap_or_default(), errors: FieldErrors::default() })
    }
}

/// A field's value as it would stand in a query.
fn plain(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::Null => Err("This field may not be null."),
        Value::Array(_) | Value::Object(_) => Err("Not a valid value."),
        Value::Bool(value) => Ok(value.to_string()),
        Value::String(text) => Ok(text.clone()),
        // JSON has one number type: some clients write `5.0`.
        Value::Number(number) => Ok(number.to_string().trim_end_matches(".0").to_owned()),
    }
}

/// The `{id}` of a path. What is not a number is a 404, like an unknown number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Id(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Ok(Self(Ids::of(parts, state).await?.named("id")?))
    }
}

/// The `{id}` and the `{user}` of a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemberIds {
    pub(super) id: i64,
    pub(super) user: i64,
}

impl<S: Send + Sync> FromRequestParts<S> for MemberIds {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let ids = Ids::of(parts, state).await?;
        Ok(Self { id: ids.named("id")?, user: ids.named("user")? })
    }
}

/// The `{event}` of a path: one of the hub's own, or any name that a sender may use.
#[derive(Debug, Clone)]
pub(super) struct EventName(pub(super) Event);

impl<S: Send + Sync> FromRequestParts<S> for EventName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let found = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = found.map_err(|_| ApiError::NotFound)?;
        if is_event_name(&name) {
            Ok(Self(Event::from_name(&name)))
        } else {
            Err(ApiError::NotFound)
        }
    }
}

/// A time, or a day in UTC: its beginning, or that many days later.
pub(super) fn moment(text: &str, days: i64) -> Result<Timestamp, &'static str> {
    let day = |text: &str| -> Option<Timestamp> {
        let date: Date = text.parse().ok()?;
        let date = date.checked_add(days.days()).ok()?;
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    // An unescaped plus in a query has become a space.
    let time = || text.replace(' ', "+").parse().ok();
    let is_day = text.len() == "2026-01-01".len();
    let found = if is_day { day(text) } else { time() };
    found.ok_or("Enter a time such as 2026-01-31T10:00:00Z, or a day such as 2026-01-31.")
}

/// Whether a sender may use this event name.
pub(super) fn is_event_name(name: &str) -> bool {
    (1..=EVENT_MAX).contains(&name.chars().count())
        && name.trim() == name
        && !name.contains(char::is_control)
}

/// The parameters of a path.
struct Ids(Vec<(String, String)>);

impl Ids {
    async fn of<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let found = Path::from_request_parts(parts, state).await;
        found.map(|Path(pairs)| Self(pairs)).map_err(|_| ApiError::NotFound)
    }

    fn named(&self, wanted: &str) -> Result<i64, ApiError> {
        let (_, id) = self.0.iter().find(|(name, _)| name == wanted).ok_or(ApiError::NotFound)?;
        // `+5` and `-5` parse as integers, but no link of ours contains them.
        if !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ApiError::NotFound);
        }
        id.parse().map_err(|_| ApiError::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn a_day_is_whole_and_a_moment_is_itself() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(moment("2026-01-31", 0), Ok(at("2026-01-31T00:00:00Z")));
        assert_eq!(moment("2026-01-31", 1), Ok(at("2026-02-01T00:00:00Z")));
        assert_eq!(moment("2026-01-31T10:00:00 01:00", 1), Ok(at("2026-01-31T09:00:00Z")));
        for bad in ["", "2026-02-30", "yesterday", "2026-01-31T25:00:00Z", "9999-12-31"] {
            assert!(moment(bad, 1).is_err(), "{bad}");
        }
    }

    pub(super) async fn params(uri: &str) -> Params {
        let (mut parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
        let Ok(params) = Params::from_request_parts(&mut parts, &()).await;
        params
    }

    #[tokio::test]
    async fn bad_filters_are_named_all_at_once() {
        let mut params = params("/?a=x&b=maybe&c=NO&d=-1&e=%00&f=toolong").await;
        params.integer("a");
        params.boolean("b");
        params.choice::<()>("c", |_| None);
        params.natural("d");
        params.bounded("e", 5);
        params.bounded("f", 5);
        let Err(ApiError::Fields(errors)) = params.finish() else { panic!("no error") };
        let text = format!("{errors:?}");
        for name in ["a", "b", "c", "d", "e", "f"] {
            assert!(text.contains(&format!("\"{name}\": [")), "{name} in {text}");
        }
        assert!(text.contains("NO"));
    }

    #[tokio::test]
    async fn what_is_not_given_does_not_narrow_and_the_last_counts() {
        let mut params = params("/?empty=&n=1&n=2&b=True&bad=%ff&%zz").await;
        assert_eq!(params.integer("empty"), None);
        assert_eq!(params.integer("missing"), None);
        assert_eq!(params.integer("n"), Some(2));
        assert_eq!(params.boolean("b"), Some(true));
        assert!(params.finish().is_ok());
    }
}
