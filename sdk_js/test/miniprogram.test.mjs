import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import vm from 'node:vm';
import { nodesOf } from './support/nodes.mjs';
import { Stub, validator } from './support/stub.mjs';

const read = (file) => readFileSync(new URL(`../dist/miniprogram/${file}`, import.meta.url), 'utf8');
/** Both builds, the module's one export written as the other build does. */
const BUILDS = {
  'riskgraph.cjs': read('riskgraph.cjs'),
  'riskgraph.js': read('riskgraph.js').replace(/export\{(\w+) as (\w+)\};\s*$/, 'module.exports={$2:$1}'),
};
const RECORD = {
  id: 'c-1',
  policyVersion: '1',
  at: new Date().toISOString(),
  purposes: { behavior: true, motion: true },
};

/** A build in a world that has timers, and no window, document, navigator, storage, fetch or AbortController. */
const load = (file) => {
  const module = { exports: {} };
  vm.runInNewContext(BUILDS[file], { module, exports: module.exports, Uint32Array, setTimeout });
  return module.exports.createMiniCollector;
};

const settled = () => new Promise((done) => setImmediate(done));

const make = (file = 'riskgraph.cjs') => {
  const requests = [];
  const request = ({ url, method, data, success }) => {
    requests.push({ url, method, data });
    const answer = url.endsWith('/v1/sessions') ? { session: 's-1', nonce: 'n-1', expires_in: 3600 } : {};
    setImmediate(() => success?.({ statusCode: 200, data: answer }));
  };
  const collector = load(file)({
    endpoint: 'https://risk.example',
    merchantKey: 'pk_test',
    consent: { policyVersion: '1' },
    zones: ['search'],
    locale: 'zh',
    request,
    shown: () => ({ kind: 'home', stage: 'entry', path: 'home' }),
  });
  return {
    collector,
    requests,
    flushes: () => requests.filter(({ url }) => url.endsWith('/behavior')).map(({ data }) => JSON.parse(data)),
  };
};

describe('the mini program', () => {
  it('asks for nothing and counts nothing before consent', async () => {
    const { collector, requests } = make();
    collector.stage('browse', { kind: 'product', path: 'a' });
    collector.touch({ type: 'touchstart', timeStamp: 1, changedTouches: [{ identifier: 1, clientX: 1, clientY: 1 }] });
    collector.event('order');
    await settled();
    assert.deepEqual(requests, []);
    assert.equal(collector.snapshot(), '');
  });

  for (const file of Object.keys(BUILDS))
    it(`sends the same payload without a DOM from ${file}`, async () => {
      const { collector, flushes } = make(file);
      assert.equal(collector.grant(RECORD), 'granted');
      await settled();
      await settled();
      collector.stage('browse', { kind: 'product', path: 'product/1', category: 'shoes' });
      for (let swipe = 0; swipe < 3; swipe++) {
        const at = swipe * 1000;
        const touch = (type, t, y) =>
          collector.touch({ type, timeStamp: at + t, changedTouches: [{ identifier: 0, clientX: 100, clientY: y }] });
        touch('touchstart', 0, 500);
        for (let i = 1; i <= 10; i++) touch('touchmove', i * 16, 500 - i * 20);
        touch('touchend', 176, 300);
      }
      collector.event('search');
      collector.stage('cart', { kind: 'cart', path: 'cart' });
      collector.event('cart-edit');
      for (let i = 0; i < 3; i++) collector.tap({ timeStamp: 5000 + i });
      for (let i = 0; i < 1200; i++)
        collector.motion({ acceleration: [0, 1, 0], rotation: [9, 0, 0], timeStamp: i * 10 });
      collector.stage('submit', { kind: 'checkout', path: 'submit' });
      collector.event('order');
      await settled();
      collector.leave();
      const valid = validator();
      const sums = { histograms: {}, counters: {}, words: {} };
      const seen = new Set();
      for (const flush of flushes()) {
        assert.ok(valid(flush), JSON.stringify(valid.errors));
        if (seen.has(flush.seq)) continue;
        seen.add(flush.seq);
        Stub.addUp(sums, flush);
      }
      const { values } = nodesOf(sums);
      assert.deepEqual(
        [
          values.B001.n,
          values.B002,
          values.B003,
          values.B004,
          values.B011,
          values.B026.speed.n,
          values.B030,
          values.B031,
          values.B084,
        ],
        [1, 'mini_program', 3, 1, 1, 3, 0.5, 0.1, 'touch'],
      );
      assert.equal(values.B014, undefined);
    });

  it('takes the time from a return to a touch by one clock, whatever the platform counts from', async () => {
    const { collector } = make();
    collector.grant(RECORD);
    await settled();
    await settled();
    collector.hide();
    collector.show();
    collector.touch({ type: 'touchstart', timeStamp: 5, changedTouches: [{ identifier: 1, clientX: 1, clientY: 1 }] });
    const { zones } = JSON.parse(collector.snapshot());
    assert.deepEqual([zones.any.return_to_action.n, zones.any.return_to_action.h[0]], [1, 1]);
  });

  it('forgets and asks to erase when consent is withdrawn', async () => {
    const { collector, requests } = make();
    collector.grant(RECORD);
    await settled();
    await settled();
    collector.withdraw();
    const sent = requests.length;
    assert.deepEqual([requests.at(-1).method, requests.at(-1).url], ['DELETE', 'https://risk.example/v1/behavior/s-1']);
    collector.event('order');
    collector.leave();
    await settled();
    assert.equal(requests.length, sent);
  });
});
