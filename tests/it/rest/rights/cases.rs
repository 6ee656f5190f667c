//! Requests from the OpenAPI document: for each operation, and for each place of it that names a
//! resource, one request with another user's and some with what was never made.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Caller, ENDPOINT, World};

/// One request, and the ids in it, as its answer may repeat them.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    path: String,
    query: Vec<(String, String)>,
    pub(super) body: Option<Value>,
    pub(super) ids: Vec<String>,
}

impl Request {
    pub(super) fn new(method: Method, path: &str, body: Option<Value>) -> Self {
        Self { method, path: path.to_owned(), query: Vec::new(), body, ids: Vec::new() }
    }

    pub(super) fn target(&self) -> String {
        let query: Vec<String> =
            self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}?{}", self.path, query.join("&"))
    }
}

/// An operation with one of the places that name a resource.
pub(super) struct Case {
    pub(super) method: Method,
    /// As the document has it.
    pub(super) path: String,
    /// `none`, `path`, `query:NAME`, or `body:NAME`.
    pub(super) slot: String,
    pub(super) foreign: Request,
    pub(super) never: Vec<Request>,
}

impl Case {
    pub(super) fn name(&self) -> String {
        format!("{} {} {}", self.method, self.path, self.slot)
    }

    /// What makes later requests fail comes later.
    pub(super) fn harm(&self) -> u8 {
        match (self.method.as_str(), self.path.as_str()) {
            (_, path) if path.ends_with("/drain/") => 5,
            (_, path) if path.ends_with("/logout/") => 4,
            (_, path) if path.ends_with("/restart/") => 3,
            ("DELETE", _) => 2,
            ("GET" | "HEAD", _) => 0,
            _ => 1,
        }
    }
}

/// What a place names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ticket,
    Project,
    User,
    Developer,
    Developers,
    Recipients,
    Notification,
    /// A list of them.
    Notifications,
    Webhook,
    Delivery,
    Send,
    Event,
    Actor,
    Node,
    Endpoint,
    Refresh,
    /// No resource: filled with the same value for all.
    Plain(&'static str),
    /// No resource, and not filled.
    Unused,
}

/// What a parameter or a field names. `None`: the generator does not know it.
fn kind(path: &str, place: &str, name: &str) -> Option<Kind> {
    let resource = path.split('/').nth(2).unwrap_or_default();
    Some(match (place, name) {
        ("path", "id") => match resource {
            "tickets" => Kind::Ticket,
            "projects" => Kind::Project,
            "users" => Kind::User,
            "notifications" => Kind::Notification,
            "webhooks" => Kind::Webhook,
            "deliveries" => Kind::Delivery,
            "scheduled" => Kind::Send,
            _ => return None,
        },
        ("path", "event") => Kind::Event,
        ("path", "channel") => Kind::Plain("EMAIL"),
        ("path", "session") => Kind::Plain("1"),
        ("path", "locale") => Kind::Plain("en"),
        ("path", "path") => Kind::Actor,
        ("path", "name") | ("query", "node") => Kind::Node,
        // The ticket of a socket, not of a project.
        ("query", "ticket" | "token") if path.ends_with("/stream/") => Kind::Unused,
        ("query" | "body", "ticket") => Kind::Ticket,
        ("query" | "body", "project") => Kind::Project,
        ("path" | "query" | "body", "user") => Kind::User,
        ("query", "assigned_to" | "created_by") => Kind::Developer,
        ("body", "developers") => Kind::Developers,
        ("query" | "body", "ids") => Kind::Notifications,
        ("body", "recipients") => Kind::Recipients,
        ("body", "endpoint") => Kind::Endpoint,
        ("body", "refresh") => Kind::Refresh,
        ("query", "event" | "from" | "to" | "format" | "status" | "channel" | "page")
        | ("query", "page_size" | "notification_type" | "type")
        | ("query" | "body", "is_read" | "since_seq" | "up_to")
        | (
            "query",
            "lastEventId" | "Last-Event-ID" | "dialect" | "since" | "epoch" | "replay" | "children"
            | "priority",
        )
        | (
            "query",
            "search" | "text" | "ordering" | "role" | "action" | "after" | "kind" | "limit",
        )
        | ("body", "current_password" | "new_password" | "notification_type" | "steps")
        | ("body", "action_url" | "channels" | "critical" | "event" | "message" | "metadata")
        | ("body", "priority" | "send_at" | "title" | "type" | "email_digest" | "events")
        | (
            "body",
            "locale" | "timezone" | "quiet_hours" | "key" | "name" | "keys" | "html" | "subject",
        )
        | ("body", "text" | "category" | "description" | "version" | "body" | "reason")
        | ("body", "username" | "password" | "email" | "full_name" | "phone" | "role")
        | ("body", "whatsapp_number" | "is_active" | "url" | "state" | "for_s") => Kind::Unused,
        _ => return None,
    })
}

