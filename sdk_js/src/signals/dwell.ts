import { log2 } from '../bins';
import type { Signal } from '../page';

/** Visible seconds of product pages and of stays in the stages of the checkout. */
export const dwell: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    let stayed = 0;
    let viewed = 0;
    page.at('enter', (view) => {
      stayed = page.visible();
      if (view) viewed = stayed;
      page.add(`stage_${page.shown.stage}`);
    });
    page.at('leave', (view) => {
      const now = page.visible();
      const { kind, stage } = page.shown;
      if (kind === 'product' && view) log2(page.hist('product.dwell'), (now - viewed) / 1e3);
      if (!/entry|browse/.test(stage)) log2(page.hist('checkout.dwell'), (now - stayed) / 1e3);
    });
    let told = 0;
    page.at('flush', () => {
      const now = page.visible();
      if (page.shown.stage === 'payment') page.add('payment_s', (now - Math.max(told, stayed)) / 1e3);
      told = now;
    });
    page.at('leave', () => {
      const now = page.visible();
      if (page.shown.stage === 'payment') page.add('payment_s', (now - Math.max(told, stayed)) / 1e3);
      told = now;
    });
  },
};
