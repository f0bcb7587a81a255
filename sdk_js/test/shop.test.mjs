import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { answer, buy, launch, someOrder } from '../shop/bot.mjs';
import { until } from './support/browser.mjs';
import { serve, skip } from './support/served.mjs';
import { validator } from './support/stub.mjs';

const ROOT = new URL('..', import.meta.url).pathname;
const SHOTS = join(ROOT, '../build/shop');
const RANK = ['accept', 'review', 'reject'];
const POINTER = new Set(['PTR', 'TCH']);
const NOT_CHECKED = { motion: false, location: false };

/** A page of a fresh visitor, with what went wrong on it and what it asked of the service. */
const visitor = async (browser, options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1180, height: 820 }, ...options });
  const page = await context.newPage();
  const calls = [];
  const errors = [];
  page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.startsWith('/v1/')) calls.push(`${request.method()} ${pathname.split('/').slice(0, 3).join('/')}`);
  });
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(String(error)));
  return { context, page, calls, errors };
};

const stored = (page) =>
  page.evaluate(() => Object.keys(sessionStorage).concat(Object.keys(localStorage), document.cookie));

describe('the demo shop', { skip }, () => {
  let service;
  let browser;
  before(async () => {
    service = await serve();
    browser = await launch('bot');
  });
  after(async () => {
    await browser?.close();
    await service?.stop();
  });
  const shopping = (page, more) => buy(page, { url: service.shop, ...more });

  for (const [lang, tag, simulated, scheme] of [
    ['zh', 'zh-Hans', '模拟', 'dark'],
    ['en', 'en', 'simulated', 'light'],
  ]) {
    it(`leads from consent to the report in ${tag}, under a strict policy`, async () => {
      const { context, page, calls, errors } = await visitor(browser, { colorScheme: scheme });
      const folder = join(SHOTS, lang);
      mkdirSync(folder, { recursive: true });
      const at = (name) => page.screenshot({ path: join(folder, `${name}.png`) });
      const told = await shopping(page, { lang, consent: true, at });
      assert.ok(RANK.includes(told.verdict));
      assert.equal(told.provenance, 'simulated');
      assert.equal(told.availability_class, 'pre_auth/front_end');
      assert.ok(told.nodes.present.length >= 35, `${told.nodes.present.length} nodes`);
      assert.ok(
        told.nodes.present.some(({ id }) => id === 'B077'),
        'the device class, which was agreed to',
      );
      assert.equal(await page.getAttribute('html', 'lang'), tag);
      assert.ok((await page.textContent('body')).includes(simulated));
      const links = await page.$$eval('#report ~ p a', (all) => all.map(({ href }) => href));
      const json = await (await context.request.get(links.find((href) => href.endsWith('format=json')))).json();
      assert.equal(json.decision.decision_id ?? json.decision_id, told.decision_id);
      await page.click('#contest');
      await page.waitForSelector('form [name=wish]');
      await page.goBack();
      await page.click('#open-report');
      await page.waitForURL('**/shop/report/**');
      assert.equal((await page.getAttribute('html', 'lang')).slice(0, 2), lang);
      assert.ok((await page.textContent('body')).includes(simulated));
      await at('report');
      assert.ok(calls.includes('POST /v1/sessions') && calls.includes('POST /v1/behavior'));
      assert.deepEqual(errors, []);
      await context.close();
    });
  }

  it('asks first: no request, no entry and no cookie before the answer', async () => {
    const { context, page, calls } = await visitor(browser);
    await page.goto(service.shop);
    await page.waitForSelector('#consent[open]');
    assert.equal(await page.locator('#consent input:checked').count(), 0);
    const [no, yes] = await page.$$eval('#refuse-all, #save-answers', (all) =>
      all.map((one) => {
        const { backgroundColor, color, borderColor, fontWeight } = getComputedStyle(one);
        const { width, height } = one.getBoundingClientRect();
        return { backgroundColor, color, borderColor, fontWeight, width: Math.round(width), height };
      }),
    );
    assert.deepEqual(no, yes);
    assert.deepEqual(await stored(page), ['']);
    await page.keyboard.press('Escape');
    assert.equal(await page.textContent('#state'), 'Nothing is measured: you have not agreed.');
    assert.deepEqual(await stored(page), ['shop-consent', '']);
    await page.reload();
    await page.waitForSelector('#open-consent:visible');
    assert.equal(await page.locator('#consent[open]').count(), 0);
    assert.deepEqual(calls, []);
    await context.close();
  });

  it('decides for whoever refuses, and asks the service for nothing', async () => {
    const { context, page, calls, errors } = await visitor(browser);
    const told = await shopping(page, { consent: false });
    assert.deepEqual(calls, []);
    assert.deepEqual(told.nodes.absent, { refused: 79, not_delivered: 0, not_applicable: 0 });
    assert.equal(told.availability_class, 'pre_auth/refused');
    assert.ok(RANK.includes(told.verdict));
    assert.deepEqual(await stored(page), ['shop-consent', '']);
    assert.deepEqual(errors, []);
    await context.close();
  });

  it('opens no purpose but those that were agreed to', async () => {
    const { context, page } = await visitor(browser);
    const told = await shopping(page, { consent: { ...NOT_CHECKED, behavior: true, device: false, separate: true } });
    const ids = told.nodes.present.map(({ id }) => id);
    assert.ok(ids.includes('B012') && !ids.includes('B077') && !ids.includes('B079'), ids.join(' '));
    assert.ok(told.nodes.absent.refused > 0);
    await context.close();
  });

  it('keeps behavior off without the separate consent', async () => {
    const { context, page, calls } = await visitor(browser);
    const told = await shopping(page, { consent: { behavior: true, device: false, separate: false } });
    assert.deepEqual(calls, []);
    assert.equal(told.nodes.present.length, 0);
    await context.close();
  });

  it('stops and has erased when consent is withdrawn on the way, and the order goes on', async () => {
    const { context, page, calls } = await visitor(browser);
    const at = async (name) => {
      if (name !== 'payment') return;
      await page.click('#withdraw');
      await until(() => calls.includes('DELETE /v1/behavior'), 'the withdrawal');
      calls.length = 0;
    };
    const told = await shopping(page, { consent: true, at });
    assert.deepEqual(calls, []);
    assert.equal(told.nodes.absent.refused, 79);
    assert.ok(RANK.includes(told.verdict));
    await context.close();
  });

  it('erases what was sent when consent is withdrawn after the order', async () => {
    const { context, page } = await visitor(browser);
    await shopping(page, { consent: true });
    const erased = page.waitForResponse((answer) => answer.url().includes('/shop/withdraw/'));
    await page.click('#withdraw');
    assert.equal((await erased).status(), 204);
    assert.ok((await page.textContent('#state')).startsWith('Withdrawn'));
    await context.close();
  });

  it('goes on with one visit where a card is mistyped, and ends it where the order is accepted', async () => {
    const { context, page, calls } = await visitor(browser);
    const at = async (name) => {
      if (name !== 'payment') return;
      await page.fill('#card', '6228 4800 0000 0008');
      await page.click('#order');
      assert.equal(await page.locator('#card:invalid').count(), 1);
      await page.click('#payment-form button[name=back]');
      await page.waitForSelector('#address-form');
      await page.click('#to-payment');
      await page.waitForSelector('#payment-form');
    };
    const told = await shopping(page, { consent: true, at });
    assert.equal(calls.filter((call) => call === 'POST /v1/sessions').length, 1);
    assert.ok(told.nodes.present.length >= 35, `${told.nodes.present.length} nodes`);
    assert.deepEqual(await stored(page), ['shop-consent', '']);
    await context.close();
  });

  it('goes on when Enter is pressed in a field, in the same language', async () => {
    const { context, page } = await visitor(browser);
    const sent = [];
    page.on('request', (request) => request.method() === 'POST' && sent.push(new URL(request.url()).pathname));
    const at = async (name) => {
      if (name !== 'payment') return;
      await page.click('#payment-form button[name=back]');
      await page.waitForSelector('#address-form');
      await page.check('#recipient-same');
      await page.press('#street', 'Enter');
      await page.waitForSelector('#payment-form');
      sent.length = 0;
    };
    const told = await shopping(page, { consent: false, at, pay: (card) => page.press(card, 'Enter') });
    assert.ok(RANK.includes(told.verdict));
    assert.deepEqual(sent, ['/shop/orders']);
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
    await context.close();
  });

  it('does not say that it measures while the service refuses the page', async () => {
    const { context, page } = await visitor(browser);
    await page.goto(service.shop.replace('127.0.0.1', 'localhost'));
    await page.route('**/v1/sessions', (route) => route.fulfill({ status: 403, body: '{}' }));
    await answer(page, { check: (it) => page.check(it), press: (it) => page.click(it) }, true);
    const state = () => page.textContent('#state');
    assert.match(await state(), /nothing is sent until/);
    await until(async () => (await state()).startsWith('Nothing is sent'), 'the end of waiting', 10000);
    await page.unroute('**/v1/sessions');
    await page.reload();
    await until(async () => (await state()).startsWith('Measured'), 'the answer');
    await context.close();
  });

  it('tells on a page out of the history what holds now', async () => {
    // Only a browser that nobody debugs with request interception keeps pages; the event is the same.
    const { context, page } = await visitor(browser);
    await page.goto(service.shop);
    await page.click('#refuse-all');
    await page.evaluate(() => {
      const record = JSON.parse(sessionStorage.getItem('shop-consent'));
      const purposes = { ...record.purposes, behavior: true };
      sessionStorage.setItem('shop-consent', JSON.stringify({ ...record, purposes }));
      dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    });
    await page.waitForSelector('#withdraw:visible');
    await until(async () => (await page.textContent('#state')).startsWith('Measured'), 'the state');
    await page.evaluate(() => {
      const record = JSON.parse(sessionStorage.getItem('shop-consent'));
      const purposes = { ...record.purposes, behavior: false };
      sessionStorage.setItem('shop-consent', JSON.stringify({ ...record, purposes, withdrawn: true }));
      dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    });
    await page.waitForSelector('#open-consent:visible');
    assert.match(await page.textContent('#state'), /^Withdrawn/);
    assert.equal(await page.evaluate(() => globalThis.shop.collector.state), 'withdrawn');
    await context.close();
  });

  it('does not ask, and sends nothing, where the browser says Global Privacy Control', async () => {
    const { context, page, calls } = await visitor(browser);
    await page.addInitScript(() => Object.defineProperty(navigator, 'globalPrivacyControl', { value: true }));
    const told = await shopping(page, {});
    assert.equal(await page.locator('#consent[open]').count(), 0);
    assert.deepEqual(calls, []);
    assert.equal(told.nodes.absent.refused, 79);
    await context.close();
  });

  it('sells without scripts, and says that nothing is measured', async () => {
    const { context, page, calls } = await visitor(browser, { javaScriptEnabled: false });
    const told = await shopping(page, {
      at: async (name) => {
        if (name === 'home') assert.ok((await page.textContent('noscript, .notice')).includes('Scripts are off'));
      },
    });
    assert.deepEqual(calls, []);
    assert.equal(told.nodes.present.length, 0);
    assert.ok(RANK.includes(told.verdict));
    await context.close();
  });

  it('shows the very bytes that would be sent, and what each field is', async () => {
    const { context, page } = await visitor(browser);
    let seen = '';
    const at = async (name) => {
      if (name !== 'address') return;
      await page.mouse.wheel(0, 50);
      await page.click('#open-sent');
      await page.waitForSelector('#sent[open]');
      seen = await page.textContent('#sent-raw pre');
      assert.ok((await page.locator('#sent-rows tr').count()) > 3);
      assert.ok((await page.textContent('#sent-rows')).includes('Pages with name, phone, address or card fields'));
      await page.click('#sent form button');
    };
    await shopping(page, { consent: true, at });
    const valid = validator();
    for (const line of seen.split('\n')) assert.ok(valid(JSON.parse(line)), JSON.stringify(valid.errors));
    await context.close();
  });

  it('keeps what was typed when the language changes on the way', async () => {
    const { context, page } = await visitor(browser);
    const order = someOrder();
    const at = async (name) => {
      if (name !== 'payment') return;
      await page.click('button[name=switch]');
      await page.waitForSelector('html[lang=zh-Hans] #payment-form');
      assert.ok((await page.textContent('main')).includes(order.street));
    };
    await shopping(page, { consent: false, order, at });
    assert.equal(await page.getAttribute('html', 'lang'), 'zh-Hans');
    await context.close();
  });

  it('logs nothing that was typed, and no decision that could be looked up', () => {
    assert.ok(service.log.includes('POST /shop/orders'));
    for (const hidden of [/138\d{8}/, /Wensan/, /文三路/, /6228/, /Lin|Zhou|He Xiao/, /shop\/(done|report)\/[0-9a-f]/])
      assert.doesNotMatch(service.log, hidden);
  });
});