/// A body that the hub takes, by its schema.
fn body(schema: &str, world: &World) -> Option<Value> {
    Some(match schema {
        "PasswordChange" => json!({"current_password": "wrong one", "new_password": "battery st"}),
        "Logout" | "MarkSelection" | "ProfileEdit" | "TicketEdit" | "UserEdit"
        | "WebhookChanges" | "TemplateChanges" => json!({}),
        "WatchedFor" => json!({}),
        "CircuitByHand" => json!({"state": "closed"}),
        "NewEscalation" => json!({"steps": [{"channel": "EMAIL", "after_s": 60}]}),
        "NewSend" => json!({"recipients": [world.owner()], "title": "T", "message": "M"}),
        "PreferenceChanges" => json!({"email_digest": "off"}),
        "NewProject" => json!({"key": "NEW", "name": "New"}),
        "NewMember" => json!({"user": world.owner()}),
        "NewSubscription" => {
            json!({"endpoint": "https://push.example.com/a", "keys": {"p256dh": "x", "auth": "x"}})
        }
        "SubscribedBrowser" => json!({"endpoint": "https://push.example.com/none"}),
        "NewTemplate" => json!({"subject": "S", "text": "T"}),
        "NewTicket" => json!({"title": "T"}),
        "Assignment" => json!({"developers": [world.developer()]}),
        "NewComment" => json!({"body": "@carl"}),
        "Rejection" => json!({"reason": "R"}),
        "SeenTicket" => json!({}),
        "UserState" => json!({"username": "brought"}),
        "NewUser" => json!({"username": "new-one", "password": "correct horse"}),
        "NewWebhook" => json!({"url": "https://hooks.example.com/a"}),
        _ => return None,
    })
}

/// Another user's resource of a kind, or one that was never made; as a path or query has it, and
/// as a body has it.
fn values(kind: Kind, world: &World, is_foreign: bool) -> (String, Value) {
    let number = |id: i64| {
        let id = if is_foreign { id } else { 471_100 };
        (id.to_string(), json!(id))
    };
    let text = |foreign: &str, never: &str| {
        let text = if is_foreign { foreign } else { never };
        (text.to_owned(), json!(text))
    };
    match kind {
        Kind::Ticket => number(world.ticket),
        Kind::Project => number(world.project),
        Kind::User => number(world.owner()),
        Kind::Developer => number(world.developer()),
        Kind::Developers => {
            let (text, id) = number(world.developer());
            (text, json!([id]))
        }
        Kind::Recipients => {
            let (text, id) = number(world.owner());
            (text, json!([id]))
        }
        Kind::Notification => number(world.notification),
        Kind::Notifications => {
            let (text, id) = number(world.notification);
            (text, json!([id]))
        }
        Kind::Webhook => number(world.webhook),
        Kind::Delivery => number(world.delivery),
        Kind::Send => number(world.send),
        Kind::Event => text("mentioned", "never_made"),
        Kind::Actor => text("users/0", "users/4711"),
        Kind::Node => text(world.hub().nodes().name().as_str(), "never-made"),
        Kind::Endpoint => text(ENDPOINT, "https://push.example.com/none"),
        Kind::Refresh => text(&world.refresh, &world.no_login),
        Kind::Plain(value) => text(value, value),
        Kind::Unused => (String::new(), Value::Null),
    }
}

/// One operation of the document, being filled.
struct Operation<'a> {
    method: Method,
    path: &'a str,
    /// The names and kinds in the path.
    names: Vec<(String, Kind)>,
    body: Option<Value>,
    world: &'a World,
}

impl Operation<'_> {
    /// The request with the path's resources as chosen: by name, whether another user's.
    fn request(&self, is_foreign: impl Fn(&str) -> bool) -> Request {
        let mut path = self.path.to_owned();
        let mut ids = Vec::new();
        for (name, kind) in &self.names {
            let (value, _) = values(*kind, self.world, is_foreign(name));
            path = path.replace(&format!("{{{name}}}"), &value);
            ids.push(value);
        }
        let body = self.body.clone();
        Request { method: self.method.clone(), path, query: Vec::new(), body, ids }
    }

    /// On a ticket of the caller's own, where it is about one: what else it names is looked at only
    /// there.
    fn at_home(&self, caller: &Caller) -> Request {
        let mut request = self.request(|_| true);
        if let (Some(own), [(name, Kind::Ticket)]) = (caller.ticket, &self.names[..]) {
            request.path = self.path.replace(&format!("{{{name}}}"), &own.to_string());
        }
        request
    }

    fn case(&self, slot: String, foreign: Request, never: Vec<Request>) -> Case {
        Case { method: self.method.clone(), path: self.path.to_owned(), slot, foreign, never }
    }

    /// Its cases: the path's resources, all and each never made; then each of the others.
    fn cases(
        &self,
        caller: &Caller,
        queries: &[(String, Kind)],
        fields: &[(String, Kind)],
    ) -> Vec<Case> {
        let foreign = self.request(|_| true);
        let mut all = vec![if self.names.is_empty() {
            self.case("none".to_owned(), foreign, Vec::new())
        } else {
            let each = self.names.iter().map(|(never, _)| self.request(|name| name != never));
            let never = each.chain([self.request(|_| false)]).collect();
            self.case("path".to_owned(), foreign, never)
        }];
        for (name, kind) in queries {
            let with = |is_foreign| {
                let (value, _) = values(*kind, self.world, is_foreign);
                let mut request = self.at_home(caller);
                request.ids.push(value.clone());
                request.query.push((name.clone(), value));
                request
            };
            all.push(self.case(format!("query:{name}"), with(true), vec![with(false)]));
        }
        for (name, kind) in fields {
            let with = |is_foreign| {
                let (text, value) = values(*kind, self.world, is_foreign);
                let mut request = self.at_home(caller);
                request.ids.push(text);
                request.body.get_or_insert_with(|| json!({}))[name] = value;
                request
            };
            all.push(self.case(format!("body:{name}"), with(true), vec![with(false)]));
        }
        all
    }
}

