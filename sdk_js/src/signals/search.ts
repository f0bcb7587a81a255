import type { Signal } from '../page.js';

/** Searches in the shop. What is searched for is never read. */
export const search: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    page.at('act', (act) => {
      if (act === 'search') page.add('searches');
    });
    page.at('enter', () => {
      const { kept } = page.visit;
      if (page.zones.includes('search') && !kept.search) page.add('shop_marks_search');
      kept.search = 1;
    });
  },
};
