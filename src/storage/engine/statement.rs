//! A statement with its parameters, and statements that are put together.

use std::fmt::Write;

use super::{Sql, Value};

/// A text of either kind.
#[derive(Debug, Clone)]
pub(super) enum Text {
    Fixed(&'static Sql),
    Made { sqlite: String, postgres: String },
}

/// A statement with its parameters.
#[derive(Debug, Clone)]
pub(in super::super) struct Statement {
    pub(super) text: Text,
    pub(super) values: Vec<Value<'static>>,
}

impl Statement {
    pub(in super::super) fn new(sql: &'static Sql, values: &[Value<'_>]) -> Self {
        Self { text: Text::Fixed(sql), values: values.iter().map(Value::to_static).collect() }
    }

    pub(in super::super) fn sqlite(&self) -> &str {
        match &self.text {
            Text::Fixed(sql) => sql.sqlite(),
            Text::Made { sqlite, .. } => sqlite,
        }
    }

    pub(super) fn postgres(&self) -> &str {
        match &self.text {
            Text::Fixed(sql) => sql.postgres(),
            Text::Made { postgres, .. } => postgres,
        }
    }
}

/// A statement whose conditions depend on what is asked for. Where the databases differ, both ways
/// stand in braces, as in [`super::sql`].
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Build {
    text: String,
    values: Vec<Value<'static>>,
}

impl Build {
    pub(in super::super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    /// Appends a text.
    pub(in super::super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends a parameter.
    pub(in super::super) fn bind<'a>(&mut self, value: impl Into<Value<'a>>) -> &mut Self {
        self.values.push(value.into().to_static());
        // Writing to a text does not fail.
        let _ = write!(self.text, "${}", self.values.len());
        self
    }

    /// The whole.
    pub(in super::super) fn done(self) -> Statement {
        let (sqlite, postgres) = super::sql::both(&self.text);
        Statement { text: Text::Made { sqlite, postgres }, values: self.values }
    }
}
