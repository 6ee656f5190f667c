//! Parameters of statements.

use std::borrow::Cow;

use bellpull_domain::ids::{
    CommentId, DeliveryId, LinkId, LoginId, MessageId, NotificationId, ProjectId, SendId, Seq,
    TicketId, UserId, WebhookId,
};
use jiff::Timestamp;
use rusqlite::ToSql;
use rusqlite::types::{Null, ToSqlOutput};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;

/// A parameter. Each has a type, even where it is NULL.
#[derive(Debug, Clone)]
pub(in super::super) enum Value<'a> {
    /// An integer, a time in milliseconds, an id.
    Int(Option<i64>),
    /// A text.
    Text(Option<Cow<'a, str>>),
    /// A truth value.
    Flag(bool),
    /// Ids.
    Ids(Vec<i64>),
    /// Texts.
    Texts(Vec<String>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
}

type PgQuery<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

impl Value<'_> {
    /// The same, with texts of its own.
    pub(super) fn to_static(&self) -> Value<'static> {
        match self {
            Self::Int(value) => Value::Int(*value),
            Self::Text(value) => Value::Text(value.clone().map(|text| text.into_owned().into())),
            Self::Flag(value) => Value::Flag(*value),
            Self::Ids(value) => Value::Ids(value.clone()),
            Self::Texts(value) => Value::Texts(value.clone()),
            Self::Bytes(value) => Value::Bytes(value.clone().into_owned().into()),
        }
    }

    pub(super) fn bind_postgres<'q>(&'q self, query: PgQuery<'q>) -> PgQuery<'q> {
        match self {
            Self::Int(value) => query.bind(*value),
            Self::Text(value) => query.bind(value.as_deref()),
            Self::Flag(value) => query.bind(*value),
            Self::Ids(value) => query.bind(&value[..]),
            Self::Texts(value) => query.bind(&value[..]),
            Self::Bytes(value) => query.bind(&**value),
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Int(None) | Self::Text(None) => ToSqlOutput::from(Null),
            Self::Int(Some(value)) => ToSqlOutput::from(*value),
            Self::Text(Some(value)) => ToSqlOutput::from(&**value),
            Self::Flag(value) => ToSqlOutput::from(*value),
            Self::Ids(value) => ToSqlOutput::from(list(value)),
            Self::Texts(value) => ToSqlOutput::from(list(value)),
            Self::Bytes(value) => ToSqlOutput::from(&**value),
        })
    }
}

/// The JSON array that `json_each` reads.
fn list<T: Clone + Into<serde_json::Value>>(values: &[T]) -> String {
    serde_json::Value::from(values).to_string()
}

macro_rules! integers {
    ($($kind:ty: $value:ident => $int:expr),+ $(,)?) => {$(
        impl From<$kind> for Value<'_> {
            fn from($value: $kind) -> Self {
                Self::Int(Some($int))
            }
        }

        impl From<Option<$kind>> for Value<'_> {
            fn from(value: Option<$kind>) -> Self {
                Self::Int(value.map(|$value| $int))
            }
        }
    )+};
}

integers!(
    i64: value => value,
    u32: value => i64::from(value),
    u16: value => i64::from(value),
    Timestamp: value => value.as_millisecond(),
    UserId: value => value.0,
    ProjectId: value => value.0,
    TicketId: value => value.0,
    CommentId: value => value.0,
    NotificationId: value => value.0,
    MessageId: value => value.0,
    SendId: value => value.0,
    DeliveryId: value => value.0,
    WebhookId: value => value.0,
    LoginId: value => value.0,
    LinkId: value => value.0,
    Seq: value => value.0,
);

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Flag(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Some(Cow::Borrowed(value)))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::from(value.as_str())
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Some(Cow::Owned(value)))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(value: Option<&'a str>) -> Self {
        Self::Text(value.map(Cow::Borrowed))
    }
}

impl<'a> From<Option<&'a String>> for Value<'a> {
    fn from(value: Option<&'a String>) -> Self {
        Self::from(value.map(String::as_str))
    }
}

impl<'a> From<&'a Option<String>> for Value<'a> {
    fn from(value: &'a Option<String>) -> Self {
        Self::from(value.as_deref())
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(value: Option<String>) -> Self {
        Self::Text(value.map(Cow::Owned))
    }
}

impl From<Vec<String>> for Value<'_> {
    fn from(value: Vec<String>) -> Self {
        Self::Texts(value)
    }
}

impl From<Vec<i64>> for Value<'_> {
    fn from(value: Vec<i64>) -> Self {
        Self::Ids(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(value))
    }
}

/// The parameters of a statement, in the order of their numbers.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        &[$($crate::engine::Value::from($value)),*]
    };
}

pub(in super::super) use values;
