// The console: REST for what was, the hub's own client for what happens. No framework, and nothing
// that others wrote is ever taken for markup.

import { connect } from '/client/bellpull.js';
import { workflow } from './workflow.js';

const $ = (id) => document.getElementById(id);
const state = { user: null, access: null, refresh: null, page: 1 };
const kept = sessionStorage.getItem('bellpull');
if (kept) Object.assign(state, JSON.parse(kept));
const keep = () => {
  const { user, access, refresh } = state;
  sessionStorage.setItem('bellpull', JSON.stringify({ user, access, refresh }));
};

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// --- REST ---------------------------------------------------------------------------------------

async function api(method, path, body, again = true) {
  const { access } = state;
  const headers = { Authorization: `Bearer ${access}` };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const init = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
  const response = await fetch(path, init);
  // Another request may have renewed it meanwhile.
  const isRenewed = async () => state.access !== access || await renew();
  if (response.status === 401 && again && await isRenewed()) return api(method, path, body, false);
  if (response.status === 401) { leave(); throw new Error('Please log in again.'); }
  const answer = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Error(reason(answer));
  return answer;
}

function reason(answer) {
  if (answer.detail) return answer.detail;
  const fields = Object.entries(answer).filter(([name]) => name !== 'code');
  return fields.map(([name, texts]) => `${name}: ${[].concat(texts).join(' ')}`).join(' ');
}

let renewing = null;

/** Renews the access token, once for all who ask at the same time. False where the login has ended. */
function renew() {
  renewing ??= renewOnce().finally(() => { renewing = null; });
  return renewing;
}

async function renewOnce() {
  if (!state.refresh) return false;
  const body = JSON.stringify({ refresh: state.refresh });
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch('/api/auth/refresh/', { method: 'POST', headers, body });
  // A hub that cannot answer now has not ended the login.
  if (response.status === 429 || response.status >= 500) throw new Error('The hub cannot answer now.');
  if (!response.ok) return false;
  const answer = await response.json();
  state.access = answer.access;
  state.refresh = answer.refresh ?? state.refresh;
  keep();
  return true;
}

// --- What happens -------------------------------------------------------------------------------

let hub = null;

function follow() {
  const getToken = async ({ why }) => {
    if (why !== 'first') await renew();
    return state.access;
  };
  hub = connect({ getToken });
  hub.on('state', (now) => {
    line(now.state === 'live' ? 'on' : 'off', now.code === 1012 ? 'the hub restarts' : now.state);
    if (now.state === 'live') load();
    if (now.code === 4401 && now.state === 'closed') leave();
  });
  hub.on('notification', load);
  hub.on('inbox', load);
  hub.on('unread', (count) => {
    $('unread').textContent = count;
    document.title = count ? `(${count}) Bellpull` : 'Bellpull';
    $('read-all').disabled = count === 0;
  });
}

function line(kind, text) {
  $('line').hidden = false;
  $('line').dataset.state = kind;
  $('line').textContent = text;
}

// --- What is shown ------------------------------------------------------------------------------

let wanted = false;
let loading = null;

/** Loads once more after whatever is loading, however often it is asked to meanwhile. */
async function load() {
  wanted = true;
  if (loading) return loading;
  loading = (async () => {
    while (wanted) {
      wanted = false;
      try { await Promise.all([loadNotifications(), loadTickets()]); } catch (error) { fail(error); }
    }
    loading = null;
  })();
  return loading;
}

async function loadNotifications() {
  const page = await api('GET', '/api/notifications/?page_size=20');
  $('no-notifications').hidden = page.count > 0;
  $('notifications').replaceChildren(...page.results.map(notification));
}

function notification(row) {
  const item = element('li', undefined, row.is_read ? '' : 'unread');
  item.append(element('div', row.subject, 'title'), element('div', row.message));
  const meta = element('div', `#${row.seq} · ${row.event} · ${row.time_ago}`, 'soft');
  item.append(meta);
  if (!row.is_read) {
    const read = element('button', 'Mark as read', 'quiet');
    read.onclick = () => act(() => api('POST', `/api/notifications/${row.id}/mark_as_read/`, {}));
    const acts = element('div', undefined, 'acts');
    acts.append(read);
    item.append(acts);
  }
  return item;
}

const isAdmin = () => ['admin', 'super_admin'].includes(state.user.role);

