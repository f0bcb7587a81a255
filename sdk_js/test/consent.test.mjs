import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collecting, listeners, skip, until } from './support/browser.mjs';
import { harness } from './support/harness.mjs';

describe('consent', { skip }, () => {
  const at = harness();
  const { open, visit, run } = at;

  const stored = () =>
    run(async () => ({
      cookie: document.cookie,
      local: localStorage.length,
      session: Object.keys(sessionStorage),
      databases: (await indexedDB.databases()).length,
      caches: (await caches.keys()).length,
    }));
  const NOTHING = { cookie: '', local: 0, session: [], databases: 0, caches: 0 };

  it('leaves no listener, request or storage before it is granted', async () => {
    await open('/checkout');
    await at.page.mouse.move(10, 10);
    await at.page.mouse.move(200, 200, { steps: 10 });
    await at.page.click('#order');
    await run(() => collector.stage('payment'));
    await run(() => collector.event('order'));
    assert.deepEqual(await listeners(at.page), []);
    assert.deepEqual(at.stub.requests, []);
    assert.deepEqual(await stored(), NOTHING);
    assert.equal(await run(() => collector.token()), undefined);
    assert.equal(await run(() => collector.snapshot()), '');
    assert.equal(await run(() => window.pressed), 1, 'the order goes on');
  });

  it('listens and keeps one nonce of this tab after it is granted', async () => {
    await open('/checkout');
    assert.equal(await run(() => collector.grant(record())), 'granted');
    await collecting(at.page);
    assert.ok((await listeners(at.page)).length > 20);
    assert.deepEqual(await stored(), { ...NOTHING, session: ['riskgraph'] });
    assert.deepEqual(JSON.parse(at.stub.requests[0].body).consent.record_id, 'c-1');
  });

  it('leaves nothing after withdrawal, and asks the server to erase', async () => {
    await visit('/checkout');
    await at.page.click('#name');
    await at.page.keyboard.type('abc');
    const token = await run(() => collector.token());
    await run(() => collector.withdraw());
    assert.deepEqual(await listeners(at.page), []);
    assert.deepEqual(await stored(), NOTHING);
    await until(() => at.stub.erased.length, 'the erase request');
    assert.deepEqual(at.stub.erased, [{ session: token, nonce: at.stub.visits.get(token).nonce }]);
    const sent = at.stub.requests.length;
    await at.page.keyboard.type('abc');
    await at.page.close();
    assert.equal(at.stub.requests.length, sent);
    assert.deepEqual(at.stub.flushes, [], 'counts were dropped, not sent');
  });

  it('can be granted anew after withdrawal, as a new session', async () => {
    await visit('/checkout');
    await run(() => collector.withdraw());
    await run(() => collector.grant(record({ id: 'c-2' })));
    await collecting(at.page);
    assert.equal(at.stub.visits.size, 2);
  });

  it('erases a session that the server opened while consent was withdrawn', async () => {
    await at.page.route('**/v1/sessions', async (route) => {
      await run(() => collector.withdraw());
      await route.continue();
    });
    await open('/checkout?auto');
    await until(() => at.stub.erased.length, 'the erase request');
    assert.deepEqual(await stored(), NOTHING);
  });

  it('is withdrawn on a page that never granted, too', async () => {
    await visit('/product');
    await open('/home');
    await run(() => collector.withdraw());
    await until(() => at.stub.erased.length, 'the erase request');
    assert.deepEqual(await stored(), NOTHING);
  });

  for (const [name, value] of [
    ['globalPrivacyControl', true],
    ['doNotTrack', '1'],
  ]) {
    it(`stays off under ${name}, whatever the record says`, async () => {
      await at.page.addInitScript(
        ([key, to]) => Object.defineProperty(navigator, key, { get: () => to }),
        [name, value],
      );
      await open('/checkout?auto');
      assert.equal(await run(() => collector.state), 'unknown');
      assert.deepEqual(await listeners(at.page), []);
      assert.deepEqual(at.stub.requests, []);
    });
  }

  it('takes a record of another policy, a stale one, one from the future or without an id as none', async () => {
    await open('/checkout');
    const states = await run(() => {
      const days = (n) => new Date(Date.now() + n * 864e5).toISOString();
      return [
        { policyVersion: '2025-01' },
        { at: days(-181) },
        { at: days(1) },
        { at: 'yesterday' },
        { id: '' },
        { purposes: {} },
      ].map((wrong) => collector.grant(record(wrong)));
    });
    assert.deepEqual(new Set(states), new Set(['unknown']));
    assert.deepEqual(await listeners(at.page), []);
    assert.deepEqual(at.stub.requests, []);
  });

  it('opens each purpose by itself', async () => {
    await open('/checkout');
    await run(() => collector.grant(record({ purposes: { device: true, motion: false } })));
    await collecting(at.page);
    const types = await listeners(at.page);
    assert.ok(!types.includes('pointermove') && !types.includes('keydown') && !types.includes('devicemotion'), types);
    const { counters, zones, modality, device_class } = JSON.parse(await run(() => collector.snapshot()));
    assert.deepEqual([zones, modality, device_class], [{}, undefined, 'desktop']);
    assert.equal(counters.automation_checks, 1);
    assert.deepEqual(JSON.parse(at.stub.requests[0].body).consent.purposes, { device: true, motion: false });
  });

  it('ends a purpose when a later record no longer opens it', async () => {
    await visit('/checkout');
    assert.ok((await listeners(at.page)).includes('devicemotion'));
    await run(() => collector.grant(record({ purposes: { behavior: true } })));
    await collecting(at.page);
    assert.ok(!(await listeners(at.page)).includes('devicemotion'));
    assert.equal(at.stub.erased.length, 1, 'what was sent under it goes');
  });

  it('ends where the shop withdraws by a refused grant', async () => {
    await visit('/checkout');
    await run(() => collector.grant(record({ purposes: { behavior: false } })));
    assert.equal(await run(() => collector.state), 'withdrawn');
    assert.deepEqual(await listeners(at.page), []);
    await until(() => at.stub.erased.length, 'the erase request');
  });

  describe('from a consent platform', () => {
    const tcf = (data) =>
      run((tc) => {
        window.__tcfapi = (command, version, back) => {
          window.tell = (more) => back({ eventStatus: 'useractioncomplete', listenerId: 7, ...tc, ...more }, true);
          window.command = [command, version];
          if (command === 'addEventListener') window.tell({});
        };
        window.unfollow = riskgraph.followTcf(collector, { policyVersion: '2026-10' });
      }, data);
    const YES = { tcString: 'CP1', purpose: { consents: { 1: true } }, specialFeatureOptins: { 2: true } };

    it('follows a TCF opt-in to special feature 2, and its refusal', async () => {
      await open('/checkout');
      await tcf(YES);
      await collecting(at.page);
      await run(() => window.tell({ tcString: 'CP2', specialFeatureOptins: { 2: false } }));
      assert.equal(await run(() => collector.state), 'withdrawn');
      await run(() => window.unfollow());
      assert.deepEqual(await run(() => window.command), ['removeEventListener', 2]);
    });

    for (const [what, data] of [
      ['purpose 1 is refused', { ...YES, purpose: { consents: {} } }],
      ['the dialogue is still open', { ...YES, eventStatus: 'cmpuishown' }],
      ['special feature 2 is refused', { ...YES, specialFeatureOptins: {} }],
    ]) {
      it(`stays off under TCF while ${what}`, async () => {
        await open('/checkout');
        await tcf(data);
        assert.notEqual(await run(() => collector.state), 'granted');
        assert.deepEqual(at.stub.requests, []);
      });
    }

    it('lets a GPP opt-out turn it off and never on', async () => {
      await open('/checkout');
      await run(() => {
        window.__gpp = (_command, back) => {
          window.tell = (section) =>
            back({ listenerId: 1, pingData: { signalStatus: 'ready', parsedSections: { usnat: section } } }, true);
        };
        window.held = undefined;
        riskgraph.followGpp(collector, () => window.held);
        window.tell({ SaleOptOut: 2 });
      });
      assert.equal(await run(() => collector.state), 'unknown');
      await run(() => {
        window.held = record();
        window.tell({ SaleOptOut: 2 });
      });
      await collecting(at.page);
      await run(() => window.tell({ SaleOptOut: 1 }));
      assert.equal(await run(() => collector.state), 'withdrawn');
    });

    it('opens nothing sensitive without the separate consent of PIPL', async () => {
      await open('/checkout');
      const purposes = (separate) =>
        run(
          (given) =>
            riskgraph.manualRecord({
              id: 'c-9',
              policyVersion: '2026-10',
              at: new Date(),
              answers: { behavior: true, motion: true, location: true, device: true },
              separate: given,
            }).purposes,
          separate,
        );
      assert.deepEqual(await purposes(false), { behavior: false, motion: false, location: false, device: true });
      assert.deepEqual(await purposes(true), { behavior: true, motion: true, location: true, device: true });
      await assert.rejects(
        run(() => riskgraph.manualRecord({ id: '', policyVersion: '1', at: new Date(), answers: {} })),
      );
    });
  });
});
