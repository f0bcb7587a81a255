import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

export const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium';
/** Why browser tests cannot run, or false. */
export const skip = existsSync(CHROMIUM)
  ? false
  : `no browser at ${CHROMIUM}: apt-get install chromium, or set CHROMIUM`;

export const launch = (options = {}) =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1',
    ],
    ...options,
  });

/** Wait for a condition of the stub or the page without a fixed pause. */
export const until = async (holds, what = 'condition', timeoutMs = 5000) => {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what} did not come within ${timeoutMs} ms`);
    await new Promise((ready) => setTimeout(ready, 10));
  }
};

/** Stays in checkout stages that have arrived at the stub: the last one comes with the page's end. */
export const stays = (stub) => (stub.visit.histograms['checkout.dwell'] || []).reduce((a, b) => a + b, 0);

/** The page has begun to collect: its session is open, and every signal listens. */
export const collecting = (page) => page.waitForFunction(() => collector.token() && collector.snapshot());

/** A request that another page of the window sends now has come: what was sent before has come as well. */
export const arrived = async ({ context, stub }) => {
  const page = await context.newPage();
  await page.goto(`${stub.origin}/home?sdk=off`);
  await page.evaluate(() => fetch('/v1/marker', { method: 'POST' }));
  await page.close();
  stub.requests = stub.requests.filter(({ url }) => url !== '/v1/marker');
};

/** Objects of a class that the page still holds after the garbage is collected. */
export const held = async (page, name) => {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('HeapProfiler.collectGarbage');
  const { result: prototype } = await cdp.send('Runtime.evaluate', { expression: `${name}.prototype` });
  const { objects } = await cdp.send('Runtime.queryObjects', { prototypeObjectId: prototype.objectId });
  const { result } = await cdp.send('Runtime.callFunctionOn', {
    objectId: objects.objectId,
    functionDeclaration: 'function () { return this.length; }',
    returnByValue: true,
  });
  await cdp.detach();
  return result.value;
};

/** Types of the SDK's listeners on window, document, html and body, as the browser itself counts them. */
export const listeners = async (page) => {
  const cdp = await page.context().newCDPSession(page);
  const ours = new Set();
  cdp.on('Debugger.scriptParsed', ({ scriptId, url }) => url.includes('/sdk/') && ours.add(scriptId));
  await cdp.send('Debugger.enable');
  const all = [];
  for (const expression of ['window', 'document', 'document.documentElement', 'document.body']) {
    const { result } = await cdp.send('Runtime.evaluate', { expression });
    const found = await cdp.send('DOMDebugger.getEventListeners', { objectId: result.objectId });
    all.push(...found.listeners);
  }
  await cdp.detach();
  return all.filter(({ scriptId }) => ours.has(scriptId)).map(({ type }) => type);
};
