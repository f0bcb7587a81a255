import { collecting, launch, skip } from '../test/support/browser.mjs';
import { closes } from '../test/support/closes.mjs';
import { fuzz } from '../test/support/fuzz.mjs';
import { MAP, nodesOf } from '../test/support/nodes.mjs';
import { Stub } from '../test/support/stub.mjs';
import { buyerVisit, DESKTOP, desktopVisit, PHONE, phoneVisit } from '../test/support/visits.mjs';

const SECONDS = 8;
const WINDOWS = 3;
const RATE = 60;
const VISITS = 200;

/** Run with a browser, a shop and a server; without a browser each figure says why it is not there. */
const part = (names, act) => {
  const run = async (figure) => {
    if (skip) return names.map((name) => figure(name, null, '', { note: skip }));
    const stub = await Stub.start();
    const browser = await launch();
    try {
      return await act(figure, { stub, browser });
    } finally {
      await browser.close();
      stub.stop();
    }
  };
  return Object.assign(run, { names });
};

const inContext = async ({ browser, stub }, options, act) => {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  try {
    return await act({ browser, context, page, stub });
  } finally {
    await context.close();
  }
};

/** Time every handler that the SDK adds, by event: what one event costs is the SDK's part of one task. */
const timeHandlers = () => {
  window.costs = [];
  let event;
  const add = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (type, handler, options) {
    if (!options?.signal) return add.call(this, type, handler, options);
    const timed = (given) => {
      const before = performance.now();
      handler.call(this, given);
      const ms = performance.now() - before;
      if (event === given) window.costs[window.costs.length - 1] += ms;
      else window.costs.push(ms);
      event = given;
    };
    return add.call(this, type, timed, options);
  };
};

/** Non-stop mouse moves at 60 a second. */
const moves = async ({ page, context }, seconds) => {
  const cdp = await context.newCDPSession(page);
  const began = Date.now();
  for (let i = 0; i < seconds * RATE; i++) {
    const late = began + (i * 1000) / RATE - Date.now();
    if (late > 0) await new Promise((ready) => setTimeout(ready, late));
    const [x, y] = [300 + 200 * Math.cos(i / 17), 300 + 150 * Math.sin(i / 11)];
    await cdp.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y, pointerType: 'mouse' });
  }
  await cdp.detach();
  return (Date.now() - began) / 1000;
};

const handlers = part(['handler_ms_per_min', 'handler_p99_ms'], async (figure, at) => {
  // Isolated pages have clocks of 5 µs instead of 100.
  at.stub.headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
  return inContext(at, {}, async (inside) => {
    const { page, stub } = inside;
    await page.addInitScript(timeHandlers);
    await page.goto(`${stub.origin}/checkout?auto`);
    await collecting(page);
    const windows = [];
    for (let i = 0; i < WINDOWS; i++) {
      const seconds = await moves(inside, SECONDS);
      const costs = (await page.evaluate(() => window.costs.splice(0))).sort((a, b) => a - b);
      const perMinute = (costs.reduce((a, b) => a + b) * 60) / seconds;
      windows.push({
        perMinute,
        p99: costs[Math.floor(costs.length * 0.99)],
        events: costs.length,
        longest: costs.at(-1),
      });
    }
    windows.sort((a, b) => a.perMinute - b.perMinute);
    const middle = windows[(WINDOWS - 1) / 2];
    const isolated = await page.evaluate(() => crossOriginIsolated);
    const all = windows.map(({ perMinute }) => perMinute.toFixed(0)).join(', ');
    const note = `the middle one of ${WINDOWS} windows of ${SECONDS} s of non-stop mouse moves (${all} ms), ${middle.events} events, timing wrapper included, isolated clock: ${isolated}`;
    return [
      figure('handler_ms_per_min', middle.perMinute, 'ms', { note }),
      figure('handler_p99_ms', middle.p99, 'ms', { note: `${note}; longest ${middle.longest.toFixed(2)} ms` }),
    ];
  });
});

/**
 * What runs the SDK, added up by the event or idle callback that made it, in CPU and wall ms: calls into its
 * scripts, their evaluation, and that of the page's script, which makes the collector and grants.
 */