/** What each node adds to the log-odds of a decision, as the report for compliance tells. */
const contributions = async ({ origin, key }, decisionId) => {
  const address = `${origin}/v1/decisions/${decisionId}/report?audience=compliance&format=json`;
  const answer = await fetch(address, { headers: { authorization: `Bearer ${key}` } });
  return (await answer.json()).compliance.nodes;
};

describe('shoppers of the demo shop', { skip }, () => {
  /** Each buys the same, and types it in the same rhythm, in a shop that has sold nothing yet. */
  const told = {};
  // No drawn time of its keys lies within a millisecond of an edge of a bin: the browser's clock ticks in tenths.
  const seed = 3414;
  before(async () => {
    for (const hands of ['person', 'keyboard', 'bot']) {
      const service = await serve();
      const browser = await launch(hands);
      try {
        const { page } = await visitor(browser);
        const bought = await buy(page, { url: service.shop, mode: hands, seed, consent: true });
        told[hands] = { ...bought, parts: await contributions(service, bought.decision_id) };
      } finally {
        await browser.close();
        await service.stop();
      }
    }
  });

  it('with a keyboard alone are not judged worse than with a mouse', () => {
    const { keyboard, person } = told;
    assert.ok(RANK.indexOf(keyboard.verdict) <= RANK.indexOf(person.verdict));
    // Without the pointer's own nodes: what they add to the mouse's side, or take off, no keyboard has.
    // The pause before a first key (B044) is of three counts, and a busy machine prolongs it.
    const left = ({ family, node }) => POINTER.has(family) || node === 'B044';
    const logOdds = (parts) => parts.reduce((sum, part) => sum + (left(part) ? 0 : part.phi), 0);
    const [keys, mouse] = [logOdds(keyboard.parts), logOdds(person.parts)];
    assert.ok(keys <= mouse + 0.2, `log-odds ${keys} beside ${mouse}`);
  });

  it('that type alike are measured alike, whether Tab or a click led to the field', () => {
    const rhythm = ({ parts }) =>
      parts.filter(({ family }) => family === 'KEY').map(({ node, state, value }) => [node, state, value]);
    assert.deepEqual(rhythm(told.keyboard), rhythm(told.person));
    assert.ok(rhythm(told.person).filter(([, state]) => state === 'present').length >= 8);
  });

  it('with a keyboard alone lack what a pointer tells, and that adds exactly nothing', () => {
    const pointer = told.keyboard.parts.filter(({ family }) => POINTER.has(family));
    const absent = pointer.filter(({ state }) => state !== 'present');
    assert.ok(absent.length >= 12, `${absent.length} of ${pointer.length}`);
    assert.ok(absent.every(({ phi }) => phi === 0));
    const [modality] = told.keyboard.parts.filter(({ node }) => node === 'B084');
    assert.match(modality.value, /key/);
    assert.ok(modality.phi < 0.05, `${modality.phi} for operating by keys`);
  });

  it('that are programs leave fewer nodes and a higher score', () => {
    assert.ok(told.bot.nodes.present.length < told.person.nodes.present.length);
    assert.ok(told.bot.score > told.person.score, `${told.bot.score} beside ${told.person.score}`);
  });
});
