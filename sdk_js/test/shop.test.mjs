import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buy, launch, someOrder } from '../shop/bot.mjs';
import { until } from './support/browser.mjs';
import { serve, skip } from './support/served.mjs';
import { validator } from './support/stub.mjs';

const ROOT = new URL('..', import.meta.url).pathname;
const SHOTS = join(ROOT, '../build/shop');
const RANK = ['accept', 'review', 'reject'];
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

  it('serves the scripts that were built last', () => {
    execFileSync('node', ['scripts/shop.mjs', '--check'], { cwd: ROOT });
  });

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

describe('shoppers of the demo shop', { skip }, () => {
  /** Each buys the same in a shop that has sold nothing yet. */
  const told = {};
  before(async () => {
    for (const hands of ['person', 'keyboard', 'bot']) {
      const service = await serve();
      const browser = await launch(hands);
      try {
        const { page } = await visitor(browser);
        const order = { ...someOrder(), name: 'Lin Yue', phone: '13812345678', street: 'Xihu, Wensan Road 100' };
        told[hands] = await buy(page, { url: service.shop, mode: hands, consent: true, order });
      } finally {
        await browser.close();
        await service.stop();
      }
    }
  });

  it('with a keyboard alone are not judged worse than with a mouse', () => {
    const { keyboard, person } = told;
    assert.ok(RANK.indexOf(keyboard.verdict) <= RANK.indexOf(person.verdict));
    // Two visits are never the same: their pace is drawn.
    assert.ok(keyboard.score <= person.score + 0.1, `${keyboard.score} beside ${person.score}`);
    const ids = keyboard.nodes.present.map(({ id }) => id);
    assert.ok(ids.includes('B084') && !ids.includes('B014') && !ids.includes('B017'));
    assert.ok(keyboard.reasons.every(({ nodes, direction }) => direction === 'relief' || !nodes.includes('B084')));
  });

  it('that are programs leave fewer nodes and a higher score', () => {
    assert.ok(told.bot.nodes.present.length < told.person.nodes.present.length);
    assert.ok(told.bot.score > told.person.score, `${told.bot.score} beside ${told.person.score}`);
  });
});
