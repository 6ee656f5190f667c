//! Evaluates a template's tree: every value is charged before it is created or read.
//!
//! Values and filters are minijinja's, so templates have Jinja's semantics. All lists are
//! materialised: a lazy one would be computed anew at each read.

use std::borrow::Cow;
use std::sync::LazyLock;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, State, Value};

use super::budget::{Budget, Fault};
use super::filters::{Cost, Filter};
use super::tree::{Expr, For, Kind, LoopField, Node, Operator, Relation, Target, Tree};
use super::{OUTPUT_MAX, values};

/// The size of a list item beside its text, in bytes: a value and its slot.
const ITEM: usize = 32;
/// How deeply lists may be nested: they are read recursively.
const NESTED_MAX: usize = 32;
/// The size of a value that is neither a text nor a list.
const SCALAR: usize = 64;
/// A text within a list is shown with quotes and escapes: a byte may become this many.
const QUOTED: usize = 8;

/// The evaluation of one part.
pub(super) struct Run<'t> {
    pub(super) budget: Budget,
    /// The free variables.
    view: &'t Value,
    frames: Vec<Frame<'t>>,
    state: State<'static, 'static>,
    is_html: bool,
    out: String,
    /// Numbers that are none are values at the moment.
    lets_non_finite: bool,
}

/// The names of a loop iteration, a `with`, or the whole part.
#[derive(Default)]
struct Frame<'t> {
    names: Vec<(&'t str, Value)>,
    turn: Option<Turn>,
}

#[derive(Clone, Copy)]
struct Turn {
    index: usize,
    count: usize,
}

impl<'t> Run<'t> {
    pub(super) fn new(view: &'t Value, is_html: bool, budget: Budget) -> Self {
        static BUILTINS: LazyLock<Environment<'static>> = LazyLock::new(Environment::new);
        let (frames, state) = (vec![Frame::default()], BUILTINS.empty_state());
        let (out, lets_non_finite) = (String::new(), false);
        Self { budget, view, frames, state, is_html, out, lets_non_finite }
    }

    /// Renders the template.
    pub(super) fn render(mut self, tree: &'t Tree) -> Result<String, Fault> {
        self.body(&tree.body)?;
        Ok(self.out)
    }

    fn body(&mut self, nodes: &'t [Node]) -> Result<(), Fault> {
        nodes.iter().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &'t Node) -> Result<(), Fault> {
        self.budget.step()?;
        match node {
            Node::Text(text) => self.push(text),
            Node::Show(expr) => {
                let value = self.eval(expr)?;
                let text = self.text(&value).map_err(|fault| fault.at(expr.line.into()))?;
                match self.is_html && !value.is_safe() {
                    true => self.push_escaped(&text),
                    false => self.push(&text),
                }
            }
            Node::If { test, then, otherwise } => match self.eval(test)?.is_true() {
                true => self.body(then),
                false => self.body(otherwise),
            },
            Node::For(found) => self.for_loop(found),
            Node::With { names, body } => {
                self.frames.push(Frame::default());
                for (target, value) in names {
                    let line = value.line;
                    let value = self.eval(value)?;
                    self.bind(target, value).map_err(|fault| fault.at(line.into()))?;
                }
                self.body(body)?;
                self.frames.pop();
                Ok(())
            }
            Node::Set(target, value) => {
                let line = value.line;
                let value = self.eval(value)?;
                self.bind(target, value).map_err(|fault| fault.at(line.into()))
            }
        }
    }

    fn for_loop(&mut self, found: &'t For) -> Result<(), Fault> {
        let at = |fault: Fault| fault.at(found.items.line.into());
        let items = self.eval(&found.items)?;
        let mut kept = Vec::new();
        for item in items.try_iter().map_err(|error| at(error.into()))? {
            self.budget.step()?;
            self.budget.spend(ITEM).map_err(at)?;
            if let Some(keep) = &found.keep {
                self.frames.push(Frame::default());
                self.bind(&found.target, item.clone()).map_err(at)?;
                let is_kept = self.eval(keep)?.is_true();
                self.frames.pop();
                if !is_kept {
                    continue;
                }
            }
            kept.push(item);
        }
        if kept.is_empty() {
            return self.body(&found.otherwise);
        }
        let count = kept.len();
        for (index, item) in kept.into_iter().enumerate() {
            self.budget.step()?;
            // Names that an iteration sets end with it, as in Jinja.
            self.frames.push(Frame { names: Vec::new(), turn: Some(Turn { index, count }) });
            self.bind(&found.target, item).map_err(at)?;
            self.body(&found.body)?;
            self.frames.pop();
        }
        Ok(())
    }

