import { log2 } from '../bins';
import type { Signal } from '../page';

/** From coming back to the page to the first press or key. */
export const returns: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const gap = page.hist('any.return_to_action');
    let returned = -1;
    const acted = ({ isTrusted, timeStamp }: Event) => {
      if (returned < 0 || !isTrusted) return;
      log2(gap, timeStamp - returned, 256);
      returned = -1;
    };
    page.on('pointerdown', acted);
    page.on('keydown', acted);
    page.at('show', () => {
      returned = performance.now();
    });
    page.at('hide', () => {
      returned = -1;
    });
  },
};
