import type { Signal } from '../page.js';

/** Pages that came back from the back-forward cache. */
export const restores: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    page.add('page_loads');
    page.on('pageshow', ({ persisted }) => {
      if (persisted) page.add('restores');
    });
  },
};