    fn bind(&mut self, target: &'t Target, value: Value) -> Result<(), Fault> {
        match target {
            Target::Name(name) => {
                let Some(frame) = self.frames.last_mut() else { return Ok(()) };
                match frame.names.iter_mut().find(|(known, _)| *known == &**name) {
                    Some((_, known)) => *known = value,
                    None => frame.names.push((name, value)),
                }
                Ok(())
            }
            Target::Each(targets) => {
                let mut items = value.try_iter()?;
                for target in targets {
                    let item = items.next().ok_or_else(|| Fault::new("there are too few items"))?;
                    self.bind(target, item)?;
                }
                match items.next() {
                    None => Ok(()),
                    Some(_) => Err(Fault::new("there are too many items")),
                }
            }
        }
    }

    fn push(&mut self, text: &str) -> Result<(), Fault> {
        if self.out.len() + text.len() > OUTPUT_MAX {
            return Err(Fault::new(format!("it becomes more than {OUTPUT_MAX} bytes")));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn push_escaped(&mut self, text: &str) -> Result<(), Fault> {
        let mut rest = text;
        while let Some(at) = rest.find(values::is_special) {
            let (plain, special) = rest.split_at(at);
            self.push(plain)?;
            let mut characters = special.chars();
            self.push(characters.next().map_or("", values::escaped))?;
            rest = characters.as_str();
        }
        self.push(rest)
    }

    fn eval(&mut self, expr: &'t Expr) -> Result<Value, Fault> {
        self.budget.step()?;
        self.kind(&expr.kind).map_err(|fault| fault.at(expr.line.into()))
    }

    #[expect(clippy::too_many_lines, reason = "one match with an arm for each kind of expression")]
    fn kind(&mut self, kind: &'t Kind) -> Result<Value, Fault> {
        Ok(match kind {
            Kind::Const(value) => value.clone(),
            Kind::Name(name) => self.look_up(name),
            Kind::Loop(field) => self.of_loop(*field),
            Kind::Attribute(of, name) => self.eval(of)?.get_attr(name)?,
            Kind::Item(of, key) => {
                let (of, key) = (self.eval(of)?, self.eval(key)?);
                self.weigh_text(&of)?;
                self.weigh_text(&key)?;
                of.get_item(&key)?
            }
            Kind::Slice { of, from, to } => self.slice(of, from.as_deref(), to.as_deref())?,
            Kind::Not(of) => Value::from(!self.eval(of)?.is_true()),
            Kind::Negative(of) => {
                let of = self.eval(of)?;
                self.arithmetic(Operator::Subtract, &Value::from(0), &of)?
            }
            Kind::Both(left, right) => {
                let left = self.eval(left)?;
                if left.is_true() { self.eval(right)? } else { left }
            }
            Kind::BothConstants(left, right) => {
                let left = self.eval(left)?;
                match self.eval(right) {
                    Ok(right) if left.is_true() && right.is_true() => right,
                    Ok(_) => Value::from(false),
                    Err(fault) if left.is_true() => return Err(fault),
                    // minijinja has evaluated both, with what `1 / 0` makes as a value.
                    Err(_) if self.is_a_value(right) => Value::from(false),
                    Err(_) => left,
                }
            }
            Kind::Either(left, right) => {
                let left = self.eval(left)?;
                if left.is_true() { left } else { self.eval(right)? }
            }
            Kind::Binary(operator, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                self.binary(*operator, &left, &right)?
            }
            Kind::Compare(first, rest) => {
                let mut left = self.eval(first)?;
                for (relation, right) in rest {
                    let right = self.eval(right)?;
                    if !self.holds(*relation, &left, &right)? {
                        return Ok(Value::from(false));
                    }
                    left = right;
                }
                Value::from(true)
            }
            Kind::Choice { test, then, otherwise } => match (self.eval(test)?.is_true(), otherwise)
            {
                (true, _) => self.eval(then)?,
                (false, Some(otherwise)) => self.eval(otherwise)?,
                (false, None) => Value::UNDEFINED,
            },
            Kind::Filter { filter, args, named } => self.filter(filter, args, named)?,
            Kind::Test { name, args } => {
                let args = self.all(args)?;
                for arg in &args {
                    self.weigh(arg)?;
                }
                if let ("divisibleby", [_, divisor]) = (&**name, &*args) {
                    values::must_divide(divisor)?;
                }
                Value::from(self.state.perform_test(name, &args)?)
            }
            Kind::List(items) => {
                let items = self.all(items)?;
                self.list(items)?
            }
            Kind::Range(args) => {
                let args = self.all(args)?;
                let numbers = values::range(&args)?;
                let mut items = Vec::new();
                for number in numbers {
                    self.budget.step()?;
                    items.push(Value::from(number));
                }
                self.list(items)?
            }
            Kind::Cycle(args) => {
                let index = self.turn().map_or(0, |turn| turn.index);
                let nth = index.checked_rem(args.len());
                let chosen = nth.and_then(|nth| args.get(nth));
                self.eval(chosen.ok_or_else(|| Fault::new("loop.cycle takes arguments"))?)?
            }
        })
    }

    fn all(&mut self, exprs: &'t [Expr]) -> Result<Vec<Value>, Fault> {
        exprs.iter().map(|one| self.eval(one)).collect()
    }

    fn look_up(&self, name: &str) -> Value {
        let names = self.frames.iter().rev().flat_map(|frame| &frame.names);
        let own =
            names.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        own.or_else(|| self.view.get_attr(name).ok()).unwrap_or_default()
    }

    fn turn(&self) -> Option<Turn> {
        self.frames.iter().rev().find_map(|frame| frame.turn)
    }

    fn of_loop(&self, field: LoopField) -> Value {
        let Some(Turn { index, count }) = self.turn() else { return Value::UNDEFINED };
        match field {
            LoopField::Index => Value::from(index + 1),
            LoopField::Index0 => Value::from(index),
            LoopField::RevIndex => Value::from(count - index),
            LoopField::RevIndex0 => Value::from(count - index - 1),
            LoopField::First => Value::from(index == 0),
            LoopField::Last => Value::from(index + 1 == count),
            LoopField::Length => Value::from(count),
        }
    }

    fn slice(
        &mut self,
        of: &'t Expr,
        from: Option<&'t Expr>,
        to: Option<&'t Expr>,
    ) -> Result<Value, Fault> {
        let of = self.eval(of)?;
        let from = from.map(|from| self.eval(from)).transpose()?;
        let to = to.map(|to| self.eval(to)).transpose()?;
        self.weigh_text(&of)?;
        let is_nothing = matches!(of.kind(), ValueKind::Undefined | ValueKind::None);
        if !is_nothing
            && !matches!(of.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Iterable)
        {
            return Err(Fault::new(format!("a value of type {} cannot be sliced", of.kind())));
        }
        let count = of.len().unwrap_or_default();
        let (skipped, taken) = values::slice(count, from.as_ref(), to.as_ref())?;
        if let Some(text) = of.as_str() {
            self.budget.spend(text.len())?;
            return Ok(Value::from(text.chars().skip(skipped).take(taken).collect::<String>()));
        }
        let mut items = Vec::new();
        for item in of.try_iter()?.take(skipped.saturating_add(taken)) {
            self.budget.step()?;
            items.push(item);
        }
        items.drain(..skipped.min(items.len()));
        let list = self.list(items.clone())?;
        // minijinja's slice of a list is no list itself: `is sequence` is false.
        let lazy = move || items.clone().into_iter();
        Ok(if is_nothing { list } else { Value::make_iterable(lazy) })
    }

    fn arithmetic(&self, operator: Operator, left: &Value, right: &Value) -> Result<Value, Fault> {
        values::arithmetic(operator, left, right, self.lets_non_finite)
    }

    /// Whether an expression has a value if numbers need not be finite.
    fn is_a_value(&mut self, expr: &'t Expr) -> bool {
        if self.lets_non_finite {
            // It has failed like this.
            return false;
        }
        self.lets_non_finite = true;
        let has_one = self.eval(expr).is_ok();
        self.lets_non_finite = false;
        has_one
    }

    fn binary(&mut self, operator: Operator, left: &Value, right: &Value) -> Result<Value, Fault> {
        let are_texts = left.as_str().is_some() && right.as_str().is_some();
        if operator != Operator::Concat && !(operator == Operator::Add && are_texts) {
            return self.arithmetic(operator, left, right);
        }
        let (left, right) = (self.text(left)?, self.text(right)?);
        self.budget.spend(left.len() + right.len())?;
        Ok(Value::from([left, right].concat()))
    }

    fn holds(&mut self, relation: Relation, left: &Value, right: &Value) -> Result<bool, Fault> {
        self.weigh(left)?;
        self.weigh(right)?;
        Ok(match relation {
            Relation::Equal => left == right,
            Relation::NotEqual => left != right,
            Relation::Less => left < right,
            Relation::LessOrEqual => left <= right,
            Relation::Greater => left > right,
            Relation::GreaterOrEqual => left >= right,
            Relation::In | Relation::NotIn => {
                if right.as_str().is_some() {
                    self.text(left)?; // what is looked for in a text becomes one
                }
                // The test of this name has nothing in a number; the operator refuses it.
                if !may_contain(right) {
                    return Err(Fault::new("in takes a text, a list or a map"));
                }
                let is_in = self.state.perform_test("in", &[left.clone(), right.clone()])?;
                is_in == (relation == Relation::In)
            }
        })
    }

    fn filter(
        &mut self,
        filter: &'static Filter,
        args: &'t [Expr],
        named: &'t [(Box<str>, Expr)],
    ) -> Result<Value, Fault> {
        let mut args = self.all(args)?;
        let mut own = Vec::with_capacity(named.len());
        for (name, value) in named {
            own.push((&**name, self.eval(value)?));
        }
        self.pay(filter, &args, &own)?;
        if filter.cost == Cost::Map {
            return args.first().map_or(Ok(Value::UNDEFINED), |of| self.mapped(of, &own));
        }
        if !own.is_empty() {
            args.push(Value::from(own.into_iter().collect::<Kwargs>()));
        }
        let made = self.state.apply_filter(filter.name, &args)?;
        if matches!(made.kind(), ValueKind::Seq | ValueKind::Iterable) {
            let items: Vec<Value> = made.try_iter()?.collect();
            return self.list(items);
        }
        Ok(made)
    }

    /// A list of these items, whose depth is bounded.
    pub(super) fn list(&mut self, items: Vec<Value>) -> Result<Value, Fault> {
        self.budget.spend(items.len().saturating_mul(ITEM))?;
        let list = Value::from(items);
        self.weight(&list)?;
        Ok(list)
    }

    /// A value as text, charged.
    fn text<'v>(&mut self, value: &'v Value) -> Result<Cow<'v, str>, Fault> {
        if let Some(text) = value.as_str() {
            self.budget.spend(text.len())?;
            return Ok(Cow::Borrowed(text));
        }
        let weight = self.weight(value)?;
        self.budget.spend(weight.saturating_mul(QUOTED))?;
        Ok(Cow::Owned(value.to_string()))
    }

