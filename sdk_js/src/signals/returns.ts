import { log2 } from '../bins.js';
import { isSecret } from '../field.js';
import type { Signal } from '../page.js';

const HOUR_MS = 36e5;

/** From coming back to the page to the first press or key. */
export const returns: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const gap = page.hist('any.return_to_action');
    let returned = -1;
    let away = false;
    const acted = (event: Event) => {
      if (returned < 0 || !event.isTrusted || isSecret(event)) return;
      // Not the event's own time: a mini program counts that from elsewhere.
      const waited = performance.now() - returned;
      if (waited <= HOUR_MS) log2(gap, waited, 256);
      returned = -1;
    };
    page.on('pointerdown', acted);
    page.on('keydown', acted);
    page.at('show', () => {
      if (away) returned = performance.now();
    });
    page.at('hide', () => {
      away = true;
      returned = -1;
    });
  },
};
