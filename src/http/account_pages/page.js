// The page's one script: it posts the token of the URL's fragment, and says what came of it.
'use strict';
const form = document.querySelector('form');
const token = location.hash.slice(1);
const show = (id) => {
  for (const part of document.querySelectorAll('section')) part.hidden = part.id !== id;
  const part = document.getElementById(id);
  (part.querySelector('input') ?? part.querySelector('h1')).focus();
};
const fail = (text) => { document.querySelector('.error').textContent = text; };

async function send(body) {
  const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(form.dataset.to, init);
  if (response.ok) {
    history.replaceState(null, '', location.pathname); // a used link is of no use to the next reader
    return show('done');
  }
  const answer = await response.json().catch(() => ({}));
  if (answer.token) return show('bad');
  fail(answer.detail ?? Object.values(answer).flat().filter((text) => text !== answer.code).join(' '));
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData(form));
  if (fields.again !== undefined && fields.new_password !== fields.again) {
    return fail('The two passwords are not the same.');
  }
  delete fields.again;
  fail('');
  const button = form.querySelector('button');
  button.disabled = true;
  try { await send({ token, ...fields }); } catch { fail('The hub cannot be reached. Please try again.'); }
  button.disabled = false;
});
// Another link, opened in the same tab.
window.addEventListener('hashchange', () => location.reload());
show(token ? 'ask' : 'bad');
