import { log2 } from '../bins.js';
import { inCheckout } from '../field.js';
import type { Signal } from '../page.js';

/** Visible seconds of product pages and of stays in the stages of the checkout. */
export const dwell: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    let stayed = 0;
    let viewed = 0;
    let told = 0;
    const payment = () => {
      const now = page.visible();
      if (page.shown.stage === 'payment') page.add('payment_s', (now - told) / 1e3);
      told = now;
    };
    page.at('enter', (view) => {
      told = stayed = page.visible();
      if (view) viewed = stayed;
      const { stage } = page.shown;
      if (/cart|payment/.test(stage)) page.add(`stage_${stage as 'cart' | 'payment'}`);
    });
    page.at('flush', payment);
    page.at('leave', (view) => {
      payment();
      const { kind } = page.shown;
      if (kind === 'product' && view) log2(page.hist('product.dwell'), (told - viewed) / 1e3);
      if (inCheckout(page)) log2(page.hist('checkout.dwell'), (told - stayed) / 1e3);
    });
  },
};
