//! What a client names and the hub does not know: refused by name, with the name that was probably
//! meant.

use serde_json::{Map, Value};

use super::error::FieldErrors;
use crate::config::table::nearest;

/// Of more unknown fields than this the others are not named.
const NAMED_MAX: usize = 10;

/// Of a longer name the rest is not shown, and none is looked for that is like it. Ours have fewer
/// than half as many characters.
const NAME_MAX: usize = 64;

/// What becomes of a field that no handler reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Nothing, as in Django REST framework: where front ends write.
    Ignored,
    /// The request is refused: at the hub's own resources.
    Refused,
}

/// Notes the fields that are none of `known`.
pub(super) fn refuse(
    values: &Map<String, Value>,
    known: &[&'static str],
    errors: &mut FieldErrors,
) {
    let unknown = values.keys().filter(|name| !known.contains(&name.as_str()));
    for name in unknown.take(NAMED_MAX) {
        let shown: String = name.chars().take(NAME_MAX).collect();
        errors.add(&shown, text(name, known));
    }
}

/// The same for an object within a field: the first one, as the field's problem.
pub(super) fn check(object: &Map<String, Value>, known: &[&'static str]) -> Result<(), String> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let shown: String = name.chars().take(NAME_MAX).collect();
            Err(format!("{shown}: {}", text(name, known)))
        }
    }
}

fn text(name: &str, known: &[&'static str]) -> String {
    format!("Unknown field.{}", suggestion(name, known.iter().copied()))
}

/// ` Did you mean "…"?`, or nothing where no name is like the one that was given.
pub(super) fn suggestion<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> String {
    let meant = if given.len() > NAME_MAX { None } else { nearest(given, known) };
    meant.map_or_else(String::new, |name| format!(" Did you mean \"{name}\"?"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn many_and_long_names_are_shown_in_part() {
        let mut values = Map::new();
        for n in 0..1_000 {
            values.insert(format!("{n:0>1000}"), json!(1));
        }
        let mut errors = FieldErrors::default();
        refuse(&values, &["full_name"], &mut errors);
        assert!(format!("{errors:?}").len() < 2_000, "{errors:?}");
    }

    #[test]
    fn what_was_probably_meant_is_said() {
        let object = json!({"chanel": "EMAIL"});
        let told = check(object.as_object().unwrap(), &["channel", "after_s"]).unwrap_err();
        assert_eq!(told, "chanel: Unknown field. Did you mean \"channel\"?");
        let object = json!({"channel": "EMAIL"});
        assert_eq!(check(object.as_object().unwrap(), &["channel", "after_s"]), Ok(()));
    }
}