const sdkTasks = (events, page) => {
  const outer = events.filter(({ name }) => name === 'EventDispatch' || name === 'FireIdleCallback');
  const tasks = new Map();
  for (const call of events) {
    const { url } = call.args?.data || {};
    const inSdk = !!url?.includes('/sdk/');
    const runs = call.name === 'FunctionCall' ? inSdk : call.name === 'EvaluateScript' && (inSdk || url === page);
    if (!runs) continue;
    const within = outer.find(
      ({ ts, dur, tid }) => tid === call.tid && ts <= call.ts && call.ts + call.dur <= ts + dur,
    );
    const key = within || call;
    const task = tasks.get(key) || { cpu: 0, wall: 0 };
    tasks.set(key, { cpu: task.cpu + call.tdur / 1000, wall: task.wall + call.dur / 1000 });
  }
  return [...tasks.values()];
};

const tasks = part(['longest_task_ms'], async (figure, at) =>
  inContext(at, {}, async (inside) => {
    const { page, stub, browser } = inside;
    const cdp = await browser.newBrowserCDPSession();
    const events = [];
    cdp.on('Tracing.dataCollected', ({ value }) => events.push(...value));
    const traceConfig = { includedCategories: ['devtools.timeline'] };
    await cdp.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig });
    const address = `${stub.origin}/checkout?auto`;
    await page.goto(address);
    await collecting(page);
    await moves(inside, SECONDS);
    await page.click('#order');
    await page.goto('about:blank');
    const complete = new Promise((done) => cdp.on('Tracing.tracingComplete', done));
    await cdp.send('Tracing.end');
    await complete;
    const found = sdkTasks(events, address);
    const longest = (clock) => Math.max(...found.map((task) => task[clock]));
    return [
      figure('longest_task_ms', longest('cpu'), 'ms', {
        note: `CPU time of the SDK in one script, event or idle callback, by the browser's trace, out of ${found.length}: load, creation and grant, start, moves, order and leaving; wall ${longest('wall').toFixed(2)} ms`,
      }),
    ];
  }),
);

const bytes = part(['session_bytes', 'flush_bytes'], async (figure, at) => {
  at.stub.tokenBytes = 40;
  const bodiesOf = async (act) => {
    at.stub.reset();
    await inContext(at, DESKTOP, act);
    const size = ({ body }) => Buffer.byteLength(body);
    const opened = at.stub.requests.filter(({ url }) => url === '/v1/sessions').map(size);
    return { opened, flushes: at.stub.flushes.map((body) => size({ body })) };
  };
  const buyer = await bodiesOf(buyerVisit);
  const rich = await bodiesOf(desktopVisit);
  const sum = ({ opened, flushes }) => [...opened, ...flushes].reduce((a, b) => a + b, 0);
  const parts = ({ opened, flushes }) => `${flushes.length} flushes and ${opened.length} opening(s)`;
  return [
    figure('session_bytes', sum(buyer), 'B', {
      note: `product, cart, address, payment, submit in ${parts(buyer)}; the richest visit of the tests, 10 pages with every signal: ${sum(rich)} B in ${parts(rich)}`,
    }),
    figure('flush_bytes', Math.max(...buyer.flushes, ...rich.flushes), 'B', {
      note: 'largest of both; larger ones are split',
    }),
  ];
});

const delivery = part(['lost_of_200', 'double_counted'], async (figure, at) => {
  const { lost, twice, duplicates, visits } = await closes(at, VISITS);
  const note = `${visits} visits ended by close, navigation and end of the window; ${duplicates} flushes came twice`;
  return [figure('lost_of_200', lost, 'n', { note }), figure('double_counted', twice, 'n', { note })];
});

const raw = part(['raw_items_sent'], async (figure, at) =>
  inContext(at, DESKTOP, async (inside) => {
    const { secrets, bytes: searched, found } = await fuzz(inside, 3);
    const note = `${secrets} secrets typed, pasted, composed and filled, pieces of 4 characters sought in ${searched} B; ${at.stub.invalid.length} flushes outside the closed schema`;
    return [figure('raw_items_sent', found.length + at.stub.invalid.length, 'n', { note })];
  }),
);

const gathered = part(['nodes_gathered'], async (figure, at) => {
  await inContext(at, DESKTOP, desktopVisit);
  const desktop = nodesOf(at.stub.visit).values;
  await inContext(at, PHONE, phoneVisit);
  const phone = nodesOf(at.stub.visit).values;
  const all = Object.keys(MAP.nodes);
  const missing = all.filter((id) => !(id in desktop) && !(id in phone));
  return [
    figure('nodes_gathered', all.length - missing.length, 'n', {
      baseline: all.length,
      note: `${Object.keys(desktop).length} by mouse and keys, ${Object.keys(phone).length} by touch; missing: ${missing.join(' ') || 'none'}; sensor samples of the touch visit are synthetic events`,
    }),
  ];
});

export const measureBrowser = [handlers, tasks, bytes, delivery, raw, gathered];
