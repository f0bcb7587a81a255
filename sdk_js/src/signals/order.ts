import type { Signal } from '../page.js';

/** Spans that end with the last press of the order button; each press tells how much they grew. */
export const order: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    let review = -1;
    let hidden = 0;
    page.at('enter', () => {
      review = page.shown.stage === 'submit' ? performance.now() : -1;
    });
    page.at('hide', () => {
      hidden = Date.now();
    });
    page.at('show', () => {
      if (!hidden) return;
      const { kept } = page.visit;
      kept.hidden = (kept.hidden || 0) + Date.now() - hidden;
      page.add('hides');
      hidden = 0;
    });
    page.at('act', (act) => {
      if (act !== 'order') return;
      const { since, kept } = page.visit;
      page.add('order_presses');
      page.level('order_s', (Date.now() - since) / 1e3);
      page.level('hidden_s', (kept.hidden || 0) / 1e3);
      if (review >= 0) page.level('review_ms', performance.now() - review);
    });
  },
};
