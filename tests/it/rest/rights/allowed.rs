//! The requests that succeed, each with the reason. An entry that is not needed fails the test.

use super::world::Role::{self, Admin, Client, Developer, Service, Student, SuperAdmin};

const USERS: &[Role] = &[Client, Student, Developer, Admin, SuperAdmin];
const ALL: &[Role] = &[Client, Student, Developer, Admin, SuperAdmin, Service];
const NO_ADMINS: &[Role] = &[Client, Student, Developer];
const ADMINS: &[Role] = &[Admin, SuperAdmin, Service];
const ADMINS_THEMSELVES: &[Role] = &[Admin, SuperAdmin];
const OPERATORS: &[Role] = &[SuperAdmin, Service];

/// What a success means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// It is about the caller's own: another user's resource is answered as one that does not
    /// exist.
    Own,
    /// The caller may see or change another user's resource.
    Sees,
}

/// Requests that succeed.
pub(super) struct Allowed {
    pub(super) roles: &'static [Role],
    pub(super) how: How,
    /// Method, path and slot.
    operations: &'static [&'static str],
    pub(super) why: &'static str,
}

impl Allowed {
    pub(super) fn covers(&self, role: Role, method: &str, path: &str, slot: &str) -> bool {
        let name = format!("{method} {path} {slot}");
        self.roles.contains(&role) && self.operations.contains(&name.as_str())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.operations.iter().map(|&name| name.to_owned())
    }
}

pub(super) const ALLOWED: &[Allowed] = &[
    Allowed {
        roles: ALL,
        how: How::Own,
        operations: &[
            "GET /api/auth/me/ none",
            "GET /api/notifications/ none",
            "HEAD /api/notifications/stream/ none",
            "GET /api/notifications/unread/ none",
            "GET /api/notifications/unread_count/ none",
            "GET /api/preferences/ none",
            "GET /api/webhooks/ none",
            "POST /api/notifications/mark_all_as_read/ none",
            "DELETE /api/notifications/delete-all/ none",
        ],
        why: "the caller's own account, inbox, wishes and webhooks",
    },
    Allowed {
        roles: ALL,
        how: How::Own,
        operations: &[
            "GET /api/notifications/ query:ticket",
            "GET /api/notifications/unread/ query:ticket",
            "GET /api/notifications/ query:project",
            "GET /api/notifications/unread/ query:project",
            "POST /api/notifications/mark_all_as_read/ query:ticket",
            "POST /api/notifications/mark_all_as_read/ body:ticket",
            "DELETE /api/notifications/delete-all/ query:ticket",
            "DELETE /api/notifications/delete-all/ body:ticket",
            "POST /api/notifications/mark_all_as_read/ query:project",
            "POST /api/notifications/mark_all_as_read/ body:project",
            "POST /api/notifications/mark_all_as_read/ query:ids",
            "POST /api/notifications/mark_all_as_read/ body:ids",
            "DELETE /api/notifications/delete-all/ query:project",
            "DELETE /api/notifications/delete-all/ body:project",
            "DELETE /api/notifications/delete-all/ query:ids",
            "DELETE /api/notifications/delete-all/ body:ids",
        ],
        why: "the caller's own notifications about a ticket, or a project's tickets, or of those \
              ids: there are none",
    },
    Allowed {
        roles: USERS,
        how: How::Own,
        operations: &[
            "GET /api/notifications/stream/ none",
            "POST /api/auth/ws-ticket/ none",
            "PATCH /api/auth/me/ none",
            "PATCH /api/preferences/ none",
            "PUT /api/preferences/ none",
            "POST /api/tickets/ none",
            "POST /api/webhooks/ none",
        ],
        why: "for any user, about nothing of others; a service is no user",
    },
    Allowed {
        roles: ALL,
        how: How::Own,
        operations: &["GET /api/projects/ none", "GET /api/tickets/ none"],
        why: "the projects and tickets that the caller may see",
    },
    Allowed {
        roles: NO_ADMINS,
        how: How::Own,
        operations: &[
            "GET /api/tickets/ query:project",
            "GET /api/tickets/ query:assigned_to",
            "GET /api/tickets/ query:created_by",
        ],
        why: "of the tickets that the caller may see: there are none",
    },
    Allowed {
        roles: ADMINS,
        how: How::Sees,
        operations: &[
            "GET /api/tickets/ query:project",
            "GET /api/tickets/ query:assigned_to",
            "GET /api/tickets/ query:created_by",
            "GET /api/tickets/{id}/ path",
            "GET /api/tickets/{id}/comments/ path",
            "GET /api/tickets/{id}/history/ path",
            "GET /api/tickets/{id}/assignees/ path",
            "GET /api/tickets/{id}/mentionable/ path",
            "GET /api/tickets/{id}/explain/ path",
            "GET /api/tickets/{id}/explain/ query:user",
            "GET /api/projects/{id}/ path",
            "GET /api/projects/{id}/members/ path",
        ],
        why: "admins see all tickets, projects and members",
    },
    Allowed {
        roles: ADMINS_THEMSELVES,
        how: How::Sees,
        operations: &[
            "POST /api/tickets/ body:project",
            "PATCH /api/tickets/{id}/ path",
            "DELETE /api/tickets/{id}/ path",
            "POST /api/tickets/{id}/assign/ path",
            "POST /api/tickets/{id}/assign/ body:developers",
            "POST /api/tickets/{id}/comments/ path",
            "POST /api/tickets/{id}/open/ path",
            "POST /api/tickets/{id}/approve/ path",
            "POST /api/tickets/{id}/reject/ path",
            "POST /api/tickets/{id}/start_work/ path",
            "POST /api/tickets/{id}/finish_work/ path",
        ],
        why: "admins act on all tickets; those that they may not take a step of, they may see",
    },
    Allowed {
        roles: ADMINS_THEMSELVES,
        how: How::Own,
        operations: &["POST /api/projects/ none"],
        why: "an admin is a new project's first member; a service is no user",
    },
    Allowed {
        roles: ADMINS,
        how: How::Sees,
        operations: &[
            "POST /api/projects/{id}/members/ path",
            "POST /api/projects/{id}/members/ body:user",
            "DELETE /api/projects/{id}/members/{user}/ path",
            "GET /api/audit/ query:user",
            "GET /api/users/{id}/ path",
            "PATCH /api/users/{id}/ path",
            "PUT /api/users/{id}/ path",
            "POST /api/users/{id}/logout/ path",
            "GET /api/webhooks/ query:project",
            "POST /api/webhooks/ body:project",
        ],
        why: "admins keep projects, accounts and the webhooks of projects",
    },
    Allowed {
        roles: ADMINS,
        how: How::Sees,
        operations: &[
            "POST /api/notifications/ body:recipients",
            "GET /api/notifications/{id}/explain/ path",
            "GET /api/scheduled/{id}/ path",
            "DELETE /api/scheduled/{id}/ path",
            "POST /api/deliveries/{id}/retry/ path",
            "GET /api/escalations/{event}/ path",
            "PUT /api/escalations/{event}/ path",
            "DELETE /api/escalations/{event}/ path",
            "GET /api/templates/{event}/{channel}/{locale}/ path",
            "PUT /api/templates/{event}/{channel}/{locale}/ path",
            "DELETE /api/templates/{event}/{channel}/{locale}/ path",
            "POST /api/templates/{event}/{channel}/{locale}/preview/ path",
        ],
        why: "admins send, and look after what is sent and how",
    },
    Allowed {
        roles: ADMINS,
        how: How::Own,
        operations: &[
            "GET /api/analytics/ none",
            "GET /api/audit/ none",
            "GET /api/channels/ none",
            "GET /api/deliveries/ none",
            "GET /api/escalations/ none",
            "GET /api/scheduled/ none",
            "GET /api/templates/ none",
            "GET /api/users/ none",
            "POST /api/notifications/ none",
            "POST /api/users/ none",
        ],
        why: "lists for admins, and what admins make",
    },
    Allowed {
        roles: OPERATORS,
        how: How::Sees,
        operations: &[
            "GET /api/operator/events/ query:node",
            "GET /api/operator/settings/ query:node",
            "GET /api/operator/signals/ query:node",
            "GET /api/operator/slow/ query:node",
            "GET /api/operator/tree/ query:node",
            "POST /api/operator/actors/{path}/restart/ path",
            "POST /api/operator/actors/{path}/restart/ query:node",
            "POST /api/operator/actors/{path}/trace/ path",
            "POST /api/operator/actors/{path}/trace/ query:node",
            "POST /api/operator/nodes/{name}/drain/ path",
        ],
        why: "super admins and services operate the nodes",
    },
    Allowed {
        roles: OPERATORS,
        how: How::Own,
        operations: &[
            "GET /api/operator/events/ none",
            "GET /api/operator/nodes/ none",
            "GET /api/operator/settings/ none",
            "GET /api/operator/signals/ none",
            "GET /api/operator/slow/ none",
            "GET /api/operator/tree/ none",
        ],
        why: "super admins and services operate the nodes",
    },
];