/// The kinds of parameters or fields that name a resource.
fn resources<'a>(
    operation: &str,
    path: &str,
    place: &str,
    names: impl Iterator<Item = &'a str>,
) -> Vec<(String, Kind)> {
    let known = names.map(|name| {
        let unknown = || panic!("{operation}: the generator does not know {name} of its {place}");
        (name.to_owned(), kind(path, place, name).unwrap_or_else(unknown))
    });
    known.filter(|(_, kind)| *kind != Kind::Unused).collect()
}

/// All cases of a document, for a caller.
pub(super) fn cases(document: &Value, world: &World, caller: &Caller) -> Vec<Case> {
    let mut all = Vec::new();
    for (path, method, operation) in operations(document) {
        if is_open(operation) {
            continue;
        }
        let name = format!("{method} {path}");
        let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let named = |place: &'static str| {
            let of = parameters.iter().filter(move |one| one["in"] == place);
            of.map(|one| one["name"].as_str().unwrap())
        };
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let schema = schema.as_str().map(|name| name.rsplit('/').next().unwrap());
        assert_eq!(schema.is_some(), operation["requestBody"].is_object(), "{name}: its body");
        let base = schema.map(|schema| {
            let unknown = || panic!("{name}: the generator does not know a {schema}");
            body(schema, world).unwrap_or_else(unknown)
        });
        let properties = schema.map(|schema| &document["components"]["schemas"][schema]);
        let fields = properties.and_then(|schema| schema["properties"].as_object());
        let fields = fields.into_iter().flat_map(|fields| fields.keys().map(String::as_str));
        let fields = resources(&name, path, "body", fields);
        let queries = resources(&name, path, "query", named("query"));
        let names = resources(&name, path, "path", named("path"));
        let one = Operation { method, path, names, body: base, world };
        all.extend(one.cases(caller, &queries, &fields));
    }
    all
}

/// Requests with a text in the place of each parameter and of each field.
pub(super) fn with_text(
    document: &Value,
    world: &World,
    caller: &Caller,
    text: &str,
) -> Vec<Request> {
    let mut all = Vec::new();
    for case in cases(document, world, caller).iter().filter(|case| case.harm() < 4) {
        if case.slot != "path" && case.slot != "none" {
            continue;
        }
        let operation = &document["paths"][&case.path][case.method.as_str().to_lowercase()];
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            let mut request = case.foreign.clone();
            let encoded = text.replace('<', "%3C").replace('>', "%3E").replace('/', "%2F");
            match parameter["in"].as_str() {
                Some("path") => {
                    request.path = case.path.replace(&format!("{{{name}}}"), &encoded);
                }
                Some("query") => request.query.push((name.to_owned(), encoded)),
                _ => continue,
            }
            all.push(request);
        }
        for (name, _) in case.foreign.body.iter().filter_map(Value::as_object).flatten() {
            for value in [json!(text), json!([text]), json!({ text: text })] {
                let mut request = case.foreign.clone();
                request.body.get_or_insert_default()[name] = value;
                all.push(request);
            }
        }
        if case.foreign.body.is_some() {
            let mut request = case.foreign.clone();
            request.body.get_or_insert_default()[text] = json!(1);
            all.push(request);
        }
    }
    all
}

/// The operations that ask for no token.
pub(super) fn open_operations(document: &Value) -> BTreeSet<String> {
    let open = operations(document).filter(|(_, _, operation)| is_open(operation));
    open.map(|(path, method, _)| format!("{method} {path}")).collect()
}

fn is_open(operation: &Value) -> bool {
    operation["security"] == json!([{}])
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, Method, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            (path.as_str(), method, operation)
        })
    })
}
