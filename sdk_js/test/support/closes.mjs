import { collecting, until } from './browser.mjs';

const WAYS = ['close', 'navigate', 'context'];

/** End `visits` visits in turn by closing the page, leaving it, and closing its window; what of it arrived? */
export const closes = async (at, visits) => {
  for (let i = 0; i < visits; i++) {
    const context = await at.browser.newContext();
    const page = await context.newPage();
    await page.goto(`${at.stub.origin}/checkout?auto`);
    await collecting(page);
    await page.focus('#name');
    await page.keyboard.press('a');
    const way = WAYS[i % WAYS.length];
    if (way === 'close') await page.close();
    if (way === 'navigate') await page.goto('about:blank');
    await context.close();
  }
  const counted = () => [...at.stub.visits.values()].map(({ counters }) => counters.keys || 0);
  await until(() => counted().every((keys) => keys > 0), 'all visits', 5000).catch(() => {});
  return {
    visits: at.stub.visits.size,
    lost: counted().filter((keys) => keys === 0).length,
    twice: counted().filter((keys) => keys > 1).length,
    duplicates: at.stub.duplicates,
  };
};
