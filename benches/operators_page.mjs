// How usable the operators' page is beside 10,000 connected users: the time until the tree is there,
// and how long frames take while it is live. After `cargo build --release` and `bash tests/run.sh`
// (which installs Chromium and the `ws` package): node benches/operators_page.mjs [USERS] [SECONDS]
import { Programs, bellpull, sleep } from './browser.mjs';

const users = Number(process.argv[2] ?? 10_000);
const seconds = Number(process.argv[3] ?? 20);
const secret = 'the secret of a measurement, long enough';

// In the page: when the tree is there, and the times between frames from then on.
const WATCH = `(() => {
    const watch = (window.watch = { tree: 0, frames: [], tasks: [] });
    const look = (now) => {
        if (!watch.tree && document.querySelectorAll('tr[data-path]').length > 5) watch.tree = performance.now();
        if (watch.last && watch.tree) watch.frames.push(now - watch.last);
        watch.last = now;
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
    new PerformanceObserver((list) => {
        for (const task of list.getEntries()) watch.tasks.push([task.startTime, task.duration]);
    }).observe({ type: 'longtask', buffered: true });
})()`;

const programs = new Programs('operators-page', {
    BELLPULL_JWT_SECRET: secret,
    BELLPULL_AUTH_AUTO_PROVISION: 'true',
    BELLPULL_WS_HANDSHAKES_PER_S: '0',
});
try {
    programs.run('user', 'create', '--username', 'root', '--password', 'correct horse', '--role', 'super_admin');
    const url = await programs.hub();
    const load = ['load', 'mixed', '--url', `ws://${url}/ws/notifications/`, '--jwt-secret', secret,
        '--users', `1000..${999 + users}`, '--transitions', '20', '--for', String(seconds + 60), '--processes', '1'];
    programs.start(bellpull, load, 'ignore');
    const metric = async (name) => {
        const text = await (await fetch(`http://${url}/metrics/`)).text();
        return Number(text.match(new RegExp(`^${name} (\\S+)`, 'm'))?.[1] ?? 0);
    };
    while ((await metric('bellpull_sessions')) < users) await sleep(250);

    const page = await programs.page();
    await page.call('Page.enable');
    await page.call('Page.navigate', { url: `http://${url}/console/` });
    await page.signIn('root', 'correct horse');
    await page.call('Page.addScriptToEvaluateOnNewDocument', { source: WATCH });
    await page.call('Page.navigate', { url: `http://${url}/console/operators` });
    await page.until('window.watch?.tree > 0');
    await sleep(seconds * 1000);
    const { tree, frames, tasks } = await page.run('window.watch');
    const paint = await page.run(`performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0`);
    frames.sort((a, b) => a - b);
    const at = (share) => frames[Math.floor((frames.length - 1) * share)].toFixed(1);
    const live = tasks.filter(([began]) => began > tree);
    console.log(`${await metric('bellpull_sessions')} sessions; first paint ${paint.toFixed(0)} ms, tree ${tree.toFixed(0)} ms`);
    console.log(`${frames.length} frames in ${seconds} s: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`);
    console.log(`tasks above 50 ms: ${tasks.length - live.length} until the tree, ${live.length} after it` +
        (live.length ? ` (longest ${Math.max(...live.map(([, took]) => took)).toFixed(0)} ms)` : ''));
} finally {
    await programs.end();
}