    /// Charges one read of a whole value.
    fn weigh(&mut self, value: &Value) -> Result<(), Fault> {
        let weight = self.weight(value)?;
        self.budget.spend(weight)
    }

    fn weigh_text(&mut self, value: &Value) -> Result<(), Fault> {
        self.budget.spend(value.as_str().map_or(0, str::len))
    }

    /// The bytes in a value, counted as often as they occur in it.
    pub(super) fn weight(&mut self, value: &Value) -> Result<usize, Fault> {
        self.weight_within(value, 0)
    }

    fn weight_within(&mut self, value: &Value, depth: usize) -> Result<usize, Fault> {
        if let Some(text) = value.as_str() {
            return Ok(text.len());
        }
        let is_map = value.kind() == ValueKind::Map;
        if !is_map && !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
            return Ok(SCALAR);
        }
        if depth >= NESTED_MAX {
            return Err(Fault::new(format!("lists are more than {NESTED_MAX} deep")));
        }
        let mut weight = ITEM;
        for item in value.try_iter()? {
            self.budget.step()?;
            let own = match is_map {
                true => self
                    .weight_within(&value.get_item(&item)?, depth + 1)?
                    .saturating_add(item.as_str().map_or(SCALAR, str::len)),
                false => self.weight_within(&item, depth + 1)?,
            };
            weight = weight.saturating_add(own).saturating_add(ITEM);
        }
        Ok(weight)
    }
}

/// Whether something may be in it, or nothing, for it is undefined.
fn may_contain(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Undefined
            | ValueKind::String
            | ValueKind::Seq
            | ValueKind::Map
            | ValueKind::Iterable
            | ValueKind::Plain
    )
}
