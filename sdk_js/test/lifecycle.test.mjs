import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collecting, listeners, skip, stays, until } from './support/browser.mjs';
import { harness } from './support/harness.mjs';
import { nodesOf } from './support/nodes.mjs';

describe('a visit over several pages', { skip }, () => {
  const at = harness({ launching: { ignoreDefaultArgs: ['--disable-back-forward-cache'] } });
  const entry = () => at.run(() => JSON.parse(sessionStorage.getItem('riskgraph')));
  const values = () => nodesOf(at.stub.visit).values;
  const back = async () => {
    await at.page.goBack({ waitUntil: 'commit' });
    await at.page.waitForFunction(() => document.readyState === 'complete');
  };

  it('is one session whose flushes are numbered through', async () => {
    for (const path of ['/home', '/list', '/product/shoes', '/product/hats', '/list', '/cart', '/checkout']) {
      await at.visit(path);
      assert.equal((await entry()).session, 's-1');
    }
    await at.page.click('#order');
    await until(() => at.stub.visit.counters.order_presses, 'the last flush');
    const seqs = at.stub.flushes.map((body) => JSON.parse(body).seq);
    assert.equal(new Set(seqs).size, new Set(at.stub.flushes).size);
    assert.equal(at.stub.duplicates, 0);
    const { B001, B003, B005, B006, B007, B012, B058 } = values();
    // home, list, two products, cart are five pages before the checkout; one of seven views returns
    assert.deepEqual([B001.n, B003, B006, B012.n, B058], [2, 5, 1, 1, 0]);
    assert.ok(Math.abs(B007 - 1 / 6) < 1e-9);
    assert.ok(Math.abs(B005 - Math.log2(6)) < 1e-9, 'six moves, all different');
  });

  it('ends its storage with an order that comes before anything has begun on the page, too', async () => {
    await at.visit('/cart');
    await at.open('/checkout');
    await at.run(() => {
      collector.grant(record());
      collector.event('order');
    });
    await at.run(() => new Promise((later) => requestIdleCallback(() => requestIdleCallback(later))));
    assert.deepEqual(await at.run(() => Object.keys(sessionStorage)), []);
    assert.deepEqual(await listeners(at.page), []);
    assert.equal(at.stub.visits.size, 1);
  });

  it('ends its storage with the press of the order button, and the token stays for the order call', async () => {
    await at.visit('/checkout');
    await at.page.click('#order');
    assert.equal(await at.run(() => sessionStorage.length), 0);
    assert.equal(await at.run(() => collector.token()), 's-1');
    await at.page.click('#order');
    await at.page.close();
    await until(() => at.stub.visit.counters.order_presses === 2, 'both presses');
  });

  it('begins anew where the nonce has expired', async () => {
    await at.visit('/home');
    const fiveHoursLater = () => {
      const now = Date.now;
      Date.now = () => now() + 5 * 36e5;
    };
    await at.run(fiveHoursLater);
    await at.run(() => collector.flush());
    await at.page.waitForFunction(() => collector.token() === 's-2');
    await at.page.addInitScript(fiveHoursLater);
    await at.visit('/list');
    assert.equal(await at.run(() => collector.token()), 's-2', 'that one is still good');
    await at.page.addInitScript(fiveHoursLater);
    await at.visit('/list');
    assert.equal(await at.run(() => collector.token()), 's-3');
  });

  it('goes on after a page comes back from the back-forward cache', async () => {
    await at.visit('/product/shoes');
    await at.run(() => {
      window.kept = true;
    });
    await at.visit('/list');
    await back();
    assert.equal(await at.run(() => window.kept), true, 'the page was restored, not loaded');
    await at.page.click('#add');
    await at.visit('/cart');
    await at.run(() => collector.flush());
    await until(() => at.stub.visit.counters.restores && at.stub.visit.counters.stage_cart, 'the flushes');
    assert.equal(at.stub.visits.size, 1);
    assert.equal(at.stub.duplicates, 0);
    const { B001, B011, B076 } = values();
    assert.deepEqual([B001.n, B011, B076], [2, 1, 1]);
    assert.equal(values().B071, 0, 'leaving a page is no hiding');
  });

  it('does not come back to life from the cache where consent was withdrawn meanwhile', async () => {
    await at.visit('/product/shoes');
    await at.visit('/list');
    await at.run(() => collector.withdraw());
    await back();
    assert.deepEqual(await listeners(at.page), []);
    assert.equal(await at.run(() => collector.state), 'unknown');
    assert.equal(await at.run(() => sessionStorage.length), 0);
  });

  it('does not come back to life from the cache for a purpose that was withdrawn meanwhile', async () => {
    await at.visit('/product/shoes');
    await at.open('/list');
    await at.run(() => collector.grant(record({ purposes: { behavior: true } })));
    await collecting(at.page);
    await until(() => at.stub.erased.length, 'the erase request');
    await back();
    assert.deepEqual(await listeners(at.page), []);
    assert.equal(await at.run(() => collector.state), 'unknown');
    assert.equal((await entry()).session, 's-2', 'the visit that was begun since is not touched');
  });

  it('leaves of an expired entry what a withdrawal needs, and nothing else', async () => {
    await at.visit('/home');
    const expired = { ...(await entry()), expires: Date.now() - 1 };
    at.stub.answer['/v1/sessions'] = 503;
    await at.page.goto('about:blank');
    await at.open('/list');
    await at.run((to) => sessionStorage.setItem('riskgraph', JSON.stringify(to)), expired);
    await at.run(() => collector.grant(record()));
    await at.page.waitForFunction(() => collector.snapshot());
    const { session, nonce, nonces, since } = await entry();
    assert.deepEqual([session, nonce, nonces], [undefined, undefined, expired.nonces]);
    assert.ok(since > expired.since, 'a new visit');
  });

  it('asks to erase what was sent before expiry, too', async () => {
    await at.visit('/home');
    const expired = { ...(await entry()), expires: Date.now() - 1 };
    await at.page.goto('about:blank');
    await at.open('/list');
    await at.run((to) => sessionStorage.setItem('riskgraph', JSON.stringify(to)), expired);
    await at.run(() => collector.withdraw());
    await until(() => at.stub.erased.length, 'the erase request');
    assert.equal(await entry(), null);
  });

  it('begins in the stage that the shop declared before it had begun', async () => {
    await at.open('/home');
    await at.run(() => {
      collector.stage('address', { kind: 'checkout' });
      collector.grant(record());
      collector.stage('payment', { kind: 'checkout', path: '/pay' });
    });
    await collecting(at.page);
    const { counters } = JSON.parse(await at.run(() => collector.snapshot()));
    assert.deepEqual([counters.stage_payment, counters.copy_stages, counters.pages_distinct], [1, 1, undefined]);
  });

  it('does not count a page that was opened in the background as one that was left', async () => {
    await at.page.addInitScript(() => {
      window.away = true;
      Object.defineProperty(document, 'hidden', { get: () => window.away });
    });
    await at.visit('/checkout');
    const show = (shown) =>
      at.run((to) => {
        window.away = !to;
        document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
      }, shown);
    const sums = async () => JSON.parse(await at.run(() => collector.snapshot()));
    await show(true);
    await at.page.click('#name');
    const first = await sums();
    assert.deepEqual([first.counters.hides, first.zones.any.return_to_action], [undefined, undefined]);
    await show(false);
    await show(true);
    await at.page.click('#name');
    const then = await sums();
    assert.deepEqual([then.counters.hides, then.zones.any.return_to_action.n], [1, 1]);
  });

  it('waits for a prerendered page to be shown', async () => {
    await at.page.addInitScript(() => {
      window.prerendering = true;
      Object.defineProperty(document, 'prerendering', { get: () => window.prerendering });
    });
    await at.open('/checkout?auto');
    await at.run(() => new Promise((idle) => requestIdleCallback(() => requestIdleCallback(idle))));
    assert.deepEqual(at.stub.requests, []);
    assert.ok(!(await listeners(at.page)).includes('pointermove'));
    await at.run(() => {
      window.prerendering = false;
      document.dispatchEvent(new Event('prerenderingchange'));
    });
    await collecting(at.page);
  });

  it('of a single page is told by stages: dwell, page kinds and payment time', async () => {
    await at.visit('/home');
    await at.run(() => {
      history.pushState({}, '', '/list');
      collector.stage('browse', { kind: 'list' });
      history.pushState({}, '', '/product/a');
      collector.stage('browse', { kind: 'product', category: 'a' });
      history.pushState({}, '', '/cart');
      collector.stage('cart', { kind: 'cart' });
      history.pushState({}, '', '/pay');
      collector.stage('address', { kind: 'checkout' });
      collector.stage('payment', { kind: 'checkout' });
      collector.stage('submit', { kind: 'checkout' });
      collector.event('order');
    });
    await at.page.close();
    await until(() => stays(at.stub) === 4, 'the flush');
    const { B001, B003, B005, B012, B062, B090 } = values();
    assert.deepEqual([B001.n, B003, B012.n >= 3, B005], [1, 4, true, 2]);
    assert.ok(B062 >= 0 && B090 >= 0);
  });

  it('stops without erasing', async () => {
    await at.visit('/home');
    await at.run(() => collector.stop());
    assert.deepEqual(await listeners(at.page), []);
    await until(() => at.stub.flushes.length, 'the last flush');
    assert.deepEqual(at.stub.erased, []);
    assert.equal((await entry()).session, 's-1');
  });

  it('counts the tabs in the checkout and forgets those that left', async () => {
    await at.visit('/checkout');
    const other = await at.context.newPage();
    await other.goto(`${at.stub.origin}/checkout?auto`);
    await collecting(other);
    await until(() => other.evaluate(() => collector.snapshot().includes('"checkout_tabs":2')), 'both tabs');
    await other.close();
    await until(() => at.stub.visit.counters.checkout_tabs === 2, 'the flush');
  });
});
