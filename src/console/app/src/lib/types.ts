// What the hub's REST interface answers; the OpenAPI document at /api/schema/ is the reference.

export interface Page<T> { count: number; next: string | null; previous: string | null; results: T[] }

export interface User {
  id: number; username: string; full_name: string; role: string; role_display: string;
  email: string; email_verified: boolean; is_active: boolean;
  phone: string; whatsapp_number: string; created_at: string;
}

export interface Delivery { channel: string; status: string }

export interface Notification {
  id: number; seq: number; event: string; type: string; subject: string; message: string;
  ticket: number | null; ticket_title: string | null; is_read: boolean; created_at: string; priority: string; deliveries: Delivery[];
  action_url: string;
}

export interface Ticket {
  id: number; key: string; title: string; description: string; project: number;
  project_name: string; priority: string; priority_display: string; category: string;
  category_display: string; status: string; status_display: string; created_by: number;
  created_by_name: string; assigned_to: number[]; version: number; created_at: string;
  updated_at: string;
}

export interface Comment {
  id: number; author: string; author_id: number; body: string; created_at: string;
  /** By their characters, the `@` among them. */
  mentions: { user: number; start: number; end: number }[];
}

export interface Mentionable { id: number; username: string; name: string }

export interface HistoryEntry {
  action: string; by: number; by_name: string; created_at: string; note: string; version: number;
  from_status_display: string | null; to_status_display: string;
}

export interface Project { id: number; key: string; name: string; is_open: boolean }

export interface QuietHours { start: string; end: string; timezone: string; days: string[] }

export interface Preferences {
  events: Record<string, Record<string, boolean>>;
  quiet_hours: QuietHours | null;
  email_digest: 'off' | 'hourly' | 'daily';
  locale: string | null;
}

export interface Webhook {
  id: number; url: string; description: string; events: string[] | null; is_active: boolean;
  failures: number; off_reason: string | null; secret?: string | null; project: number | null;
}

/** The answer to a test call of a webhook or a push service. */
export interface CallResult { ok: boolean; status: number | null; took_ms: number; error: string | null }

export interface ChannelState { channel: string; circuit: string; cause: string | null; queued: number }

export interface Assignee { id: number; username: string; name: string }

export interface Escalation { event: string; steps: { channel: string; after_s: number }[]; updated_at: string }

export interface Reason { code: string; text: string }
export interface Way {
  channel: string; status: string | null; text: string; because: Reason[];
  attempts: { number: number; started_at: string; outcome: string; detail: string | null }[];
}
export interface Explanation {
  event: string; at: string; told: boolean; username: string; user: number; because: Reason[];
  channels: Way[]; read_at: string | null;
}

export interface Actor {
  path: string; node: string; kind: string; state: string; age_ms: number; mailbox_depth: number;
  handled: number; handle_p50_us: number; handle_p99_us: number; restarts: number;
  last_restart: { at: string; cause: string; operator: string | null } | null;
  last_failure: { at: string; text: string } | null;
  messages: { until: string; last: { name: string; at: string; took_us: number }[] } | null;
  observed: unknown; children: Actor[]; children_total: number;
}

export interface HubNode {
  name: string; url: string; version: string; started_at: string; last_seen_at: string;
  state: string; sessions: number;
}

export interface OutboxDelivery {
  id: number; notification: number | null; recipient_name: string | null; channel: string; status: string; status_display: string;
  rule: string | null; attempts: number; due_at: string; sent_at: string | null; error: string | null; provider_status: string | null;
}

export interface ScheduledSend {
  id: number; title: string; message: string; to: string; recipients: number; told: number;
  status: string; send_at: string; created_at: string; channels: string[]; critical: boolean;
}

export interface AnalyticsRow {
  event: string; channel: string; queued: number; sent: number; failed: number; suppressed: number; delivered: number; notifications_read: number;
  time_to_read_p50_s: number | null; time_to_read_p95_s: number | null;
}

export interface Template {
  event: string; channel: string; locale: string; subject: string; text: string; html: string; is_default: boolean;
}

export interface TemplatePreview { subject: string; text: string; html: string | null }
