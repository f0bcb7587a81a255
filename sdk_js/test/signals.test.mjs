import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collecting, skip, until } from './support/browser.mjs';
import { harness } from './support/harness.mjs';
import { MAP, nodesOf } from './support/nodes.mjs';
import { DESKTOP, desktopVisit, PHONE, phoneVisit } from './support/visits.mjs';

const mouseNodes = ['B013', 'B014', 'B015', 'B016', 'B017', 'B019', 'B021', 'B022', 'B024', 'B025', 'B081'];

describe('signals', { skip }, () => {
  const at = harness({ context: DESKTOP });

  /** Nodes of what was counted so far, sent and not sent. */
  const nodes = async () => {
    await until(() => at.run(() => collector.flush()), 'acknowledgement');
    await until(async () => at.stub.visit && (await at.run(() => collector.snapshot())) === '', 'the flush');
    return nodesOf(at.stub.visit);
  };
  const withPage = async (options, act) => {
    const context = await at.browser.newContext(options);
    const page = await context.newPage();
    try {
      return await act({ page, stub: at.stub });
    } finally {
      await context.close();
    }
  };

  it('gather all nodes of the catalogue that the SDK computes, over a visit by mouse and one by touch', async () => {
    await desktopVisit(at);
    const desktop = nodesOf(at.stub.visit);
    await withPage(PHONE, phoneVisit);
    const phone = nodesOf(at.stub.visit);
    const missing = Object.keys(MAP.nodes).filter((id) => !(id in desktop.values) && !(id in phone.values));
    assert.deepEqual(missing, []);
    assert.equal(Object.keys(MAP.nodes).length, 79);
    assert.deepEqual(at.stub.invalid, []);
    for (const id of mouseNodes) assert.equal(phone.absent[id], 'not_applicable', id);
    assert.deepEqual(
      [desktop.values.B084, phone.values.B084, desktop.values.B051, phone.values.B051],
      ['mouse', 'touch', 'new', 'saved'],
    );
  });

  it('tell a filled field from a typed one', async () => {
    await at.visit('/checkout');
    for (const field of ['#name', '#province', '#city', '#street', '#note']) await at.page.fill(field, 'filled');
    assert.equal((await nodes()).values.B057, 1);
    for (let i = 0; i < 5; i++) {
      await at.page.focus('#street');
      await at.page.keyboard.press('a');
    }
    assert.equal((await nodes()).values.B057, 0.5);
  });

  it('count events that a script made', async () => {
    await at.visit('/checkout');
    await at.run(() => {
      for (let i = 0; i < 10; i++) document.querySelector('#saved').click();
    });
    const { values } = await nodes();
    assert.equal(values.B080, 1);
    assert.equal(values.B084, undefined, 'they are no way of operating the page');
  });

  it('read an input method as composition, not as input without keys', async () => {
    await at.open('/checkout?auto&lang=zh');
    await collecting(at.page);
    await at.page.focus('#name');
    const cdp = await at.context.newCDPSession(at.page);
    for (const text of ['王', '小', '明', '先', '生']) {
      await cdp.send('Input.imeSetComposition', { text, selectionStart: 1, selectionEnd: 1 });
      await cdp.send('Input.insertText', { text });
    }
    const { values } = await nodes();
    assert.equal(values.B041, 1);
    assert.equal(values.B057 ?? 0, 0);
  });

  it('leave input methods out where the page is in a language without them', async () => {
    await at.visit('/checkout');
    await at.page.focus('#name');
    await at.page.keyboard.type('abcdef');
    assert.equal((await nodes()).absent.B041, 'not_delivered');
  });

  it('take a shopper without a mouse as one without a mouse: absences, and no value that raises', async () => {
    await at.visit('/checkout');
    await at.page.focus('#name');
    for (const text of ['li lei', '13800000000', 'zhejiang', 'hangzhou', 'wensanlu 1', 'back door']) {
      await at.page.keyboard.type(text);
      await at.page.keyboard.press('Tab');
    }
    for (let i = 0; i < 3; i++) await at.page.keyboard.press('Tab');
    await at.page.focus('#saved');
    for (let i = 0; i < 3; i++) await at.page.keyboard.press('Enter');
    await at.page.focus('#order');
    await at.page.keyboard.press('Enter');
    const { values, absent } = await nodes();
    for (const id of mouseNodes) assert.equal(absent[id], 'not_applicable', id);
    const { B032, B057, B080, B084, B049 } = values;
    assert.deepEqual([B032, B057, B080, B084, B049], [undefined, 0, 0, 'key', 1]);
    assert.equal(at.stub.visit.words.modality, 'key');
    assert.equal(await at.run(() => window.pressed), 1);
  });

  it('take clicks of assistive tools as a way of operating, not as clicks without a move', async () => {
    await at.visit('/checkout');
    const cdp = await at.context.newCDPSession(at.page);
    await cdp.send('Accessibility.enable');
    const { nodes: tree } = await cdp.send('Accessibility.getFullAXTree');
    const button = tree.find(({ role, name }) => role?.value === 'button' && name?.value === 'order');
    const { object } = await cdp.send('DOM.resolveNode', { backendNodeId: button.backendDOMNodeId });
    for (let i = 0; i < 4; i++) {
      await cdp.send('Runtime.callFunctionOn', {
        objectId: object.objectId,
        functionDeclaration: 'function(){this.click()}',
      });
    }
    const { values, absent } = await nodes();
    assert.equal(absent.B022, 'not_applicable');
    assert.equal(values.B032, undefined);
  });

  it('do not ask whether motion is reduced: the same actions send the same counters', async () => {
    const counters = async (reducedMotion) =>
      withPage({ reducedMotion }, async ({ page }) => {
        await page.goto(`${at.stub.origin}/checkout?auto`);
        await collecting(page);
        await page.focus('#name');
        await page.keyboard.press('a');
        return Object.keys(JSON.parse(await page.evaluate(() => collector.snapshot())).counters)
          .filter((key) => !key.startsWith('frames'))
          .sort();
      });
    assert.deepEqual(await counters('reduce'), await counters('no-preference'));
  });

  it('see autofill where the browser says so', async () => {
    await at.visit('/checkout');
    // Simulated: headless Chromium holds no saved address.
    await at.run(() => {
      const { matches } = Element.prototype;
      Element.prototype.matches = function (selector) {
        return selector === ':autofill' ? this.dataset.filled === '' : matches.call(this, selector);
      };
      for (const id of ['name', 'province', 'city']) document.getElementById(id).dataset.filled = '';
    });
    for (const field of ['#name', '#province', '#city', '#street']) await at.page.fill(field, 'some');
    const { values } = await nodes();
    assert.equal(values.B056, 0.75);
    assert.equal(values.B051, 'new');
    assert.equal(at.stub.visit.counters.inputs_uncaused, 1);
  });

  it('follow the order of fields, returns and edits', async () => {
    await at.visit('/checkout');
    const type = async (field) => {
      await at.page.focus(field);
      await at.page.keyboard.type('ab');
    };
    for (const field of ['#street', '#city', '#province', '#phone', '#name']) await type(field);
    assert.equal((await nodes()).values.B043, 'bottom_up');
    await type('#street');
    await at.page.focus('#city');
    const { values } = await nodes();
    assert.deepEqual([values.B045, values.B050], [2, 1], 'two returns, one of them with an edit');
  });

  it('count a field that turns invalid once for each attempt', async () => {
    await at.visit('/checkout');
    const fail = () => at.run(() => document.querySelector('#name').reportValidity());
    await fail();
    await fail();
    assert.equal((await nodes()).values.B048, 1);
    await at.page.focus('#name');
    await at.page.keyboard.press('a');
    await at.page.keyboard.press('Backspace');
    await fail();
    await at.run(() => document.querySelector('#phone').setAttribute('aria-invalid', 'true'));
    assert.equal((await nodes()).values.B048, 3);
  });

  it('tell the last way that the address was given, and switches after the first choice only', async () => {
    await at.visit('/checkout');
    await at.page.click('#saved');
    assert.equal((await nodes()).values.B051, 'saved');
    await at.page.focus('#street');
    await at.page.keyboard.press('a');
    assert.equal((await nodes()).values.B051, 'new');
    await at.run(() => collector.event('address-parse'));
    assert.equal((await nodes()).values.B051, 'parsed');
    await at.page.check('#self');
    assert.equal((await nodes()).values.B052, 0);
    await at.page.check('#other');
    await at.page.check('#self');
    assert.equal((await nodes()).values.B052, 2);
  });

  it('count the click on a label once, though the browser makes a second one on its field', async () => {
    await at.visit('/checkout');
    for (const field of ['#self', '#other', '#self']) {
      const box = await at.page.locator(`label:has(${field})`).boundingBox();
      await at.page.mouse.move(box.x + box.width - 15, box.y + box.height / 2 + 1, { steps: 5 });
      await at.page.mouse.click(box.x + box.width - 3, box.y + box.height / 2);
    }
    await at.page.click('#self');
    await nodes();
    const { counters } = at.stub.visit;
    const { clicks_mouse, clicks_other, mouse_clicks, consignee_choices } = counters;
    assert.deepEqual([clicks_mouse, clicks_other, mouse_clicks, consignee_choices], [4, undefined, 4, 3]);
  });

  it('take no shortcut for overlapping keys: of one with Command the release is never told', async () => {
    await at.visit('/checkout');
    await at.page.focus('#name');
    await at.page.evaluate(() => addEventListener('keyup', (event) => event.stopImmediatePropagation(), true));
    await at.page.keyboard.down('Meta');
    await at.page.keyboard.down('v');
    await at.page.keyboard.up('Meta');
    await at.page.keyboard.down('a');
    await nodes();
    assert.deepEqual([at.stub.visit.counters.keys, at.stub.visit.counters.key_rollovers], [2, undefined]);
    await at.page.keyboard.down('b');
    await nodes();
    assert.equal(at.stub.visit.counters.key_rollovers, 1);
  });

  it('count no key that only leads through the page: whoever has no mouse presses more of them', async () => {
    await at.visit('/checkout');
    await at.page.focus('#name');
    const press = async (keys) => {
      for (const key of keys) await at.page.keyboard.press(key);
      await nodes();
      const { keys: all, address_keys, segment_gaps, corrections } = at.stub.visit.counters;
      const gaps = at.stub.visit.histograms['any.key_gap'].reduce((sum, count) => sum + count, 0);
      return { all, address_keys, segment_gaps, corrections, gaps };
    };
    const typed = await press([...'zhFEHP 7', 'Backspace', 'g', 'ArrowLeft', 'Delete']);
    assert.deepEqual(typed, { all: 11, address_keys: 11, segment_gaps: 10, corrections: 2, gaps: 10 });
    const led = ['Home', 'End', 'ArrowUp', 'ArrowDown', 'PageDown', 'PageUp', 'Insert', 'Escape', 'F2', 'Enter'];
    assert.deepEqual(await press(led), typed);
    // As input methods of Windows hide keys.
    const cdp = await at.context.newCDPSession(at.page);
    const hidden = (code) => cdp.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', key: 'Process', code });
    await hidden('ArrowDown');
    assert.deepEqual(await press([]), typed);
    await hidden('KeyN');
    assert.equal((await press([])).all, typed.all + 1);
    assert.equal((await press(['Shift+Tab', 'Tab'])).all, typed.all + 1);
  });

  it('drop a return of which the first act came more than an hour later', async () => {
    await at.visit('/checkout');
    const leave = () =>
      at.run(() => {
        for (const hidden of [true, false]) {
          Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
          document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
        }
      });
    const later = (ms) =>
      at.run((by) => {
        const now = performance.now.bind(performance);
        performance.now = () => now() - by;
      }, ms);
    await later(36e5 + 1000);
    await leave();
    await at.run(() => delete performance.now);
    await at.page.click('#name');
    await at.page.evaluate(() => navigator.clipboard.writeText('x'));
    await at.page.keyboard.press('Control+V');
    assert.deepEqual([(await nodes()).values.B073, (await nodes()).values.B059], [undefined, undefined]);
    await leave();
    await at.page.click('#name');
    await at.page.keyboard.press('Control+V');
    const { B059, B073 } = (await nodes()).values;
    assert.ok(B059 < 36e5 && B073 < 36e5);
  });

  it('take autofill as unknown where the browser does not know the state', async () => {
    await at.visit('/checkout');
    await at.run(() => {
      const { matches } = Element.prototype;
      Element.prototype.matches = function (selector) {
        if (selector === ':autofill') throw new SyntaxError(selector);
        return matches.call(this, selector);
      };
    });
    await at.page.fill('#name', 'some');
    assert.equal((await nodes()).values.B056, 0);
  });

  it('count a mouse click to which no move led', async () => {
    await at.visit('/checkout');
    const cdp = await at.context.newCDPSession(at.page);
    const { x, y } = await at.page.locator('#saved').boundingBox();
    const send = (type) =>
      cdp.send('Input.dispatchMouseEvent', {
        type,
        x: x + 5,
        y: y + 5,
        button: 'left',
        clickCount: 1,
        pointerType: 'mouse',
      });
    await send('mousePressed');
    await send('mouseReleased');
    assert.equal((await nodes()).values.B022, 1);
  });

  it('never ask for a position, and read none', async () => {
    const asked = await withPage({}, async ({ page }) => {
      await page.addInitScript(() => {
        window.asked = 0;
        navigator.geolocation.getCurrentPosition = () => {
          window.asked++;
        };
      });
      await page.goto(`${at.stub.origin}/checkout-payment?auto`);
      await collecting(page);
      await page.evaluate(() => collector.flush());
      return page.evaluate(() => window.asked);
    });
    assert.equal(asked, 0);
  });
});
