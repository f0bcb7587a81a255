import { KINDS, type Signal } from '../page.js';
import { mark } from '../visit.js';

/** Moves between kinds of pages, and changes of category between product pages. */
export const moves: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    page.at('enter', (view) => {
      if (!view) return;
      const { visit, shown } = page;
      const { kept } = visit;
      const kind = Math.max(0, KINDS.indexOf(shown.kind));
      if ('kind' in kept) page.hist(`${KINDS[kept.kind]}.moves`)[kind]++;
      kept.kind = kind;
      if (shown.kind !== 'product') return;
      const category = mark(shown.category || '', visit.salt);
      if ('category' in kept) {
        page.add('product_pairs');
        if (kept.category !== category) page.add('category_jumps');
      }
      kept.category = category;
    });
  },
};
