//! Converts minijinja's syntax tree to [`Tree`]; constructs without a bound are refused by name and
//! line.
//!
//! minijinja's own virtual machine limits steps, but not the memory or the time of one step: a
//! variable that is doubled thirty times is a gigabyte. So only its parser is used. Refused are:
//! blocks that capture text (`{% set x %}…{% endset %}`, `{% filter %}`), mutable objects
//! (`namespace`), calls of anything but `range` and `loop.cycle`, recursive loops, maps, and
//! filters and tests that are not listed.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the parser's many tokens and expressions few count in each place; `kind` has all"
)]

use std::collections::{BTreeSet, HashSet};

use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, UnaryOpKind};
use minijinja::machinery::{Token, WhitespaceConfig, parse, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::budget::Fault;
use super::filters::{FILTERS, TESTS};
use super::tree::{Expr, For, Kind, LoopField, Node, Operator, Relation, Target, Tree};

/// The functions of a template's environment in minijinja; here only `range` can be called.
const FUNCTIONS: [&str; 4] = ["range", "dict", "debug", "namespace"];

/// The most tokens of one tag. An expression's depth is at most its number of tokens, and it is
/// walked recursively: the parser's own depth limit ignores chains (`a.b.c.d`).
const TOKENS_MAX: usize = 256;
/// The most `elif` branches of a template: each is nested in the one before.
const ELIFS_MAX: usize = 32;
/// How deeply statements may be nested.
const DEPTH_MAX: usize = 32;

const WHITESPACE: WhitespaceConfig =
    WhitespaceConfig { keep_trailing_newline: true, lstrip_blocks: false, trim_blocks: false };

impl Tree {
    /// Parses a part.
    ///
    /// # Errors
    /// The first invalid or unavailable construct, with its line.
    pub(in super::super) fn parse(source: &str) -> Result<Self, Fault> {
        check_tokens(source)?;
        let parsed = parse(source, "template", SyntaxConfig, WHITESPACE)?;
        let ast::Stmt::Template(template) = parsed else {
            return Err(Fault::new("it is not a template"));
        };
        let mut lowering =
            Lowering { scopes: vec![HashSet::new()], free: BTreeSet::new(), depth: 0, loops: 0 };
        let body = lowering.body(&template.children)?;
        Ok(Self { body, free: lowering.free })
    }
}

/// Limits the depth of the tree before the parser builds it.
fn check_tokens(source: &str) -> Result<(), Fault> {
    let (mut in_tag, mut elifs) = (0, 0);
    // Invalid tokens are reported by the parser.
    for (token, span) in tokenize(source, false, SyntaxConfig, WHITESPACE).map_while(Result::ok) {
        in_tag = match token {
            Token::VariableStart | Token::BlockStart | Token::TemplateData(_) => 0,
            Token::Ident("elif") => {
                elifs += 1;
                in_tag + 1
            }
            _ => in_tag + 1,
        };
        if in_tag > TOKENS_MAX || elifs > ELIFS_MAX {
            let problem = match elifs > ELIFS_MAX {
                true => format!("there are more than {ELIFS_MAX} elif"),
                false => "this expression is too long: divide it by {% set %}".to_owned(),
            };
            return Err(Fault::new(problem).at(span.start_line.into()));
        }
    }
    Ok(())
}

fn unavailable(what: &str, line: u16) -> Fault {
    Fault::new(format!("{what} is not available in templates")).at(line.into())
}

struct Lowering {
    /// The bound names, innermost scope last.
    scopes: Vec<HashSet<String>>,
    free: BTreeSet<String>,
    depth: usize,
    /// How many loops the current statement is inside of.
    loops: usize,
}

impl Lowering {
    fn body(&mut self, statements: &[ast::Stmt<'_>]) -> Result<Vec<Node>, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::new(format!("statements are more than {DEPTH_MAX} deep")));
        }
        let nodes = statements.iter().map(|one| self.statement(one)).collect();
        self.depth -= 1;
        nodes
    }

    /// A body with its own scope.
    fn scoped(&mut self, statements: &[ast::Stmt<'_>]) -> Result<Vec<Node>, Fault> {
        let nodes = self.body(statements);
        self.scopes.pop();
        nodes
    }

    fn statement(&mut self, statement: &ast::Stmt<'_>) -> Result<Node, Fault> {
        Ok(match statement {
            ast::Stmt::EmitRaw(raw) => Node::Text(raw.raw.into()),
            ast::Stmt::EmitExpr(shown) => Node::Show(self.expr(&shown.expr)?),
            ast::Stmt::IfCond(cond) => Node::If {
                test: self.expr(&cond.expr)?,
                then: self.body(&cond.true_body)?,
                otherwise: self.body(&cond.false_body)?,
            },
            ast::Stmt::ForLoop(found) => self.for_loop(found)?,
            ast::Stmt::WithBlock(with) => {
                self.scopes.push(HashSet::new());
                let names = with.assignments.iter().map(|(target, value)| {
                    let value = self.expr(value)?;
                    Ok((self.target(target)?, value))
                });
                let names = names.collect::<Result<_, Fault>>()?;
                Node::With { names, body: self.scoped(&with.body)? }
            }
            ast::Stmt::Set(set) => {
                let value = self.expr(&set.expr)?;
                Node::Set(self.target(&set.target)?, value)
            }
            ast::Stmt::SetBlock(set) => {
                return Err(unavailable("{% set %} of a block", set.span().start_line));
            }
            ast::Stmt::FilterBlock(block) => {
                return Err(unavailable("{% filter %}", block.span().start_line));
            }
            ast::Stmt::AutoEscape(block) => {
                return Err(unavailable("{% autoescape %}", block.span().start_line));
            }
            ast::Stmt::Do(call) => return Err(unavailable("{% do %}", call.span().start_line)),
            ast::Stmt::Template(_) => return Err(Fault::new("it is not a template")),
        })
    }

    fn for_loop(&mut self, found: &ast::Spanned<ast::ForLoop<'_>>) -> Result<Node, Fault> {
        if found.recursive {
            return Err(unavailable("a recursive loop", found.span().start_line));
        }
        let items = self.expr(&found.iter)?;
        self.scopes.push(HashSet::new());
        let target = self.target(&found.target)?;
        let keep = found.filter_expr.as_ref().map(|keep| self.expr(keep)).transpose()?;
        self.loops += 1;
        let body = self.scoped(&found.body)?;
        self.loops -= 1;
        let otherwise = self.body(&found.else_body)?;
        Ok(Node::For(Box::new(For { target, items, keep, body, otherwise })))
    }

    fn target(&mut self, target: &ast::Expr<'_>) -> Result<Target, Fault> {
        match target {
            ast::Expr::Var(var) => {
                if let Some(scope) = self.scopes.last_mut() {
                    scope.insert(var.id.to_owned());
                }
                Ok(Target::Name(var.id.into()))
            }
            ast::Expr::List(list) => {
                let targets = list.items.iter().map(|one| self.target(one));
                targets.collect::<Result<_, _>>().map(Target::Each)
            }
            other => Err(unavailable("setting an attribute", other.span().start_line)),
        }
    }

    fn expr(&mut self, expr: &ast::Expr<'_>) -> Result<Expr, Fault> {
        let line = expr.span().start_line;
        let kind = self.kind(expr, line)?;
        Ok(Expr { line, kind })
    }

    fn boxed(&mut self, expr: &ast::Expr<'_>) -> Result<Box<Expr>, Fault> {
        self.expr(expr).map(Box::new)
    }

    fn maybe(&mut self, expr: Option<&ast::Expr<'_>>) -> Result<Option<Box<Expr>>, Fault> {
        expr.map(|expr| self.boxed(expr)).transpose()
    }

    fn all(&mut self, exprs: &[ast::Expr<'_>]) -> Result<Vec<Expr>, Fault> {
        exprs.iter().map(|one| self.expr(one)).collect()
    }

    fn kind(&mut self, expr: &ast::Expr<'_>, line: u16) -> Result<Kind, Fault> {
        if let Some(path) = free_path(expr, &self.scopes) {
            self.free.insert(path);
        }
        Ok(match expr {
            ast::Expr::Var(var) if var.id == "loop" => {
                return Err(unavailable("loop by itself", line));
            }
            ast::Expr::Var(var) if FUNCTIONS.contains(&var.id) && !self.is_bound(var.id) => {
                return Err(unavailable(&format!("{} without a call", var.id), line));
            }
            ast::Expr::Var(var) => Kind::Name(var.id.into()),
            ast::Expr::Const(found) => Kind::Const(found.value.clone()),
            ast::Expr::GetAttr(get) if is_loop(&get.expr) => {
                self.must_loop(line)?;
                let field = LoopField::from_name(get.name);
                Kind::Loop(field.ok_or_else(|| unavailable(&format!("loop.{}", get.name), line))?)
            }
            ast::Expr::GetAttr(get) => Kind::Attribute(self.of(&get.expr)?, get.name.into()),
            ast::Expr::GetItem(get) => {
                Kind::Item(self.boxed(&get.expr)?, self.boxed(&get.subscript_expr)?)
            }
            ast::Expr::Slice(slice) => {
                if slice.step.is_some() {
                    return Err(unavailable("a slice's step", line));
                }
                let of = self.boxed(&slice.expr)?;
                let (from, to) =
                    (self.maybe(slice.start.as_ref())?, self.maybe(slice.stop.as_ref())?);
                Kind::Slice { of, from, to }
            }
            ast::Expr::UnaryOp(unary) => match unary.op {
                UnaryOpKind::Not => Kind::Not(self.boxed(&unary.expr)?),
                UnaryOpKind::Neg => Kind::Negative(self.boxed(&unary.expr)?),
            },
            ast::Expr::BinOp(binary) => self.binary(binary)?,
            ast::Expr::Compare(compare) => {
                let first = self.boxed(&compare.expr)?;
                let rest =
                    compare.ops.iter().map(|one| Ok((relation(one.op), self.expr(&one.expr)?)));
                Kind::Compare(first, rest.collect::<Result<_, Fault>>()?)
            }
            ast::Expr::IfExpr(choice) => Kind::Choice {
                test: self.boxed(&choice.test_expr)?,
                then: self.boxed(&choice.true_expr)?,
                otherwise: self.maybe(choice.false_expr.as_ref())?,
            },
            ast::Expr::Filter(filter) => self.filter(filter, line)?,
            ast::Expr::Test(test) => {
                if !TESTS.contains(&test.name) {
                    return Err(unavailable(&format!("the test {}", test.name), line));
                }
                let mut args = vec![self.expr(&test.expr)?];
                args.extend(self.positional(&test.args, line)?);
                Kind::Test { name: test.name.into(), args }
            }
            ast::Expr::Call(call) => self.call(call, line)?,
            ast::Expr::List(list) => Kind::List(self.all(&list.items)?),
            ast::Expr::Map(_) => return Err(unavailable("a map", line)),
        })
    }

    /// The object of an attribute; its path is already known from the attribute.
    fn of(&mut self, expr: &ast::Expr<'_>) -> Result<Box<Expr>, Fault> {
        let line = expr.span().start_line;
        let kind = match expr {
            ast::Expr::Var(var) if !FUNCTIONS.contains(&var.id) => Kind::Name(var.id.into()),
            ast::Expr::GetAttr(get) if !is_loop(&get.expr) => {
                Kind::Attribute(self.of(&get.expr)?, get.name.into())
            }
            other => return self.boxed(other),
        };
        Ok(Box::new(Expr { line, kind }))
    }

    fn binary(&mut self, binary: &ast::BinOp<'_>) -> Result<Kind, Fault> {
        let (left, right) = (self.boxed(&binary.left)?, self.boxed(&binary.right)?);
        let compare =
            |left, relation, right: Box<Expr>| Kind::Compare(left, vec![(relation, *right)]);
        let operator = match binary.op {
            BinOpKind::ScAnd if left.is_constant() && right.is_constant() => {
                return Ok(Kind::BothConstants(left, right));
            }
            BinOpKind::ScAnd => return Ok(Kind::Both(left, right)),
            BinOpKind::ScOr => return Ok(Kind::Either(left, right)),
            BinOpKind::Eq => return Ok(compare(left, Relation::Equal, right)),
            BinOpKind::Ne => return Ok(compare(left, Relation::NotEqual, right)),
            BinOpKind::Lt => return Ok(compare(left, Relation::Less, right)),
            BinOpKind::Lte => return Ok(compare(left, Relation::LessOrEqual, right)),
            BinOpKind::Gt => return Ok(compare(left, Relation::Greater, right)),
            BinOpKind::Gte => return Ok(compare(left, Relation::GreaterOrEqual, right)),
            BinOpKind::In => return Ok(compare(left, Relation::In, right)),
            BinOpKind::Add => Operator::Add,
            BinOpKind::Sub => Operator::Subtract,
            BinOpKind::Mul => Operator::Multiply,
            BinOpKind::Div => Operator::Divide,
            BinOpKind::FloorDiv => Operator::FloorDivide,
            BinOpKind::Rem => Operator::Remainder,
            BinOpKind::Pow => Operator::Power,
            BinOpKind::Concat => Operator::Concat,
        };
        Ok(Kind::Binary(operator, left, right))
    }

    fn filter(&mut self, found: &ast::Filter<'_>, line: u16) -> Result<Kind, Fault> {
        let filter = FILTERS.iter().find(|one| one.name == found.name);
        let filter =
            filter.ok_or_else(|| unavailable(&format!("the filter {}", found.name), line))?;
        let Some(of) = &found.expr else {
            return Err(unavailable("a filter of nothing", line));
        };
        let (mut args, mut named) = (vec![self.expr(of)?], Vec::new());
        for arg in &found.args {
            match arg {
                CallArg::Pos(value) => args.push(self.expr(value)?),
                CallArg::Kwarg(name, value) if filter.names.contains(name) => {
                    named.push(((*name).into(), self.expr(value)?));
                }
                CallArg::Kwarg(name, _) => {
                    let what = format!("the argument {name} of the filter {}", filter.name);
                    return Err(unavailable(&what, line));
                }
                CallArg::PosSplat(_) | CallArg::KwargSplat(_) => {
                    return Err(unavailable("*", line));
                }
            }
        }
        if args.len() > filter.args_max + 1 {
            let problem = format!("the filter {} takes {} arguments", filter.name, filter.args_max);
            return Err(Fault::new(problem).at(line.into()));
        }
        Ok(Kind::Filter { filter, args, named })
    }

    fn call(&mut self, call: &ast::Call<'_>, line: u16) -> Result<Kind, Fault> {
        match &call.expr {
            ast::Expr::Var(var) if var.id == "range" && !self.is_bound("range") => {
                Ok(Kind::Range(self.positional(&call.args, line)?))
            }
            ast::Expr::GetAttr(get) if is_loop(&get.expr) && get.name == "cycle" => {
                self.must_loop(line)?;
                Ok(Kind::Cycle(self.positional(&call.args, line)?))
            }
            ast::Expr::Var(var) => Err(unavailable(&format!("the function {}", var.id), line)),
            ast::Expr::GetAttr(get) => Err(unavailable(&format!("the method {}", get.name), line)),
            _ => Err(unavailable("this call", line)),
        }
    }

    fn positional(&mut self, args: &[CallArg<'_>], line: u16) -> Result<Vec<Expr>, Fault> {
        let one = |arg: &CallArg<'_>| match arg {
            CallArg::Pos(value) => self.expr(value),
            CallArg::Kwarg(name, _) => Err(unavailable(&format!("the argument {name}"), line)),
            CallArg::PosSplat(_) | CallArg::KwargSplat(_) => Err(unavailable("*", line)),
        };
        args.iter().map(one).collect()
    }

    /// Refuses `loop` outside of a loop, where it would be nothing.
    fn must_loop(&self, line: u16) -> Result<(), Fault> {
        if self.loops == 0 { Err(unavailable("loop outside of a loop", line)) } else { Ok(()) }
    }

    fn is_bound(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }
}

fn is_loop(expr: &ast::Expr<'_>) -> bool {
    matches!(expr, ast::Expr::Var(var) if var.id == "loop")
}

/// The path of a free variable (`ticket.key`), if the expression is one.
fn free_path(expr: &ast::Expr<'_>, scopes: &[HashSet<String>]) -> Option<String> {
    match expr {
        ast::Expr::Var(var) => {
            let is_own = scopes.iter().any(|scope| scope.contains(var.id)) || var.id == "loop";
            (!is_own).then(|| var.id.to_owned())
        }
        ast::Expr::GetAttr(get) => Some(format!("{}.{}", free_path(&get.expr, scopes)?, get.name)),
        _ => None,
    }
}

fn relation(kind: CompareOpKind) -> Relation {
    match kind {
        CompareOpKind::Eq => Relation::Equal,
        CompareOpKind::Ne => Relation::NotEqual,
        CompareOpKind::Lt => Relation::Less,
        CompareOpKind::Lte => Relation::LessOrEqual,
        CompareOpKind::Gt => Relation::Greater,
        CompareOpKind::Gte => Relation::GreaterOrEqual,
        CompareOpKind::In => Relation::In,
        CompareOpKind::NotIn => Relation::NotIn,
    }
}
