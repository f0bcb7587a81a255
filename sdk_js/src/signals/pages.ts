import type { Signal } from '../page.js';
import { mark } from '../visit.js';

const MARKS = 256;

/** Page views, pages seen for the first time, and returns to a page seen before. Paths are kept as keyed marks. */
export const pages: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    page.at('enter', (view) => {
      if (!view) return;
      const { visit, shown } = page;
      const { marks, kept } = visit;
      const path = mark(shown.path, visit.salt);
      const reload = path === kept.path;
      if (reload) return;
      page.add('page_views');
      if (marks.includes(path)) page.add('page_returns');
      else {
        if (/^(entry|browse|cart)$/.test(shown.stage)) page.add('pages_distinct');
        if (marks.length < MARKS) marks.push(path);
      }
      kept.path = path;
    });
  },
};