/// The operations without a token: method, path, and why there is none.
pub(super) const OPEN: &[(&str, &str, &str)] = &[
    ("GET", "/account/email/", "a page without data, which reads its link's token itself"),
    ("GET", "/account/password/", "a page without data, which reads its link's token itself"),
    ("POST", "/api/auth/email/confirm/", "the link's token is the credential"),
    ("POST", "/api/auth/login/", "the password is the credential"),
    ("POST", "/api/auth/logout/", "the refresh token is the credential, or the access token is"),
    ("POST", "/api/auth/password/reset/", "the mail is the credential; any address is answered"),
    ("POST", "/api/auth/password/reset/confirm/", "the link's token is the credential"),
    ("POST", "/api/auth/refresh/", "the refresh token is the credential"),
    ("POST", "/api/auth/register/", "a new user has no token; `auth.registration` closes it"),
    ("GET", "/api/schema/", "the interface is public, its resources are not"),
    ("GET", "/healthz/", "load balancers have no token"),
    ("POST", "/hooks/sms/", "the provider's signature is the credential"),
    ("GET", "/hooks/whatsapp/", "the verify token is the credential"),
    ("POST", "/hooks/whatsapp/", "the provider's signature is the credential"),
    ("GET", "/metrics/", "sums without names; `operator.listen` moves it off the clients' address"),
    ("GET", "/readyz/", "load balancers have no token"),
    ("GET", "/unsubscribe/{token}/", "the link's token is the credential"),
    ("POST", "/unsubscribe/{token}/", "the link's token is the credential"),
];