/** What this user may do to the ticket now, by the server's own table. */
function actions(ticket) {
  const may = {
    admin: isAdmin(),
    creator: ticket.created_by === state.user.id,
    assigned: ticket.assigned_to.includes(state.user.id),
  };
  may.creator_or_admin = may.creator || may.admin;
  const isNext = ({ by, from }) => may[by] && from.includes(ticket.status);
  return workflow.filter(isNext).map(({ name }) => name);
}

async function body(action) {
  if (action === 'reject') {
    const reason = prompt('Why? (may be empty)');
    return reason === null ? null : { reason };
  }
  if (action !== 'assign') return {};
  const { results } = await api('GET', '/api/users/?role=developer&page_size=100');
  const names = results.map((user) => user.username);
  const chosen = prompt(`Which developers? (${names.join(', ')})`, names[0] ?? '');
  if (chosen === null) return null;
  const wanted = chosen.split(',').map((name) => name.trim()).filter((name) => name !== '');
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`There is no developer called ${unknown.join(', ')}.`);
  return { developers: results.filter((u) => wanted.includes(u.username)).map((u) => u.id) };
}

async function loadTickets() {
  const page = await api('GET', `/api/tickets/?page_size=10&page=${state.page}`);
  $('no-tickets').hidden = page.count > 0;
  $('newer').disabled = page.previous === null;
  $('older').disabled = page.next === null;
  $('pages').hidden = page.next === null && page.previous === null;
  $('page').textContent = `page ${state.page}`;
  $('tickets').replaceChildren(...page.results.map(ticketItem));
}

function ticketItem(ticket) {
  const item = element('li');
  item.append(element('div', `${ticket.key} · ${ticket.title}`, 'title'));
  const facts = [ticket.status_display, ticket.priority_display, `raised by ${ticket.created_by_name}`];
  item.append(element('div', facts.join(' · '), 'soft'));
  const acts = element('div', undefined, 'acts');
  for (const action of actions(ticket)) {
    const button = element('button', action.replace('_', ' '), 'quiet');
    button.onclick = () => act(async () => {
      const given = await body(action);
      if (given !== null) await api('POST', `/api/tickets/${ticket.id}/${action}/`, given);
    });
    acts.append(button);
  }
  if (acts.childElementCount) item.append(acts);
  return item;
}

function fail(error) { $('ticket-error').textContent = error.message; }

async function act(work) {
  $('ticket-error').textContent = '';
  try { await work(); } catch (error) { fail(error); }
  await load();
}

// --- The supervision tree -----------------------------------------------------------------------

async function loadTree() {
  if (state.user?.role !== 'super_admin') return;
  const [tree] = await Promise.all([api('GET', '/api/operator/tree/?children=20'), loadNodes()]);
  const ready = await fetch('/readyz');
  $('ready').textContent = ready.ok ? 'ready' : 'not ready';
  $('ready').dataset.state = ready.ok ? 'on' : 'off';
  const rows = [];
  const walk = (actor, depth) => {
    rows.push(treeRow(actor, depth));
    actor.children.forEach((child) => walk(child, depth + 1));
    const hidden = actor.children_total - actor.children.length;
    if (hidden > 0) rows.push(moreRow(hidden, depth + 1));
  };
  walk(tree, 0);
  $('tree').replaceChildren(...rows);
}

async function loadNodes() {
  const { results } = await api('GET', '/api/operator/nodes/');
  $('nodes').replaceChildren(...results.map(nodeRow));
}

function nodeRow(node) {
  const row = element('tr', undefined, node.state === 'up' ? '' : 'soft');
  const seen = node.last_seen_at.replace('T', ' ').replace(/\.\d+/, '');
  for (const cell of [node.name, node.state, node.sessions, node.version, node.url, seen]) {
    row.append(element('td', cell, typeof cell === 'number' ? 'number' : ''));
  }
  const last = element('td');
  if (node.state === 'up') {
    const drain = element('button', 'Drain', 'quiet');
    drain.onclick = async () => {
      if (!confirm(`Stop ${node.name}? Its sessions come back on other nodes.`)) return;
      $('node-error').textContent = '';
      try {
        await api('POST', `/api/operator/nodes/${node.name}/drain/`, {});
        await loadNodes();
      } catch (error) {
        $('node-error').textContent = error.message;
      }
    };
    last.append(drain);
  }
  row.append(last);
  return row;
}

