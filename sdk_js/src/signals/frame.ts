import { log2 } from '../bins.js';
import type { Signal } from '../page.js';

/** Focus going into and out of a hosted payment frame, as the page sees it. */
export const frame: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const rhythm = page.hist('payment.frame_gap');
    let then = 0;
    let inside = false;
    const changed = (timeStamp: number, into: boolean) => {
      if (then) log2(rhythm, timeStamp - then);
      then = timeStamp;
      inside = into;
    };
    page.on('blur', ({ target, timeStamp }) => {
      const { activeElement } = document;
      if (target !== window || !(activeElement instanceof HTMLIFrameElement)) return;
      if (page.shown.stage !== 'payment' && !page.within(activeElement, 'payment')) return;
      changed(timeStamp, true);
    });
    page.on('focus', ({ target, timeStamp }) => {
      if (target === window && inside) changed(timeStamp, false);
    });
    page.at('enter', () => {
      then = 0;
    });
  },
};
