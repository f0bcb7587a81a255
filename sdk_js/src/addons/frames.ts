import { inCheckout } from '../field.js';
import type { Signal } from '../page.js';

const FRAMES = 120;

/** How even the first 120 frames of the checkout are. */
export const frames: Signal = {
  purpose: 'device',
  listen: (page) => {
    const gaps = new Float64Array(FRAMES - 1);
    let running = false;
    const run = () => {
      running = true;
      let count = -1;
      let then = 0;
      const next = (now: number) => {
        if (document.hidden || page.signal.aborted) {
          running = false;
          return;
        }
        if (count >= 0) gaps[count] = now - then;
        then = now;
        if (++count < FRAMES - 1) requestAnimationFrame(next);
        else tell();
      };
      requestAnimationFrame(next);
    };
    const tell = () => {
      const median = gaps.slice().sort()[FRAMES / 2 - 1];
      page.visit.kept.frames = 1;
      page.add('frames', gaps.length);
      page.add('frames_stable', gaps.filter((gap) => Math.abs(gap - median) <= 0.1 * median).length);
    };
    const begin = () => {
      if (!running && !page.visit.kept.frames && inCheckout(page)) run();
    };
    page.at('enter', begin);
    page.at('show', begin);
  },
};