function treeRow(actor, depth) {
  const row = element('tr');
  const { last_restart: restart, last_failure: failure } = actor;
  const past = [
    ...(restart?.operator ? [`restarted by operator ${restart.operator} (${restart.at})`] : []),
    ...(failure ? [`${failure.text} (${failure.at})`] : []),
  ];
  const cells = [
    '\u2003'.repeat(depth) + actor.path, actor.node, actor.state, age(actor.age_ms), actor.mailbox_depth,
    actor.handled, `${actor.handle_p50_us} / ${actor.handle_p99_us} µs`, actor.restarts, past.join('; '),
  ];
  for (const cell of cells) {
    row.append(element('td', cell, typeof cell === 'number' ? 'number' : ''));
  }
  const last = element('td');
  const isActor = !['hub', 'cluster'].includes(actor.path);
  if (isActor) {
    const again = element('button', 'Restart', 'quiet');
    again.onclick = () => act(async () => {
      await api('POST', `/api/operator/actors/${actor.path}/restart/?node=${actor.node}`, {});
      await loadTree();
    });
    last.append(again);
  }
  row.append(last);
  return row;
}

function moreRow(count, depth) {
  const row = element('tr');
  const cell = element('td', `${'\u2003'.repeat(depth)}… and ${count} more`, 'soft');
  cell.colSpan = 10;
  row.append(cell);
  return row;
}

function age(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  return s < 3600 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h`;
}

// --- Coming and going ---------------------------------------------------------------------------

async function enter() {
  $('login').hidden = true;
  $('forgot').hidden = true;
  $('app').hidden = false;
  $('logout').hidden = false;
  $('who').textContent = `${state.user.full_name || state.user.username} · ${state.user.role}`;
  $('operator').hidden = state.user.role !== 'super_admin';
  await load();
  follow();
  await askForConfirmation().catch(fail);
  await loadTree().catch(fail);
}

function leave() {
  sessionStorage.removeItem('bellpull');
  state.access = null;
  hub?.close();
  location.reload();
}

$('login').onsubmit = async (event) => {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData(event.target));
  const headers = { 'Content-Type': 'application/json' };
  const init = { method: 'POST', headers, body: JSON.stringify(fields) };
  try {
    const response = await fetch('/api/auth/login/', init);
    const answer = await response.json();
    if (!response.ok) throw new Error(reason(answer));
    Object.assign(state, { user: answer.user, access: answer.access, refresh: answer.refresh });
    keep();
    await enter();
  } catch (error) {
    $('login-error').textContent = error.message;
  }
};

// --- A forgotten password, and an address to be confirmed ---------------------------------------

/** Without a login: the form that the address names. */
function chooseForm() {
  if (state.access) return;
  const isForgot = location.hash === '#forgot';
  $('forgot').hidden = !isForgot;
  $('login').hidden = isForgot;
  (isForgot ? $('forgot').email : $('login').username).focus();
}

$('forgot').onsubmit = async (event) => {
  event.preventDefault();
  const init = { method: 'POST', headers: { 'Content-Type': 'application/json' } };
  init.body = JSON.stringify(Object.fromEntries(new FormData(event.target)));
  const said = $('forgot-said');
  try {
    const response = await fetch('/api/auth/password/reset/', init);
    const answer = await response.json();
    said.className = response.ok ? 'soft' : 'error';
    said.textContent = reason(answer);
  } catch (error) {
    said.className = 'error';
    said.textContent = error.message;
  }
};

async function askForConfirmation() {
  const me = await api('GET', '/api/auth/me/');
  $('unverified').hidden = me.email_verified || me.email === '';
}

$('resend').onclick = async () => {
  try {
    $('resend-said').textContent = (await api('POST', '/api/auth/email/resend/', {})).detail;
  } catch (error) {
    $('resend-said').textContent = error.message;
  }
};
window.addEventListener('hashchange', chooseForm);
chooseForm();

$('raise').onsubmit = (event) => {
  event.preventDefault();
  const form = event.target;
  act(async () => {
    await api('POST', '/api/tickets/', Object.fromEntries(new FormData(form)));
    form.reset();
  });
};
$('read-all').onclick = () => act(() => hub.markRead('all'));
$('newer').onclick = () => { state.page -= 1; load(); };
$('older').onclick = () => { state.page += 1; load(); };
$('logout').onclick = async () => {
  await api('POST', '/api/auth/logout/', { refresh: state.refresh }).catch(() => {});
  leave();
};
setInterval(() => loadTree().catch(() => {}), 3000);
if (state.access) enter().catch(() => leave());
