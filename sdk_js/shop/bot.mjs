#!/usr/bin/env node
/**
 * Buys in the demo shop through its own pages, and prints verdict, reasons and nodes as JSON.
 *
 * By default as bots do it: fields are filled by script, clicks come at once and without a way of the mouse.
 * `--person` moves, reads and types at about the pace of a person; `--keyboard` uses Tab, arrows and Enter alone.
 * Both hide `navigator.webdriver`, as evasive programs do: they are no people either, only their pace is.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium';
const PURPOSES = ['behavior', 'motion', 'device', 'location', 'separate'];
const HIDDEN = ['person', 'keyboard'];

export const launch = (mode, options = {}) =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      ...(HIDDEN.includes(mode) ? ['--disable-blink-features=AutomationControlled'] : []),
    ],
    ...options,
  });

const pause = (ms) => new Promise((ready) => setTimeout(ready, ms));

/** Uniform draws in [0, 1) that a seed repeats (mulberry32, Tommy Ettinger, public domain). */
export const seeded = (seed) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

/** Long-tailed, around `ms`. */
const paces = (random) => (ms) => ms * Math.exp((random() + random() + random() - 1.5) * 0.8);

/** What is ordered; names, numbers and streets are made up. */
export const someOrder = (lang = 'en', random = Math.random) => {
  const below = (n) => Math.floor(random() * n);
  const pick = (list) => list[below(list.length)];
  const digits = (n) => Array.from({ length: n }, () => below(10)).join('');
  const zh = lang === 'zh';
  return {
    sku: 'teapot',
    name: pick(zh ? ['林悦', '周明', '何晓'] : ['Lin Yue', 'Zhou Ming', 'He Xiao']),
    phone: `138${digits(8)}`,
    city: 'hangzhou',
    street: zh ? `西湖区文三路${1 + below(900)}号` : `Xihu, Wensan Road ${1 + below(900)}`,
    card: '6228 4800 0000 0007',
  };
};

/** Fills and clicks, as programs do. */
const botHands = (page) => ({
  press: (selector) => page.click(selector),
  write: (selector, text) => page.fill(selector, text),
  choose: (selector, value) => page.selectOption(selector, value),
  check: (selector) => page.check(selector),
  read: async () => {},
});

const CODES = { ' ': ['Space', 32], ',': ['Comma', 188] };
/** What the browser is told of a key: letters, digits, space and comma. */
const keyOf = (key) => {
  if (!/[a-z\d ,]/i.test(key))
    throw new Error(`no key is known for ${key}: letters, digits, space and comma are typed`);
  const code = key.toUpperCase().charCodeAt(0);
  const [name, windowsVirtualKeyCode] = CODES[key] ?? [
    /\d/.test(key) ? `Digit${key}` : `Key${key.toUpperCase()}`,
    code,
  ];
  return { key, code: name, windowsVirtualKeyCode };
};

/**
 * Types a text, keys overlapping where one is held longer than the next takes; Chinese comes from an input method.
 * Each key carries the time that was drawn for it, so that a busy machine types no other rhythm: with one seed the same
 * rhythm, whichever hands led to the field.
 */
const typing = (page, seed) => {
  const about = paces(seeded(seed));
  const ime = async (cdp, text) => {
    await cdp.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
    await pause(about(180));
    await cdp.send('Input.insertText', { text });
    await pause(about(80));
  };
  const keys = async (cdp, text) => {
    const presses = [];
    let at = Date.now();
    for (const letter of text) {
      presses.push([at, { type: 'keyDown', text: letter, ...keyOf(letter) }]);
      presses.push([at + about(90), { type: 'keyUp', ...keyOf(letter) }]);
      at += about(/[\s,]/.test(letter) ? 265 : 155);
    }
    for (const [due, event] of presses.sort(([one], [other]) => one - other)) {
      await pause(due - Date.now());
      await cdp.send('Input.dispatchKeyEvent', { ...event, timestamp: due / 1000 });
    }
  };
  return async (text) => {
    const cdp = await page.context().newCDPSession(page);
    await pause(about(350));
    for (const part of text.match(/[^\u0020-\u007e]{1,2}|[\u0020-\u007e]+/g) ?? []) {
      await (part > '\u007e' ? ime : keys)(cdp, part);
    }
    await cdp.detach();
  };
};

