import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { arrived, collecting, held, listeners, skip, until } from './support/browser.mjs';
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
  const NO = { behavior: false, device: false, location: false, motion: false };
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
    await at.page.keyboard.type('abc');
    await at.page.close();
    await arrived(at);
    assert.deepEqual(
      at.stub.requests.map(({ method, url }) => `${method} ${url}`),
      ['POST /v1/sessions', `DELETE /v1/behavior/${token}`],
      'counts were dropped, not sent',
    );
  });

  it('holds no event of the shopper in memory after withdrawal', async () => {
    await visit('/checkout');
    await at.page.mouse.move(10, 10);
    await at.page.mouse.move(300, 300, { steps: 20 });
    await at.page.click('#name');
    await at.page.keyboard.type('abc');
    assert.ok((await held(at.page, 'PointerEvent')) > 0);
    await run(() => collector.withdraw());
    assert.deepEqual([await held(at.page, 'PointerEvent'), await held(at.page, 'KeyboardEvent')], [0, 0]);
  });

  it('stops what is on its way when it is withdrawn', async () => {
    await visit('/checkout');
    let stopped;
    await at.page.route('**/v1/behavior', () => {}); // never answered
    at.page.on('requestfailed', (request) => {
      stopped = request.failure().errorText;
    });
    const asked = at.page.waitForRequest('**/v1/behavior');
    run(() => void collector.flush());
    await asked;
    await run(() => collector.withdraw());
    await until(() => stopped, 'the end of the request');
    assert.match(stopped, /ABORTED/);
  });

  it('asks again to erase where the first attempt finds no line or no server', async () => {
    await visit('/checkout');
    await at.context.setOffline(true);
    await run(() => collector.withdraw());
    assert.deepEqual(at.stub.erased, []);
    at.stub.answer['/v1/behavior/'] = 503;
    await at.context.setOffline(false);
    await until(() => at.stub.requests.some(({ method }) => method === 'DELETE'), 'the second attempt', 10000);
    at.stub.answer = {};
    await until(() => at.stub.erased.length, 'the third attempt', 10000);
    assert.deepEqual(await listeners(at.page), []);
  });

  it('ends in the other tabs of the shop, too, with their next flush', async () => {
    await visit('/home');
    const same = await run(() => {
      window.kept = record();
      collector.withdraw();
      return window.kept;
    });
    const other = await at.context.newPage();
    await other.goto(`${at.stub.origin}/checkout`);
    await other.evaluate((given) => collector.grant({ ...given, id: 'c-2' }), same);
    await collecting(other);
    await run((given) => collector.grant({ ...given, id: 'c-2' }), same);
    await collecting(at.page);
    await run(() => collector.withdraw());
    await until(() => at.stub.erased.length === 2, 'the erase request');
    await other.evaluate(() => collector.flush());
    await other.waitForFunction(() => collector.state === 'withdrawn');
    assert.deepEqual(await listeners(other), []);
    assert.deepEqual(await other.evaluate(() => [sessionStorage.length, collector.token()]), [0, undefined]);
    await until(() => at.stub.erased.length === 3, 'the erase request for what this tab sent');
  });

  it('is withdrawn on a page whose record the server knows as withdrawn', async () => {
    await visit('/home');
    const old = await run(() => {
      window.kept = { ...record(), at: new Date(Date.now() - 1000).toISOString() };
      collector.withdraw();
      return window.kept;
    });
    await until(() => at.stub.erased.length, 'the erase request');
    await open('/checkout');
    await run((given) => collector.grant(given), old);
    await at.page.waitForFunction(() => collector.state === 'withdrawn');
    assert.deepEqual(await listeners(at.page), []);
    assert.equal(at.stub.erased.length, 1);
  });

  it('erases what an earlier page sent under a purpose that this page no longer has', async () => {
    await visit('/product');
    await open('/checkout');
    await run(() => collector.grant(record({ purposes: { behavior: true, device: true } })));
    await collecting(at.page);
    await until(() => at.stub.erased.length, 'the erase request');
    assert.deepEqual([at.stub.erased[0].session, at.stub.visits.size], ['s-1', 2]);
    assert.deepEqual(at.stub.visit.consent.purposes, { ...NO, behavior: true, device: true });
    assert.equal(await run(() => collector.token()), 's-2');
  });

  it('opens a session of its own for a purpose that is granted later, and erases nothing', async () => {
    await open('/product');
    await run(() => collector.grant(record({ purposes: { behavior: true } })));
    await collecting(at.page);
    await visit('/checkout');
    assert.deepEqual([at.stub.erased, await run(() => collector.token())], [[], 's-2']);
  });

  it('erases with a withdrawal what was sent under earlier records, too, whatever pages lie between', async () => {
    await open('/product');
    await run(() => collector.grant(record({ purposes: { behavior: true } })));
    await collecting(at.page);
    await run(() => collector.grant(record({ id: 'c-2' })));
    await at.page.waitForFunction(() => collector.token() === 's-2' && collector.snapshot());
    await open('/cart');
    // This page ends before its session is open.
    await at.page.route('**/v1/sessions', (route) =>
      route.request().postData().includes('"c-3"') ? route.abort() : route.continue(),
    );
    const failed = at.page.waitForEvent('requestfailed');
    await run(() => collector.grant(record({ id: 'c-3' })));
    await failed;
    await open('/checkout');
    await run(() => collector.grant(record({ id: 'c-4' })));
    await collecting(at.page);
    assert.deepEqual(at.stub.erased, []);
    await run(() => collector.withdraw());
    await until(() => at.stub.erased.length >= at.stub.visits.size, 'the erase requests');
    const given = [...at.stub.visits].map(([session, { nonce }]) => ({ session, nonce }));
    assert.deepEqual(
      at.stub.erased.toSorted((a, b) => a.session.localeCompare(b.session)),
      given,
    );
    assert.equal(given.length, 3);
    assert.deepEqual(await stored(), NOTHING);
  });

  it('erases the session of the window before as well', async () => {
    await visit('/checkout');
    await run(() => {
      const now = Date.now;
      Date.now = () => now() + 15e6;
      return collector.flush();
    });
    await at.page.waitForFunction(() => collector.token() === 's-2');
    await run(() => collector.withdraw());
    await until(() => at.stub.erased.length === 2, 'the erase requests');
    assert.deepEqual(at.stub.erased.map(({ session }) => session).sort(), ['s-1', 's-2']);
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

  it('leaves no wait for the end of a prerendering behind', async () => {
    await at.page.addInitScript(() => Object.defineProperty(document, 'prerendering', { get: () => true }));
    await open('/checkout?auto');
    assert.deepEqual(await listeners(at.page), ['prerenderingchange']);
    await run(() => collector.withdraw());
    assert.deepEqual(await listeners(at.page), []);
  });

  it('stays off in a browser that cannot take its listeners away', async () => {
    await at.page.addInitScript(() => {
      const add = EventTarget.prototype.addEventListener;
      EventTarget.prototype.addEventListener = function (type, handler, options) {
        const { capture, passive, once } = options || {};
        return add.call(this, type, handler, { capture, passive, once });
      };
    });
    await open('/checkout?auto');
    assert.equal(await run(() => collector.state), 'unknown');
    assert.deepEqual(await listeners(at.page), []);
    assert.deepEqual(at.stub.requests, []);
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
    await run(() => collector.grant(record({ purposes: { device: true, motion: false, email: 'a@b.example' } })));
    await collecting(at.page);
    const types = await listeners(at.page);
    assert.ok(!types.includes('pointermove') && !types.includes('keydown') && !types.includes('devicemotion'), types);
    const { counters, zones, modality, device_class } = JSON.parse(await run(() => collector.snapshot()));
    assert.deepEqual([zones, modality, device_class], [{}, undefined, 'desktop']);
    assert.equal(counters.automation_checks, 1);
    assert.deepEqual(JSON.parse(at.stub.requests[0].body).consent.purposes, { ...NO, device: true });
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
    const DAY = 864e5;
    /** Head of a TC string: version 2, then Created and LastUpdated in deciseconds, six characters each. */
    const tcString = (updated, created = updated) => {
      const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
      const field = (ms) =>
        Array.from({ length: 6 }, (_, i) => digits[Math.floor(ms / 100 / 64 ** (5 - i)) % 64]).join('');
      return `C${field(created)}${field(updated)}AAAAAA.YAAA`;
    };
    const today = () => Math.floor(Date.now() / DAY) * DAY;
    const YES = {
      tcString: tcString(today()),
      gdprApplies: true,
      purpose: { consents: { 1: true } },
      specialFeatureOptins: { 2: true },
    };

    it('follows a TCF opt-in to special feature 2, and its refusal', async () => {
      await open('/checkout');
      await tcf(YES);
      await collecting(at.page);
      const { at: given } = JSON.parse(at.stub.requests[0].body).consent;
      assert.equal(Date.parse(given), today(), 'as old as the string says');
      await run(() => window.tell({ specialFeatureOptins: { 2: false } }));
      assert.equal(await run(() => collector.state), 'withdrawn');
      await run(() => window.unfollow());
      assert.deepEqual(await run(() => window.command), ['removeEventListener', 2]);
    });

    for (const [what, data] of [
      ['purpose 1 is refused', { ...YES, purpose: { consents: {} } }],
      ['the dialogue is still open', { ...YES, eventStatus: 'cmpuishown' }],
      ['special feature 2 is refused', { ...YES, specialFeatureOptins: {} }],
      ['its string was last updated 181 days ago', { ...YES, tcString: tcString(today() - 181 * DAY, today()) }],
      ['its string cannot be read', { ...YES, tcString: 'CP1' }],
    ]) {
      it(`stays off under TCF while ${what}`, async () => {
        await open('/checkout');
        await tcf(data);
        assert.notEqual(await run(() => collector.state), 'granted');
        assert.deepEqual(at.stub.requests, []);
      });
    }

    it('leaves a record of the shop alone where the platform says that the GDPR does not apply', async () => {
      await visit('/checkout');
      await tcf({ tcString: '', gdprApplies: false });
      assert.deepEqual([await run(() => collector.state), at.stub.erased], ['granted', []]);
    });

    const gpp = () =>
      run(() => {
        window.__gpp = (_command, back) => {
          window.tell = (section) =>
            back({ listenerId: 1, pingData: { signalStatus: 'ready', parsedSections: { usnat: section } } }, true);
        };
        window.held = undefined;
        riskgraph.followGpp(collector, () => window.held);
      });

    it('lets a GPP opt-out turn it off and never on', async () => {
      await open('/checkout');
      await gpp();
      await run(() => window.tell({ SaleOptOut: 2 }));
      assert.equal(await run(() => collector.state), 'unknown');
      await run(() => {
        window.held = record();
        window.tell({ SaleOptOut: 2 });
      });
      await collecting(at.page);
      await run(() => window.tell({ SaleOptOut: 1 }));
      assert.equal(await run(() => collector.state), 'withdrawn');
    });

    for (const [section, state] of [
      [{ SaleOptOut: 2, GpcSegmentType: 1, Gpc: false }, 'granted'],
      [{ SaleOptOut: 2, GpcSegmentType: 1, Gpc: true }, 'withdrawn'],
      [{ SensitiveDataProcessing: [0, 2, 0] }, 'granted'],
      [{ SensitiveDataProcessing: [0, 2, 1] }, 'withdrawn'],
      [{ SharingOptOut: 1 }, 'withdrawn'],
      [{ TargetedAdvertisingOptOut: 1 }, 'withdrawn'],
    ]) {
      it(`is ${state} under GPP ${JSON.stringify(section)}`, async () => {
        await visit('/checkout');
        await gpp();
        await run((told) => {
          window.held = record();
          window.tell(told);
        }, section);
        assert.equal(await run(() => collector.state), state);
      });
    }

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
