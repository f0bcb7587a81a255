import { randomBytes } from 'node:crypto';
import { collecting, until } from './browser.mjs';

const FIELDS = ['#name', '#phone', '#province', '#city', '#street', '#note', '#card', '#secret', '#q'];
const WAYS = ['type', 'paste', 'compose', 'fill'];
// No field name has four of these in a row.
const LETTERS = 'qxzjvwk';
const HAN = '王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗';

const secret = (letters) => [...randomBytes(10)].map((byte) => letters[byte % letters.length]).join('');
/** Every run of `size` characters: one of them would tell the secret. */
const runs = (text, size) => Array.from({ length: text.length - size + 1 }, (_, i) => text.slice(i, i + size));
/** Four digits may occur in a count by chance, six of the same secret not. */
const pieces = (text) => runs(text, /\D/.test(text) ? 4 : 6);

const enter = async ({ page, context }, field, how, text) => {
  await page.focus(field);
  if (how === 'type') await page.keyboard.type(text);
  if (how === 'fill') await page.fill(field, text);
  if (how === 'paste') {
    await page.evaluate((value) => navigator.clipboard.writeText(value), text);
    await page.keyboard.press('Control+V');
  }
  if (how === 'compose') {
    const cdp = await context.newCDPSession(page);
    await cdp.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
    await cdp.send('Input.insertText', { text });
    await cdp.detach();
  }
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Control+C');
};

/** Put secrets into every field in every way, and into query, fragment and cookies; look for them in all that got out. */
export const fuzz = async (at, rounds) => {
  const { page, context, stub } = at;
  const secrets = [];
  for (let round = 0; round < rounds; round++) {
    const [query, fragment, cookie] = [secret(LETTERS), secret(LETTERS), secret(LETTERS)];
    secrets.push(query, fragment, cookie);
    await context.addCookies([{ name: 'shop', value: cookie, url: stub.origin }]);
    for (const path of ['home', 'checkout']) {
      await page.goto(`${stub.origin}/${path}?auto&q=${query}#${fragment}`);
      await collecting(page);
      for (const field of FIELDS) {
        if (!(await page.$(field))) continue;
        for (const how of WAYS) {
          const digits = field === '#phone' || field === '#card';
          const text = secret(how === 'compose' ? HAN : digits ? '0123456789' : LETTERS);
          secrets.push(text);
          await enter(at, field, how, text);
        }
      }
      await page.click(path === 'home' ? '#go' : '#order');
    }
  }
  await until(() => stub.flushes.length >= rounds, 'flushes');
  const everything = JSON.stringify([
    stub.requests.map(({ url, body, headers }) => [url, body, headers]),
    await page.evaluate(() => [collector.snapshot(), Object.entries(sessionStorage)]),
  ]);
  const found = [...new Set(secrets.flatMap(pieces))].filter((piece) => everything.includes(piece));
  return { secrets: secrets.length, bytes: everything.length, found };
};
