//! Charges filters before they are called: the highest possible cost, computed from the arguments.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::budget::Fault;
use super::filters::{Cost, Filter};
use super::run::Run;

/// The largest indent.
const WIDTH_MAX: usize = 100;
/// Each comparison converts both keys to lower case; a digest's 100 titles need seven comparisons
/// each.
const SORT_FACTOR: usize = 64;
/// The size of a number as text, at most.
const SCALAR: usize = 64;
/// The longest attribute name for sorting and mapping: one path only.
const ATTRIBUTE_MAX: usize = 64;

impl Run<'_> {
    /// Charges the highest possible cost of a filter.
    pub(super) fn pay(
        &mut self,
        filter: &Filter,
        args: &[Value],
        named: &[(&str, Value)],
    ) -> Result<(), Fault> {
        let [of, ..] = args else { return Ok(()) };
        let attribute = attribute(named)?;
        let mut given = 0_usize;
        for arg in args.iter().skip(1) {
            let len = if filter.cost == Cost::Flat {
                text_len(Some(arg)) // it is handed on as it is
            } else {
                scalar_len(arg)?
            };
            given = given.saturating_add(len);
        }
        let cost = match filter.cost {
            Cost::Flat | Cost::Map => 0,
            Cost::Look => of.as_str().map_or(0, str::len),
            Cost::Each(factor) => self.weight(of)?.saturating_mul(factor),
            Cost::Trim => {
                // The characters to be removed become a list, four bytes each.
                let gone = text_len(args.get(1)).max(8);
                scalar_len(of)?.saturating_mul(gone).saturating_add(gone.saturating_mul(4))
            }
            Cost::Sort => self.sort_cost(of, attribute)?,
            Cost::Replace => {
                let text = scalar_len(of)?;
                let from = text_len(args.get(1));
                let to = args.get(2).map_or(Ok(0), scalar_len)?;
                let found = text.checked_div(from).unwrap_or(text) + 1;
                found.saturating_mul(to).saturating_add(text)
            }
            Cost::Join => {
                let items = of.len().unwrap_or_default();
                let between = args.get(1).map_or(Ok(0), scalar_len)?.saturating_mul(8);
                let own = self.weight(of)?.saturating_mul(8);
                items.saturating_mul(between).saturating_add(own)
            }
            Cost::Indent => {
                let width = args.get(1).map_or(Some(4), Value::as_usize);
                let width = width.filter(|width| *width <= WIDTH_MAX);
                let width = width.ok_or_else(|| {
                    Fault::new(format!("indent takes at most {WIDTH_MAX} spaces"))
                })?;
                scalar_len(of)?; // of a list the filter would make a text itself
                let text = of.as_str().unwrap_or_default();
                let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
                lines.saturating_mul(width).saturating_add(text.len() * 2)
            }
        };
        self.budget.spend(cost.saturating_add(given))
    }

    fn sort_cost(&mut self, of: &Value, attribute: Option<&str>) -> Result<usize, Fault> {
        let mut keys = 0_usize;
        for item in of.try_iter()? {
            self.budget.step()?;
            let key = match attribute {
                None => item,
                Some(path) => along(&item, path).unwrap_or_default(),
            };
            keys = keys.saturating_add(self.weight(&key)?);
        }
        if of.kind() == ValueKind::Map {
            keys = keys.saturating_add(self.weight(of)?);
        }
        Ok(keys.saturating_mul(SORT_FACTOR))
    }

    /// `map(attribute=…)`
    pub(super) fn mapped(&mut self, of: &Value, named: &[(&str, Value)]) -> Result<Value, Fault> {
        let path = attribute(named)?.ok_or_else(|| Fault::new("map takes an attribute"))?;
        let mut mapped = Vec::new();
        for item in of.try_iter()? {
            self.budget.step()?;
            mapped.push(along(&item, path)?);
        }
        self.list(mapped)
    }
}

/// The attribute for sorting or mapping.
fn attribute<'a>(named: &'a [(&str, Value)]) -> Result<Option<&'a str>, Fault> {
    let Some((_, path)) = named.iter().find(|(name, _)| *name == "attribute") else {
        return Ok(None);
    };
    match path.as_str() {
        Some(path) if path.len() <= ATTRIBUTE_MAX && !path.contains(',') => Ok(Some(path)),
        _ => Err(Fault::new("attribute takes one short name")),
    }
}

/// What the path leads to, as minijinja reads it: a number is an index, and what is undefined has
/// no attributes.
fn along(item: &Value, path: &str) -> Result<Value, minijinja::Error> {
    path.split('.').try_fold(item.clone(), |value, name| match name.parse() {
        Ok(index) => value.get_item_by_index(index),
        Err(_) => value.get_attr(name),
    })
}

/// The size of a value as text. A list is refused: the filter would convert it to a text that was
/// not charged.
fn scalar_len(value: &Value) -> Result<usize, Fault> {
    if let Some(text) = value.as_str() {
        return Ok(text.len());
    }
    let is_short = matches!(
        value.kind(),
        ValueKind::Undefined | ValueKind::None | ValueKind::Bool | ValueKind::Number
    );
    if is_short {
        return Ok(SCALAR);
    }
    Err(Fault::new(format!("a {} is no text: join its items first", value.kind())))
}

fn text_len(value: Option<&Value>) -> usize {
    value.and_then(Value::as_str).map_or(0, str::len)
}
