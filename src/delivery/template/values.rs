//! Operations on single values: numbers, ranges, slices, and HTML escaping.

use minijinja::Value;

use super::budget::Fault;
use super::tree::Operator;

/// The most numbers of a range, as in minijinja.
const RANGE_MAX: usize = 10_000;

/// Whether a character has a meaning in HTML.
pub(super) fn is_special(character: char) -> bool {
    matches!(character, '<' | '>' | '&' | '"' | '\'' | '/')
}

/// The HTML escape of such a character.
pub(super) fn escaped(character: char) -> &'static str {
    match character {
        '<' => "&lt;",
        '>' => "&gt;",
        '&' => "&amp;",
        '"' => "&quot;",
        '\'' => "&#x27;",
        '/' => "&#x2f;",
        _ => "",
    }
}

/// Arithmetic on two numbers. Texts have no arithmetic here, because a multiplied text grows.
pub(super) fn arithmetic(
    operator: Operator,
    left: &Value,
    right: &Value,
    lets_non_finite: bool,
) -> Result<Value, Fault> {
    if !left.is_number() || !right.is_number() {
        let problem = format!("{} and {} are not both numbers", left.kind(), right.kind());
        return Err(Fault::new(problem));
    }
    let are_whole = left.is_integer() && right.is_integer() && operator != Operator::Divide;
    let made = match are_whole {
        true => {
            let (left, right) = (i128::try_from(left.clone())?, i128::try_from(right.clone())?);
            of_whole(operator, left, right).map(whole)
        }
        false => {
            let (left, right) = (f64::try_from(left.clone())?, f64::try_from(right.clone())?);
            let made = of_real(operator, left, right);
            made.filter(|made| lets_non_finite || made.is_finite()).map(Value::from)
        }
    };
    made.ok_or_else(|| Fault::new("there is no such number"))
}

/// A whole number, which is used as an index or a limit only if it is one of 64 bits.
fn whole(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}

fn of_whole(operator: Operator, left: i128, right: i128) -> Option<i128> {
    match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::FloorDivide => left.checked_div_euclid(right),
        Operator::Remainder => left.checked_rem_euclid(right),
        Operator::Power => left.checked_pow(right.try_into().ok()?),
        Operator::Divide | Operator::Concat => None,
    }
}

fn of_real(operator: Operator, left: f64, right: f64) -> Option<f64> {
    Some(match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::FloorDivide => left.div_euclid(right),
        // Of the left side's sign, unlike that of whole numbers: as in minijinja.
        Operator::Remainder => left % right,
        Operator::Power => left.powf(right),
        Operator::Concat => return None,
    })
}

/// The numbers of `range(end)`, `range(start, end)` or `range(start, end, step)`.
pub(super) fn range(args: &[Value]) -> Result<impl Iterator<Item = i64> + use<>, Fault> {
    let number = |value: &Value| value.as_i64();
    let numbers: Option<Vec<i64>> = args.iter().map(number).collect();
    let (start, end, step) = match numbers.as_deref() {
        Some([end]) => (0, *end, 1),
        Some([start, end]) => (*start, *end, 1),
        Some([start, end, step]) => (*start, *end, *step),
        _ => return Err(Fault::new("range takes one to three whole numbers")),
    };
    let step = usize::try_from(step).ok().filter(|step| *step > 0);
    let step = step.ok_or_else(|| Fault::new("a range's step is a positive number"))?;
    let numbers = (start..end).step_by(step);
    match numbers.size_hint() {
        (_, Some(count)) if count <= RANGE_MAX => Ok(numbers),
        _ => Err(Fault::new(format!("a range has at most {RANGE_MAX} numbers"))),
    }
}

/// How many of `count` items are skipped, and how many of the rest are taken; as in Python,
/// negative numbers count from the end.
pub(super) fn slice(
    count: usize,
    from: Option<&Value>,
    to: Option<&Value>,
) -> Result<(usize, usize), Fault> {
    let place = |value: Option<&Value>, otherwise: usize| match value.filter(|one| !one.is_none()) {
        None => Ok::<_, Fault>(otherwise),
        Some(value) => {
            let wrong = || Fault::new("a slice takes whole numbers");
            let number = value.as_i64().filter(|_| value.is_integer()).ok_or_else(wrong)?;
            let behind = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
            Ok(if number < 0 { count.saturating_sub(behind) } else { behind })
        }
    };
    let (from, to) = (place(from, 0)?, place(to, count)?);
    Ok((from, to.saturating_sub(from)))
}

/// Refuses the divisor at which minijinja's `divisibleby` panics.
pub(super) fn must_divide(divisor: &Value) -> Result<(), Fault> {
    match i128::try_from(divisor.clone()) {
        Ok(0) => Err(Fault::new("divisibleby 0 has no answer")),
        Ok(_) | Err(_) => Ok(()),
    }
}
