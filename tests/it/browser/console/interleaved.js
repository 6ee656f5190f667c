// Plays one user of a ticket's page. Its answers come late, now and then by seconds, and its line
// ends; it notes what it typed, and what the hub said to each change.

(() => {
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const sockets = [];
  const Real = window.WebSocket;
  window.WebSocket = class extends Real {
    constructor(...given) {
      super(...given);
      sockets.push(this);
    }
  };

  /** The same numbers for the same seed. */
  const numbers = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  let random = null;
  const late = () => {
    const kind = random();
    if (kind < 0.55) return 0;
    return random() * (kind < 0.87 ? 400 : kind < 0.98 ? 1500 : 5000);
  };

  const said = [];
  let unanswered = 0;
  const realFetch = window.fetch;
  window.fetch = async (path, init) => {
    if (!random) return realFetch(path, init);
    unanswered += 1;
    try {
      const answer = await realFetch(path, init);
      if ((init?.method ?? 'GET') !== 'GET') {
        const body = await answer.clone().json().catch(() => null);
        said.push({ method: init.method, path, sent: JSON.parse(init.body ?? 'null'), status: answer.status, body });
      }
      await sleep(late());
      return answer;
    } finally {
      unanswered -= 1;
    }
  };

  const until = async (what, ms = 20_000) => {
    for (const end = performance.now() + ms; performance.now() < end; await sleep(20)) if (what()) return true;
    return false;
  };
  const must = async (name, what) => { if (!await until(what)) throw new Error(`never: ${name}; ${document.body.innerText}`); };
  const submit = () => press('dialog button[type=submit]', '');

  /** Saves what the dialog has, however often another was faster; what is refused is left. */
  async function insist() {
    for (let tries = 0; tries < 8; tries += 1) {
      await until(submit, 2000);
      await until(() => !one('dialog') || (one('dialog [role=alert]') && !one('dialog button[type=submit]').disabled));
      if (!one('dialog')) return true;
    }
    await must('cancel', () => press('dialog button', 'Cancel'));
    await until(() => !one('dialog') || press('[role=alertdialog] button', 'Discard'));
    return false;
  }

  const acts = {
    async comment(text) {
      await must('typed', () => fill('textarea[name=comment]', text));
      await must('sent', () => press('form button[type=submit]', 'Comment'));
    },
    async edit(field, text) {
      await must('edit', () => press('button', 'Edit'));
      await must('typed', () => fill(`dialog [name=${field}]`, text));
      return await insist() || `${field} was never saved`;
    },
    async step(_, n) {
      const buttons = [...document.querySelectorAll('.head button')].filter((one) => !one.disabled && nameOf(one) !== 'Edit');
      buttons[Math.floor(n * buttons.length)]?.click();
      if (!await until(() => one('dialog'), 300)) return;
      if (one('dialog textarea')) fill('dialog textarea', 'not yet');
      else await until(() => one('dialog li input') && (one('dialog li input:checked') || (one('dialog li input').click(), true)), 3000);
      await insist();
    },
    // As a line that breaks: without a word.
    async drop() { sockets.at(-1)?.onclose?.({ code: 1006, reason: '' }); },
    async draft(text) { await must('typed', () => fill('textarea[name=comment]', text)); },
    async wait() {},
  };

  window.play = async (seed, deeds) => {
    random = numbers(seed);
    const failed = [];
    for (const { kind, what, text, pause, n } of deeds) {
      await sleep(pause);
      const told = await acts[kind](...(kind === 'edit' ? [what, text] : [text, n]));
      if (typeof told === 'string') failed.push(told);
    }
    await must('all is answered', () => unanswered === 0 && !one('dialog'));
    return { failed, said };
  };

  /** What the page shows. */
  window.seen = () => {
    const values = [...document.querySelectorAll('dl dt')].map((name) => [name.textContent, name.nextElementSibling.textContent]);
    const { Status: status, Priority: priority, Assigned: assigned } = Object.fromEntries(values);
    return {
      title: one('h1')?.textContent, description: one('.text')?.textContent, status, priority, assigned,
      comments: [...document.querySelectorAll('.comment')].map((one) => one.querySelector('.body').textContent),
      steps: [...document.querySelectorAll('[data-step]')].map((one) => Number(one.dataset.step)),
      typed: one('textarea[name=comment]')?.value,
    };
  };
})();
