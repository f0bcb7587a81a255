/** How long the whole way takes: from the consent dialogue to the shown report, in the served demo shop. */
import { buy, launch } from '../shop/bot.mjs';
import { serve, skip } from '../test/support/served.mjs';

const RUNS = 5;

const once = async (browser, url) => {
  const context = await browser.newContext();
  const page = await context.newPage();
  let began;
  const at = (name) => {
    if (name === 'consent') began = performance.now();
  };
  try {
    await buy(page, { url, consent: true, at });
    await page.click('#open-report');
    await page.waitForURL('**/shop/report/**');
    return (performance.now() - began) / 1000;
  } finally {
    await context.close();
  }
};

const run = async (figure) => {
  if (skip) return [figure('flow_s', null, '', { note: skip })];
  const service = await serve();
  const browser = await launch('bot');
  try {
    const seconds = [];
    for (let i = 0; i < RUNS; i++) seconds.push(await once(browser, service.shop));
    seconds.sort((a, b) => a - b);
    const all = seconds.map((s) => s.toFixed(1)).join(', ');
    const note = `median of ${RUNS} visits (${all} s) of a program that waits for no person: consent dialogue, product, cart, address, payment, verdict, report`;
    return [figure('flow_s', seconds[Math.floor(RUNS / 2)], 's', { note })];
  } finally {
    await browser.close();
    await service.stop();
  }
};

export const measureFlow = Object.assign(run, { names: ['flow_s'] });
