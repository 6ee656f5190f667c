//! Names that the hub does not know: refused, with the name that was probably meant.

use serde_json::{Map, Value};

use super::error::FieldErrors;
use bellpull_config::table::nearest;

/// How many unknown fields are named.
const NAMED_MAX: usize = 10;

/// The rest of a longer name is not shown, and no similar one is looked for. Ours have fewer than
/// half as many characters.
const NAME_MAX: usize = 64;

/// How a field that no handler reads is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It is ignored, as in Django REST framework: for existing front ends.
    Ignored,
    /// The request is refused: for the hub's own resources.
    Refused,
}

/// Adds an error for each name that is not in `known`.
pub(super) fn refuse<'a>(
    names: impl Iterator<Item = &'a str>,
    known: &[&'static str],
    errors: &mut FieldErrors,
) {
    let unknown = names.filter(|name| !known.contains(name));
    for name in unknown.take(NAMED_MAX) {
        let shown: String = name.chars().take(NAME_MAX).collect();
        errors.add(&shown, text(name, known));
    }
}

/// The same for an object within a field: the first unknown one, as the field's error.
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

/// ` Did you mean "…"?`, or empty if no name is similar.
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
        refuse(values.keys().map(String::as_str), &["full_name"], &mut errors);
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
