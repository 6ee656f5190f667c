//! A template as it is evaluated: what minijinja's parser reads, without constructs that have no
//! bound.
//!
//! The tree owns its text, so a template is parsed once and kept. [`super::lower`] builds it,
//! [`super::run`] evaluates it.

use std::collections::BTreeSet;

use minijinja::Value;

use super::filters::Filter;

/// A parsed part of a template.
#[derive(Debug)]
pub(in super::super) struct Tree {
    pub(super) body: Vec<Node>,
    /// Its free variables, with the paths that it reads (`ticket.key`).
    pub(in super::super) free: BTreeSet<String>,
}

/// A statement.
#[derive(Debug)]
pub(super) enum Node {
    /// Literal text.
    Text(Box<str>),
    /// The text of a value, escaped in HTML.
    Show(Expr),
    /// `{% if %}`; `elif` is an `if` within `otherwise`.
    If { test: Expr, then: Vec<Self>, otherwise: Vec<Self> },
    /// `{% for %}`
    For(Box<For>),
    /// `{% with %}`
    With { names: Vec<(Target, Expr)>, body: Vec<Self> },
    /// `{% set %}`
    Set(Target, Expr),
}

/// `{% for target in items if keep %}body{% else %}otherwise{% endfor %}`
#[derive(Debug)]
pub(super) struct For {
    pub(super) target: Target,
    pub(super) items: Expr,
    pub(super) keep: Option<Expr>,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// What a value is bound to.
#[derive(Debug)]
pub(super) enum Target {
    /// A name.
    Name(Box<str>),
    /// One target for each of the value's items.
    Each(Vec<Self>),
}

/// An expression and the line that it begins on.
#[derive(Debug)]
pub(super) struct Expr {
    pub(super) line: u16,
    pub(super) kind: Kind,
}

/// The kinds of expressions.
#[derive(Debug)]
pub(super) enum Kind {
    Const(Value),
    Name(Box<str>),
    Loop(LoopField),
    Attribute(Box<Expr>, Box<str>),
    Item(Box<Expr>, Box<Expr>),
    Slice {
        of: Box<Expr>,
        from: Option<Box<Expr>>,
        to: Option<Box<Expr>>,
    },
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Both(Box<Expr>, Box<Expr>),
    /// `and` of two constants: where one of them is false, so is it, and not the operand.
    BothConstants(Box<Expr>, Box<Expr>),
    Either(Box<Expr>, Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Compare(Box<Expr>, Vec<(Relation, Expr)>),
    Choice {
        test: Box<Expr>,
        then: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
    Filter {
        filter: &'static Filter,
        args: Vec<Expr>,
        named: Vec<(Box<str>, Expr)>,
    },
    Test {
        name: Box<str>,
        args: Vec<Expr>,
    },
    List(Vec<Expr>),
    Range(Vec<Expr>),
    Cycle(Vec<Expr>),
}

impl Expr {
    /// Whether minijinja computes it before the template runs.
    pub(super) fn is_constant(&self) -> bool {
        match &self.kind {
            Kind::Const(_) => true,
            Kind::List(items) => items.iter().all(|item| matches!(item.kind, Kind::Const(_))),
            Kind::Not(of) | Kind::Negative(of) => of.is_constant(),
            Kind::Both(left, right)
            | Kind::BothConstants(left, right)
            | Kind::Either(left, right)
            | Kind::Binary(_, left, right) => left.is_constant() && right.is_constant(),
            Kind::Compare(first, rest) => {
                first.is_constant() && rest.iter().all(|(_, right)| right.is_constant())
            }
            Kind::Name(_)
            | Kind::Loop(_)
            | Kind::Attribute(..)
            | Kind::Item(..)
            | Kind::Slice { .. }
            | Kind::Choice { .. }
            | Kind::Filter { .. }
            | Kind::Test { .. }
            | Kind::Range(_)
            | Kind::Cycle(_) => false,
        }
    }
}

/// The variables of `loop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoopField {
    Index,
    Index0,
    RevIndex,
    RevIndex0,
    First,
    Last,
    Length,
}

impl LoopField {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "index" => Self::Index,
            "index0" => Self::Index0,
            "revindex" => Self::RevIndex,
            "revindex0" => Self::RevIndex0,
            "first" => Self::First,
            "last" => Self::Last,
            "length" => Self::Length,
            _ => return None,
        })
    }
}

/// Operators that combine two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
    Concat,
}

/// Comparisons of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}