const personHands = (page, seed) => {
  const at = { x: 640, y: 300 };
  const type = typing(page, seed);
  const random = seeded(seed + 1);
  const about = paces(random);
  /** A bent way in submovements, faster in its middle, with a tremor. */
  const move = async (to) => {
    const far = Math.hypot(to.x - at.x, to.y - at.y);
    const steps = Math.max(6, Math.round(far / 18));
    const bend = (random() - 0.5) * far * 0.25;
    const from = { ...at };
    for (let i = 1; i <= steps; i++) {
      const part = (1 - Math.cos((i / steps) * Math.PI)) / 2;
      const side = Math.sin(part * Math.PI) * bend;
      const tremor = () => (i < steps ? (random() - 0.5) * 2.4 : 0);
      at.x = from.x + (to.x - from.x) * part - (side * (to.y - from.y)) / (far || 1) + tremor();
      at.y = from.y + (to.y - from.y) * part + (side * (to.x - from.x)) / (far || 1) + tremor();
      await page.mouse.move(at.x, at.y);
      await pause(about(9));
    }
  };
  const reach = async (selector) => {
    const found = page.locator(selector).first();
    for (let i = 0; i < 40; i++) {
      const box = await found.boundingBox();
      const { height } = page.viewportSize();
      const off = box.y + box.height / 2 - height / 2;
      if (Math.abs(off) < height * 0.3) break;
      const before = box.y;
      await page.mouse.wheel(0, Math.sign(off) * Math.min(120, Math.abs(off)));
      await pause(about(60));
      if ((await found.boundingBox()).y === before) break;
    }
    const box = await found.boundingBox();
    const within = () => 0.3 + random() * 0.4;
    await move({ x: box.x + Math.min(box.width, 240) * within(), y: box.y + box.height * within() });
  };
  const press = async (selector) => {
    await reach(selector);
    await pause(about(160));
    await page.mouse.down();
    await pause(about(85));
    await page.mouse.up();
  };
  return {
    press,
    write: async (selector, text) => {
      await press(selector);
      await type(text);
    },
    choose: async (selector, value) => {
      await press(selector);
      await pause(about(400));
      await page.keyboard.press('Escape');
      await byArrows(page, selector, value, about);
    },
    check: press,
    read: async () => {
      for (let i = 0; i < 4; i++) {
        await page.mouse.wheel(0, about(90));
        await pause(about(200));
      }
      await move({ x: at.x + (random() - 0.5) * 120, y: at.y + (random() - 0.5) * 90 });
      await pause(about(500));
    },
  };
};

/** Down to the option that is wanted, one key at a time. */
const byArrows = async (page, selector, value, pace) => {
  for (let i = 0; i < 20; i++) {
    if ((await page.locator(selector).inputValue()) === value) return;
    await page.keyboard.press('ArrowDown');
    await pause(pace(140));
  }
  throw new Error(`${selector} has no ${value}`);
};

const keyboardHands = (page, seed) => {
  const type = typing(page, seed);
  const about = paces(seeded(seed + 1));
  const key = async (name, ms = 120) => {
    await page.keyboard.press(name, { delay: about(60) });
    await pause(about(ms));
  };
  const focused = (selector) => page.evaluate((wanted) => !!document.activeElement?.matches(wanted), selector);
  const tabTo = async (selector) => {
    for (let i = 0; i < 80; i++) {
      if (await focused(selector)) return;
      await page.keyboard.press('Tab', { delay: about(60) });
    }
    throw new Error(`Tab does not lead to ${selector}`);
  };
  return {
    press: async (selector) => {
      await tabTo(selector);
      await key('Enter');
    },
    write: async (selector, text) => {
      await tabTo(selector);
      await type(text);
    },
    choose: async (selector, value) => {
      await tabTo(selector);
      await byArrows(page, selector, value, about);
    },
    check: async (selector) => {
      const group = await page.locator(selector).getAttribute('name');
      await tabTo(`input[name="${group}"]`);
      if (await focused(selector)) await key(' ');
      for (let i = 0; i < 4 && !(await focused(selector)); i++) await key('ArrowDown');
    },
    read: async () => {
      await key('PageDown', 400);
      await pause(about(500));
    },
  };
};

const HANDS = { bot: botHands, person: personHands, keyboard: keyboardHands };

/** Answer the dialogue: everything, nothing, or each purpose by itself. */
export const answer = async (page, hands, consent) => {
  await page.waitForSelector('#consent[open]');
  if (!consent) return hands.press('#refuse-all');
  const answers = consent === true ? Object.fromEntries(PURPOSES.map((name) => [name, true])) : consent;
  for (const name of PURPOSES) {
    if (name in answers) await hands.check(`#${name}-${answers[name] ? 'yes' : 'no'}`);
  }
  return hands.press('#save-answers');
};

