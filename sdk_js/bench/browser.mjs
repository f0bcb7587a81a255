import { collecting, launch, skip } from '../test/support/browser.mjs';
import { closes } from '../test/support/closes.mjs';
import { fuzz } from '../test/support/fuzz.mjs';
import { MAP, nodesOf } from '../test/support/nodes.mjs';
import { Stub } from '../test/support/stub.mjs';
import { buyerVisit, DESKTOP, desktopVisit, PHONE, phoneVisit } from '../test/support/visits.mjs';

const SECONDS = 20;
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
  window.startMs = 0;
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
  const idle = window.requestIdleCallback;
  window.requestIdleCallback = (start) =>
    idle(() => {
      const before = performance.now();
      start();
      window.startMs = Math.max(window.startMs, performance.now() - before);
    });
};

const handlers = part(['handler_ms_per_min', 'handler_p99_ms', 'longest_task_ms'], async (figure, at) => {
  // Isolated pages have clocks of 5 µs instead of 100.
  at.stub.headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
  return inContext(at, {}, async ({ page, context, stub }) => {
    await page.addInitScript(timeHandlers);
    await page.goto(`${stub.origin}/checkout?auto`);
    await collecting(page);
    const cdp = await context.newCDPSession(page);
    const send = (x, y) => cdp.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y, pointerType: 'mouse' });
    const began = Date.now();
    for (let i = 0; i < SECONDS * RATE; i++) {
      const late = began + (i * 1000) / RATE - Date.now();
      if (late > 0) await new Promise((ready) => setTimeout(ready, late));
      await send(300 + 200 * Math.cos(i / 17), 300 + 150 * Math.sin(i / 11));
    }
    const flushMs = await page.evaluate(() => {
      const before = performance.now();
      collector.flush();
      return performance.now() - before;
    });
    const { costs, startMs, isolated } = await page.evaluate(() => ({
      costs: window.costs,
      startMs: window.startMs,
      isolated: crossOriginIsolated,
    }));
    const sorted = [...costs].sort((a, b) => a - b);
    const sum = costs.reduce((a, b) => a + b);
    const seconds = (Date.now() - began) / 1000;
    const note = `${costs.length} events in ${seconds.toFixed(1)} s, timing wrapper included, isolated clock: ${isolated}`;
    return [
      figure('handler_ms_per_min', (sum * 60) / seconds, 'ms', { note: `non-stop mouse moves; ${note}` }),
      figure('handler_p99_ms', sorted[Math.floor(sorted.length * 0.99)], 'ms', { note }),
      figure('longest_task_ms', Math.max(sorted.at(-1), startMs, flushMs), 'ms', {
        note: `the SDK's part of one task; start ${startMs.toFixed(2)} ms, flush ${flushMs.toFixed(2)} ms, longest event ${sorted.at(-1).toFixed(2)} ms`,
      }),
    ];
  });
});

const bytes = part(['session_bytes', 'flush_bytes'], async (figure, at) => {
  at.stub.tokenBytes = 40;
  await inContext(at, DESKTOP, buyerVisit);
  const buyer = at.stub.flushes.map((body) => Buffer.byteLength(body));
  await inContext(at, DESKTOP, desktopVisit);
  const rich = at.stub.flushes.slice(buyer.length).map((body) => Buffer.byteLength(body));
  const sum = (list) => list.reduce((a, b) => a + b, 0);
  return [
    figure('session_bytes', sum(buyer), 'B', {
      note: `product, cart, address, payment, submit in ${buyer.length} flushes; the richest visit of the tests, 10 pages with every signal: ${sum(rich)} B in ${rich.length}`,
    }),
    figure('flush_bytes', Math.max(...buyer, ...rich), 'B', { note: 'largest of both; larger ones are split' }),
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

export const measureBrowser = [handlers, bytes, delivery, raw, gathered];
