import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collecting, skip, until } from './support/browser.mjs';
import { closes } from './support/closes.mjs';
import { harness } from './support/harness.mjs';
import { MAP } from './support/nodes.mjs';

describe('transport', { skip }, () => {
  const at = harness();
  const key = (letter = 'a') => at.page.keyboard.press(letter);
  /** Flush until all is acknowledged: a busy machine may take longer than the 300 ms of one try. */
  const delivered = () => until(() => at.run(() => collector.flush()), 'acknowledgement');
  const keys = () => [...at.stub.visits.values()].reduce((sum, { counters }) => sum + (counters.keys || 0), 0);
  const hide = (hidden) =>
    at.run((to) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => to });
      document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    }, hidden);

  it('loses at most 2 of 200 visits that end by close, navigation or the end of the window, and counts none twice', async () => {
    const { lost, twice, visits } = await closes(at, 200);
    assert.equal(visits, 200);
    assert.ok(lost <= 2, `${lost} lost`);
    assert.equal(twice, 0);
  });

  it('keeps counting while a flush waits, sends each count once, and holds at most three flushes', async () => {
    await at.visit('/checkout');
    at.stub.answer['/v1/behavior'] = 503;
    await at.page.focus('#name');
    for (let i = 0; i < 5; i++) {
      await key();
      assert.equal(await at.run(() => collector.flush()), false);
    }
    const waiting = new Set(at.stub.flushes);
    assert.equal(waiting.size, 3);
    at.stub.answer = {};
    await delivered();
    await at.run(() => collector.flush());
    assert.equal(keys(), 5);
    assert.deepEqual(at.stub.invalid, []);
  });

  it('drops what the server refuses for good', async () => {
    await at.visit('/checkout');
    at.stub.answer['/v1/behavior'] = 422;
    await delivered();
    const sent = at.stub.flushes.length;
    await at.run(() => collector.flush());
    assert.equal(at.stub.flushes.length, sent);
  });

  it('is read once where the same flush arrives twice', async () => {
    await at.visit('/checkout');
    await at.page.focus('#name');
    await key();
    await at.page.route('**/v1/behavior', async (route) => {
      await route.fetch();
      await route.abort();
    });
    assert.equal(await at.run(() => collector.flush()), false);
    await at.page.unroute('**/v1/behavior');
    await delivered();
    assert.equal(keys(), 1);
    assert.ok(at.stub.duplicates > 0);
  });

  it('waits while offline and sends when the line is back', async () => {
    await at.visit('/checkout');
    await at.page.focus('#name');
    await at.context.setOffline(true);
    await key();
    await hide(true);
    await hide(false);
    await key();
    assert.equal(await at.run(() => collector.flush()), false);
    assert.equal(keys(), 0);
    await at.context.setOffline(false);
    await until(() => keys() === 2, 'both keys');
  });

  it('sends no empty flush', async () => {
    await at.visit('/home');
    await at.run(() => collector.flush());
    const sent = at.stub.flushes.length;
    await at.run(() => collector.flush());
    await at.run(() => collector.flush());
    assert.equal(at.stub.flushes.length, sent);
  });

  it('gives up waiting after 300 ms, and the order button never waits', async () => {
    await at.visit('/checkout');
    let release;
    const held = new Promise((free) => {
      release = free;
    });
    await at.page.route('**/v1/behavior', async (route) => {
      await held;
      await route.abort();
    });
    assert.equal(await at.run(() => collector.flush()), false);
    // The press runs through without a turn of the event loop in between.
    const pressed = await at.run(() => {
      let ran = false;
      document.querySelector('#order').addEventListener('click', () => {
        ran = true;
      });
      document.querySelector('#order').click();
      return ran;
    });
    assert.equal(pressed, true);
    release();
  });

  it('lets the shop work where the server is away altogether', async () => {
    at.stub.answer['/v1/'] = 503;
    await at.open('/checkout?auto');
    await until(() => at.stub.requests.length, 'the attempt to open a session');
    await at.page.waitForFunction(() => collector.snapshot());
    await at.page.click('#order');
    assert.equal(await at.run(() => window.pressed), 1);
    assert.equal(await at.run(() => collector.token()), undefined);
    assert.deepEqual(at.stub.flushes, []);
    assert.equal(await at.run(() => collector.flush()), false, 'it has counted, and nothing took it');
    at.stub.answer = {};
    await at.run(() => collector.flush());
    await collecting(at.page);
    await delivered();
    assert.ok(at.stub.visit.counters.order_presses >= 1, 'what was counted meanwhile is not lost');
  });

  it('opens a new session where the server says that the window is over, and goes on there', async () => {
    await at.visit('/checkout');
    at.stub.answer['/v1/behavior'] = 410;
    await delivered();
    at.stub.answer = {};
    await at.page.waitForFunction(() => collector.token() === 's-2');
    assert.equal((await at.run(() => JSON.parse(sessionStorage.riskgraph))).session, 's-2');
    await at.page.focus('#name');
    await key();
    await delivered();
    assert.equal(at.stub.visit.counters.keys, 1);
    assert.deepEqual(at.stub.erased, []);
  });

  it('drops a flush that the server takes for a replay, and goes on', async () => {
    await at.visit('/checkout');
    at.stub.answer['/v1/behavior'] = 409;
    await delivered();
    const refused = new Set(at.stub.flushes);
    at.stub.answer = {};
    await at.page.focus('#name');
    await key();
    await delivered();
    assert.equal(await at.run(() => collector.state), 'granted');
    assert.ok(at.stub.visit.seen.size > 0);
    assert.ok(at.stub.flushes.slice(refused.size).every((body) => !refused.has(body)));
  });

  it('splits a flush that would exceed 4096 bytes into histograms and counters, with two numbers', async () => {
    at.stub.tokenBytes = 190;
    await at.open('/checkout');
    // An add-on that has counted everything, under the longest ids, in letters of three bytes.
    await at.run((map) => {
      const zones = Object.keys(map.histograms).filter((name) => !name.endsWith('.moves'));
      const full = (page) => {
        page.at('flush', () => {
          for (const name of zones) page.hist(name).fill(99);
          for (const name of Object.keys(map.counters)) page.add(name, 1);
        });
      };
      window.collector = make({ addons: [{ purpose: 'behavior', listen: full }] });
      collector.grant(record({ id: '同'.repeat(200) }));
    }, MAP);
    await collecting(at.page);
    const [first, second, ...more] = (await at.run(() => collector.snapshot())).split('\n');
    assert.deepEqual([JSON.parse(first).counters, JSON.parse(second).zones, more], [{}, {}, []]);
    for (const body of [first, second]) assert.ok(Buffer.byteLength(body) <= 4096, `${Buffer.byteLength(body)} B`);
    assert.equal(JSON.parse(second).seq, JSON.parse(first).seq + 1);
    await until(() => at.run(() => collector.flush()), 'acknowledgement');
    assert.deepEqual(at.stub.invalid, []);
  });

  it('measures what it splits in bytes: letters of a consent id take up to three each', async () => {
    at.stub.tokenBytes = 190;
    await at.open('/checkout');
    await at.run((map) => {
      const names = Object.keys(map.histograms);
      let count = 0;
      const growing = (page) => {
        page.at('flush', () => {
          for (const name of names.slice(0, count)) page.hist(name).fill(9999);
          count++;
        });
      };
      window.collector = make({ addons: [{ purpose: 'behavior', listen: growing }] });
      collector.grant(record({ id: '同'.repeat(200) }));
    }, MAP);
    await at.page.waitForFunction(() => collector.token() && collector.snapshot());
    const whole = [];
    while (whole.length < 37) {
      const bodies = (await at.run(() => collector.snapshot())).split('\n');
      if (bodies.length > 1) break;
      whole.push(Buffer.byteLength(bodies[0]));
    }
    assert.ok(whole.at(-1) <= 4096 && whole.at(-1) > 3900, `${whole.at(-1)} B`);
  });
});