/** Until every signal listens and the session is open, if anything was agreed to; a silent server keeps nobody. */
export const collecting = (page) =>
  page
    .waitForFunction(
      () => {
        const { collector } = globalThis.shop;
        return collector.state !== 'granted' || (collector.token() && collector.snapshot());
      },
      null,
      { timeout: 5000 },
    )
    .catch(() => {});

const anySeed = () => Math.floor(Math.random() * 2 ** 32);
const nothing = async () => {};

/**
 * One visit from the first page to the verdict.
 *
 * @param seed of every pace and way that is drawn: whoever names it again is as quick again.
 * @param consent true, false, or answers by purpose; undefined where no dialogue comes.
 * @param pay called with the selector of the last field instead of a press of the order button.
 * @param at called with the name of each page once it is there: for screenshots, or to do something else on it.
 * @returns what the shop's server was answered, with the nodes.
 */
export const buy = async (
  page,
  { url, mode = 'bot', seed = anySeed(), consent, lang = 'en', order, pay, at = nothing },
) => {
  const hands = HANDS[mode](page, seed);
  const what = { ...someOrder(lang, seeded(seed)), ...order };
  const on = async (name, selector) => {
    await page.waitForSelector(selector);
    if (consent) await collecting(page);
    await at(name);
    await hands.read();
  };
  await page.goto(`${url}?lang=${lang}`);
  if (consent !== undefined) {
    await page.waitForSelector('#consent[open]');
    await at('consent');
    await answer(page, hands, consent);
  }
  await on('home', '.goods');
  await hands.press(`.goods a[href*="/product/${what.sku}"]`);
  await on('product', '#add');
  await hands.press('#add');
  await on('cart', '#checkout');
  await hands.press('#checkout');
  await on('address', '#address-form');
  await hands.write('#name', what.name);
  await hands.write('#phone', what.phone);
  await hands.choose('#city', what.city);
  await hands.write('#street', what.street);
  await hands.check('#recipient-same');
  await hands.press('#to-payment');
  await on('payment', '#payment-form');
  await hands.write('#card', what.card);
  await at('paying');
  await (pay ? pay('#card') : hands.press('#order'));
  await page.waitForSelector('#decision');
  await at('done');
  const facts = JSON.parse(await page.getAttribute('#decision', 'data-facts'));
  return { hands: mode, seed, consent: !!consent, ...facts };
};

const main = async () => {
  const { values } = parseArgs({
    options: {
      url: { type: 'string', default: 'http://127.0.0.1:8137/shop/' },
      person: { type: 'boolean' },
      keyboard: { type: 'boolean' },
      consent: { type: 'boolean' },
      refuse: { type: 'boolean' },
      lang: { type: 'string', default: 'en' },
      seed: { type: 'string' },
      dark: { type: 'boolean' },
      narrow: { type: 'boolean' },
      screenshots: { type: 'string' },
    },
  });
  const seed = values.seed === undefined ? anySeed() : Number(values.seed);
  if (!/^\d{1,9}$/.test(values.seed ?? '0'))
    throw new Error(`--seed ${values.seed}: a number of at most nine digits is wanted`);
  if (!existsSync(CHROMIUM)) throw new Error(`no browser at ${CHROMIUM}: install chromium, or set CHROMIUM`);
  const mode = values.person ? 'person' : values.keyboard ? 'keyboard' : 'bot';
  const browser = await launch(mode);
  try {
    const page = await browser.newPage({
      viewport: values.narrow ? { width: 390, height: 800 } : { width: 1180, height: 820 },
      colorScheme: values.dark ? 'dark' : 'light',
      locale: values.lang === 'zh' ? 'zh-CN' : 'en-GB',
    });
    const folder = values.screenshots;
    if (folder) mkdirSync(folder, { recursive: true });
    const at = async (name) => {
      if (folder) await page.screenshot({ path: join(folder, `${name}.png`) });
    };
    const told = await buy(page, { url: values.url, mode, seed, consent: !values.refuse, lang: values.lang, at });
    if (folder) {
      await page.click('#open-report');
      await page.waitForURL('**/shop/report/**');
      await page.screenshot({ path: join(folder, 'report.png'), fullPage: true });
    }
    process.stdout.write(`${JSON.stringify(told, null, 1)}\n`);
  } finally {
    await browser.close();
  }
};

if (import.meta.filename === process.argv[1] || process.argv[1]?.endsWith('/shop/bot.mjs')) {
  await main().catch(({ message }) => {
    process.stderr.write(`${message}\n`);
    process.exitCode = 2;
  });
}
