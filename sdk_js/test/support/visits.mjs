/** Whole visits as people make them, with real input events of the browser. */
import { collecting, stays, until } from './browser.mjs';

export const visit = async (page, stub, path) => {
  await page.goto(`${stub.origin}${path}?auto&lang=zh`);
  await collecting(page);
};

/** A wavy way of the mouse in many small steps, ending on an element. */
export const reach = async (page, selector, steps = 25) => {
  await page.locator(selector).scrollIntoViewIfNeeded();
  const box = await page.locator(selector).boundingBox();
  const to = { x: box.x + box.width * 0.4, y: box.y + box.height * 0.6 };
  const from = { x: to.x > 300 ? to.x - 250 : to.x + 250, y: Math.max(5, to.y - 60) };
  for (let i = 0; i <= steps; i++) {
    const part = (1 - Math.cos((i / steps) * Math.PI)) / 2;
    const wave = i < steps ? Math.sin(i / 2) * 4 : 0;
    await page.mouse.move(from.x + (to.x - from.x) * part, from.y + (to.y - from.y) * part + wave);
  }
  return to;
};

const jitter = async (page, times = 70) => {
  for (let i = 0; i < times; i++) await page.mouse.move(200 + (i % 3) * 2, 200 + ((i * 7) % 5));
};

const press = async (page, selector) => {
  const { x, y } = await reach(page, selector);
  await page.mouse.click(x, y, { delay: 40 });
};

const hideAndShow = async (page) => {
  for (const hidden of [true, false]) {
    await page.evaluate((to) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => to });
      dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  }
};

const type = async (page, selector, text) => {
  await page.focus(selector);
  for (const letter of text) {
    await page.keyboard.down(letter);
    await page.keyboard.up(letter);
  }
};

const compose = async (page, selector, words) => {
  await page.focus(selector);
  const cdp = await page.context().newCDPSession(page);
  for (const word of words) {
    await cdp.send('Input.imeSetComposition', { text: word, selectionStart: word.length, selectionEnd: word.length });
    await cdp.send('Input.insertText', { text: word });
  }
  await cdp.detach();
};

/** With mouse and keyboard, over all pages of the shop. */
export const desktopVisit = async ({ page, stub }) => {
  await visit(page, stub, '/home');
  await page.fill('#q', 'x');
  await page.click('#go');
  await visit(page, stub, '/list');
  await visit(page, stub, '/product/shoes');
  for (let i = 0; i < 30; i++) await page.mouse.wheel(0, 60);
  await press(page, '#add');
  await visit(page, stub, '/product/hats');
  await visit(page, stub, '/policy');
  await visit(page, stub, '/list');
  await visit(page, stub, '/cart');
  await press(page, '#plus');
  await visit(page, stub, '/checkout');
  await press(page, '#name');
  await type(page, '#name', 'zhangsan');
  await compose(page, '#name', ['张', '三', '丰']);
  await page.keyboard.press('Tab');
  await type(page, '#phone', '13800000000');
  await page.keyboard.press('Tab');
  await type(page, '#province', 'zhejiang');
  await page.keyboard.press('Backspace');
  await page.keyboard.press('Tab');
  await type(page, '#city', 'hangzhou');
  await page.keyboard.press('Tab');
  await type(page, '#street', 'wensanlu');
  await press(page, '#self');
  await press(page, '#other');
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Control+C');
  await hideAndShow(page);
  await page.focus('#note');
  await page.evaluate(() => navigator.clipboard.writeText('door 3'));
  await page.keyboard.press('Control+V');
  await jitter(page);
  await page.setViewportSize({ width: 1000, height: 700 });
  await until(
    async () => stub.visit.counters.frames || (await page.evaluate(() => collector.snapshot().includes('"frames"'))),
    '120 frames',
    20000,
  );
  await page.evaluate(() => collector.stage('payment'));
  await page.selectOption('#method', 'wallet');
  await page.selectOption('#method', 'card');
  await page.selectOption('#cards', 'two');
  await type(page, '#card', '4111111111');
  await page.frameLocator('#hosted').locator('#pan').click();
  await page.click('#card');
  await page.evaluate(() => collector.stage('submit'));
  await press(page, '#order');
  await until(() => stub.visit.counters.order_presses, 'the order');
  await page.close();
  await until(() => stays(stub) === 4, 'the last flush');
};

/** With one finger and a virtual keyboard. The sensors are events of the page: headless has none. */
export const phoneVisit = async ({ page, stub }) => {
  await visit(page, stub, '/product/shoes');
  const cdp = await page.context().newCDPSession(page);
  const touch = (kind, points) => cdp.send('Input.dispatchTouchEvent', { type: kind, touchPoints: points });
  const swipe = async (fromY, toY) => {
    await touch('touchStart', [{ x: 100, y: fromY, radiusX: 8 }]);
    for (let i = 1; i <= 8; i++)
      await touch('touchMove', [{ x: 100 + i, y: fromY + ((toY - fromY) * i) / 8, radiusX: 9 }]);
    await touch('touchEnd', []);
  };
  for (let i = 0; i < 4; i++) await swipe(500, 200);
  await touch('touchStart', [{ x: 100, y: 300, radiusX: 6 }]);
  await touch('touchStart', [
    { x: 100, y: 300 },
    { x: 200, y: 300, radiusX: 7 },
  ]);
  await touch('touchEnd', []);
  await page.evaluate(() => {
    for (let i = 0; i < 1200; i++) {
      const event = new Event('devicemotion');
      const sample = { acceleration: { x: 0.1, y: 0.2, z: 0.1 }, rotationRate: { alpha: 3, beta: 1, gamma: 0 } };
      Object.defineProperty(event, 'timeStamp', { value: 1000 + i * 10 });
      dispatchEvent(Object.assign(event, sample));
    }
  });
  await visit(page, stub, '/checkout');
  for (let i = 0; i < 6; i++) await page.tap('#saved');
  await page.evaluate(() => collector.stage('payment'));
  await page.waitForFunction(() => collector.snapshot().includes('location_granted'));
  await page.tap('#order');
  await page.close();
  await until(() => stub.visit.counters.clicks_touch === 7, 'the last flush');
};

export const DESKTOP = { permissions: ['clipboard-read', 'clipboard-write'] };
export const PHONE = {
  hasTouch: true,
  isMobile: true,
  viewport: { width: 390, height: 800 },
  permissions: ['geolocation'],
  geolocation: { latitude: 30, longitude: 120 },
};

/** What a buyer does, page by page: product, cart, address, payment, submit. */
export const buyerVisit = async ({ page, stub }) => {
  await visit(page, stub, '/product/shoes');
  for (let i = 0; i < 20; i++) await page.mouse.wheel(0, 60);
  await press(page, '#add');
  await visit(page, stub, '/cart');
  await press(page, '#plus');
  await visit(page, stub, '/checkout-address');
  await press(page, '#name');
  const texts = { '#name': 'zhangsan', '#phone': '13800000000', '#province': 'zhejiang', '#city': 'hangzhou' };
  for (const [field, text] of Object.entries(texts)) await type(page, field, text);
  await press(page, '#street');
  await type(page, '#street', 'wensanlu 1');
  await visit(page, stub, '/checkout-payment');
  await page.selectOption('#method', 'wallet');
  await type(page, '#card', '4111111111111111');
  await visit(page, stub, '/checkout-submit');
  await press(page, '#order');
  await until(() => stub.visit.counters.order_presses, 'the order');
  await page.close();
  await until(() => stays(stub) === 4, 'the last flush');
};
