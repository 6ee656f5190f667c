//! `/api/analytics/`: delivery statistics for admins, as JSON or CSV.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bellpull_domain::routing::Channel;
use bellpull_port::analytics::{REPORT_ROWS_MAX, ReportFilter, ReportRow};
use bellpull_port::{Clock, ReportStore};
use jiff::{SignedDuration, Timestamp};
use utoipa_axum::routes;

use super::error::ApiError;
use super::openapi as doc;
use super::query::{EVENT_MAX, Params, moment};
use super::responses as res;
use super::routes::Routes;
use super::who::Admin;
use bellpull_edge::accept::{media_type, named_type};

/// The default range.
const RANGE_DEFAULT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The longest range: a leap year.
const RANGE_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(report))
}

/// The format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
}

impl Format {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// The format that the `Accept` header asks for.
    fn accepted(headers: &HeaderMap) -> Self {
        const JSON: &str = "application/json";
        let csv = named_type(headers, "text/csv").unwrap_or_default();
        let json = media_type(headers, JSON);
        let is_tie = csv == json && named_type(headers, JSON).is_none();
        if csv > 0 && (csv > json || is_tie) { Self::Csv } else { Self::Json }
    }
}

/// Delivery statistics for the notifications created in a range of time, by event and channel:
/// queued, sent, failed, suppressed, read, and the times taken. As CSV with `format=csv` or
/// `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/analytics/", tag = "Analytics", params(doc::AnalyticsFilters),
    responses(
        (status = 200, description = "The figures.", content(
            (res::Analytics = "application/json"),
            (String = "text/csv"),
        )),
        (status = 403, description = "For admins."),
    )
)]
async fn report(
    State(store): State<Arc<dyn ReportStore>>,
    State(clock): State<Arc<dyn Clock>>,
    _: Admin,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let to = params.parsed("to", |text| moment(text, 1)).unwrap_or_else(|| clock.now());
    let from = params.parsed("from", |text| moment(text, 0));
    let from = from.unwrap_or_else(|| to.saturating_sub(RANGE_DEFAULT).unwrap_or(Timestamp::MIN));
    let event = params.bounded("event", EVENT_MAX);
    let channel = params.choice("channel", Channel::from_name);
    let format = params.choice("format", Format::from_name);
    params.finish()?;
    if from >= to {
        return Err(ApiError::field("from", "Must be before to."));
    }
    if to.duration_since(from) > RANGE_MAX {
        return Err(ApiError::field("from", "Must be no more than 366 days before to."));
    }
    let rows = store.report(ReportFilter { from, to, event, channel }).await?;
    let rows = rows.ok_or_else(|| {
        let text = format!(
            "That is too much for one report (or more than {REPORT_ROWS_MAX} rows): choose a \
             shorter range, an event or a channel."
        );
        ApiError::field("from", text)
    })?;
    match format.unwrap_or_else(|| Format::accepted(&headers)) {
        Format::Json => {
            let results = rows.into_iter().map(res::AnalyticsRow::from).collect();
            Ok(Json(res::Analytics { from, to, results }).into_response())
        }
        Format::Csv => {
            let headers = [
                (CONTENT_TYPE, "text/csv; charset=utf-8"),
                (CONTENT_DISPOSITION, "attachment; filename=\"analytics.csv\""),
            ];
            Ok((headers, csv(&rows)).into_response())
        }
    }
}

fn held_back(row: &ReportRow) -> i64 {
    row.suppressed.iter().map(|(_, count)| count).sum()
}

const COLUMNS: [&str; 12] = [
    "event",
    "channel",
    "queued",
    "sent",
    "failed",
    "suppressed",
    "suppressed_by",
    "delivered",
    "read_at_provider",
    "notifications_read",
    "time_to_read_p50_s",
    "time_to_read_p95_s",
];

/// The rows as CSV (RFC 4180).
fn csv(rows: &[ReportRow]) -> String {
    let mut text = COLUMNS.join(",") + "\r\n";
    for row in rows {
        let by_rule =
            row.suppressed.iter().map(|(rule, count)| format!("{}={count}", rule.as_str()));
        let by_rule = by_rule.collect::<Vec<_>>().join(" ");
        let seconds = |time: Option<i64>| time.map_or_else(String::new, |time| time.to_string());
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "{},{},{},{},{},{},{},{},{},{},{},{}\r\n",
            cell(&row.event),
            row.channel.as_str(),
            row.queued,
            row.sent,
            row.failed,
            held_back(row),
            cell(&by_rule),
            row.delivered,
            row.read_there,
            row.read,
            seconds(row.read_p50_s),
            seconds(row.read_p95_s),
        );
    }
    text
}

/// A text in a CSV cell. Spreadsheets would evaluate a text that begins like a formula.
fn cell(text: &str) -> String {
    let is_formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let mark = if is_formula { "'" } else { "" };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use axum::http::header::ACCEPT;

    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_ends_early() {
        for (text, wanted) in [
            ("ticket_created", "\"ticket_created\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("-2+3", "\"'-2+3\""),
            ("+1", "\"'+1\""),
            ("a,b", "\"a,b\""),
        ] {
            assert_eq!(cell(text), wanted);
        }
    }

    #[test]
    fn a_table_is_for_those_who_prefer_it() {
        let of = |accept: &'static str| {
            Format::accepted(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]))
        };
        assert_eq!(of("text/csv"), Format::Csv);
        assert_eq!(of("Text/CSV;q=0.9, */*;q=0.8"), Format::Csv);
        assert_eq!(of("text/csv, */*"), Format::Csv);
        assert_eq!(of("application/json, text/csv"), Format::Json);
        assert_eq!(of("text/csv;q=0.9, */*"), Format::Json);
        assert_eq!(of("application/json;q=0.5, text/csv"), Format::Csv);
        assert_eq!(of("text/csv;q=0, */*"), Format::Json);
        assert_eq!(of("*/*"), Format::Json);
        assert_eq!(Format::accepted(&HeaderMap::new()), Format::Json);
    }
}
