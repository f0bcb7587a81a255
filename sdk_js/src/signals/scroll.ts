import { log2 } from '../bins.js';
import type { Signal } from '../page.js';

const GAP_MS = 200;

/** Speed of scrolling while browsing. */
export const scroll: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const speed = page.hist('browse.scroll_speed');
    let scroller: unknown;
    let top = 0;
    let then = 0;
    page.on('scroll', ({ target, timeStamp }) => {
      if (page.shown.stage !== 'browse' && page.shown.stage !== 'entry') return;
      const at = target instanceof Element ? target.scrollTop : scrollY;
      const gap = timeStamp - then;
      if (target === scroller && gap > 0 && gap <= GAP_MS) log2(speed, (Math.abs(at - top) / gap) * 1e3);
      scroller = target;
      top = at;
      then = timeStamp;
    });
  },
};
