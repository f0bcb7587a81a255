import { coarse } from '../field.js';
import type { Signal } from '../page.js';

const QUIET_MS = 500;

/** Window resizes; turning the device and virtual keyboards (same width) are none. */
export const resize: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    let width = innerWidth;
    let portrait = innerWidth < innerHeight;
    let then = -QUIET_MS;
    page.on('resize', ({ timeStamp }) => {
      const touch = coarse();
      const turned = touch && portrait !== innerWidth < innerHeight;
      if (!turned && !(touch && width === innerWidth) && timeStamp - then >= QUIET_MS) page.add('resizes');
      width = innerWidth;
      portrait = innerWidth < innerHeight;
      then = timeStamp;
    });
  },
};
