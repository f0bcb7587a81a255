import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { skip, until } from './support/browser.mjs';
import { harness } from './support/harness.mjs';
import { validator } from './support/stub.mjs';

const ROUNDS = 3;
const FIELDS = ['#name', '#phone', '#province', '#city', '#street', '#note', '#card', '#secret', '#q'];
const secret = (letters) => [...randomBytes(10)].map((byte) => letters[byte % letters.length]).join('');
// No field name has four of these in a row.
const LETTERS = 'qxzjvwk';
const HAN = '王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗';

/** Pieces of a secret that would tell it: every run of 4 characters. */
const pieces = (text) => Array.from({ length: text.length - 3 }, (_, i) => text.slice(i, i + 4));

describe('privacy', { skip }, () => {
  const at = harness({ context: { permissions: ['clipboard-read', 'clipboard-write'] } });

  /** Everything the SDK let out of its hands: requests with their headers' values, snapshot, storage. */
  const told = async () =>
    JSON.stringify([
      at.stub.requests.map(({ url, body }) => [url, body]),
      await at.run(() => [collector.snapshot(), Object.entries(sessionStorage), document.cookie]),
    ]);

  const enter = async (field, how, text) => {
    await at.page.focus(field);
    if (how === 'type') await at.page.keyboard.type(text);
    if (how === 'fill') await at.page.fill(field, text);
    if (how === 'paste') {
      await at.run((value) => navigator.clipboard.writeText(value), text);
      await at.page.keyboard.press('Control+V');
    }
    if (how === 'compose') {
      const cdp = await at.context.newCDPSession(at.page);
      await cdp.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
      await cdp.send('Input.insertText', { text });
      await cdp.detach();
    }
    await at.page.keyboard.press('Control+A');
    await at.page.keyboard.press('Control+C');
  };

  it('never lets out what is typed, pasted, composed or filled, nor queries and fragments', async () => {
    const secrets = [];
    for (let round = 0; round < ROUNDS; round++) {
      const [query, fragment] = [secret(LETTERS), secret(LETTERS)];
      secrets.push(query, fragment);
      for (const path of ['home', 'checkout']) {
        await at.open(`/${path}?auto&q=${query}#${fragment}`);
        await at.page.waitForFunction(() => collector.token());
        for (const field of FIELDS) {
          if (!(await at.page.$(field))) continue;
          for (const how of ['type', 'paste', 'compose', 'fill']) {
            const text = secret(
              field === '#phone' || field === '#card' ? '0123456789' : how === 'compose' ? HAN : LETTERS,
            );
            secrets.push(text);
            await enter(field, how, text);
          }
        }
        if (path === 'home') await at.page.click('#go');
        else await at.page.click('#order');
      }
    }
    await until(() => at.stub.flushes.length >= ROUNDS, 'flushes');
    const everything = await told();
    const found = secrets.flatMap(pieces).filter((piece) => everything.includes(piece));
    assert.ok(secrets.length > 100 && everything.length > 2000);
    // Four digits may occur in a count by chance, six of the same secret not.
    assert.deepEqual(
      found.filter((piece) => /\D/.test(piece)),
      [],
    );
    const digits = secrets.filter((text) => /^\d+$/.test(text));
    assert.deepEqual(
      digits.filter((text) => everything.includes(text.slice(0, 6)) || everything.includes(text.slice(-6))),
      [],
    );
    assert.deepEqual(at.stub.invalid, []);
  });

  it('sends counts, sums and words of closed lists alone: no other string, no long number list', async () => {
    await at.visit('/checkout');
    await at.page.click('#name');
    await at.page.keyboard.type('somebody');
    await at.page.mouse.move(10, 10);
    await at.page.mouse.move(400, 300, { steps: 60 });
    await at.page.click('#order');
    await until(() => at.stub.flushes.length, 'a flush');
    for (const body of at.stub.flushes) {
      const { zones, counters, ...envelope } = JSON.parse(body);
      const numbers = (value) => typeof value === 'number';
      assert.ok(Object.values(counters).every(numbers));
      for (const { n, h } of Object.values(zones).flatMap((zone) => Object.values(zone))) {
        assert.equal(h.length, 16);
        assert.ok(h.every(Number.isInteger) && n === h.reduce((a, b) => a + b));
      }
      assert.deepEqual(Object.keys(envelope).sort(), [
        'consent_id',
        'device_class',
        'modality',
        'nonce',
        'seq',
        'session',
        'v',
      ]);
    }
  });

  it('shows in the snapshot the very bytes that are sent next', async () => {
    await at.visit('/checkout');
    await at.page.click('#name');
    await at.page.keyboard.type('somebody');
    const shown = await at.run(async () => {
      const bytes = collector.snapshot();
      await collector.flush();
      return bytes;
    });
    await until(() => at.stub.flushes.length >= shown.split('\n').length, 'the flush');
    assert.deepEqual([...new Set(at.stub.flushes)], shown.split('\n'));
    assert.equal(await at.run(() => collector.snapshot()), '');
  });

  it('fits a schema that is closed at every level', async () => {
    await at.visit('/checkout');
    await at.page.click('#name');
    await at.page.keyboard.type('ab');
    const [body] = (await at.run(() => collector.snapshot())).split('\n');
    const valid = validator();
    const good = JSON.parse(body);
    assert.ok(valid(good), JSON.stringify(valid.errors));
    const open = [
      (flush) => (flush.url = '/checkout'),
      (flush) => (flush.zones.elsewhere = {}),
      (flush) => (flush.zones.name.value = { n: 1, h: Array(16).fill(0) }),
      (flush) => (flush.zones.any.key_hold.raw = [1]),
      (flush) => flush.zones.any.key_hold.h.push(1),
      (flush) => (flush.zones.any.key_hold.h[0] = 0.5),
      (flush) => (flush.counters.typed = 1),
      (flush) => (flush.counters.keys = 'a'),
      (flush) => (flush.counters.keys = -1),
      (flush) => (flush.modality = 'blind'),
      (flush) => delete flush.nonce,
      (flush) => (flush.v = 2),
    ];
    for (const change of open) {
      const flush = structuredClone(good);
      change(flush);
      assert.equal(valid(flush), false, `${change}`);
    }
  });

  it('sees nothing of a password field', async () => {
    await at.visit('/checkout');
    await at.page.focus('#secret');
    await at.page.keyboard.type('hunter2hunter2');
    const { counters, zones } = JSON.parse(await at.run(() => collector.snapshot()));
    assert.deepEqual([counters.keys, counters.inputs, zones.any?.key_hold], [undefined, undefined, undefined]);
  });
});
