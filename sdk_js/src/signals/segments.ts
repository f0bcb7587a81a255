import { isPress, isText } from '../field.js';
import type { Signal, Zone } from '../page.js';

const ZONES: Zone[] = ['name', 'phone', 'address'];
const GAP_MS = 1e4;
const LEAST = 5;
/** Five bins an octave from 16 ms to 12 s, so that 3 times the median lies 8 bins on. */
const BINS = 48;
const bin = (gap: number) => Math.max(0, Math.min(BINS - 1, (5 * Math.log2(gap / 16)) | 0));
const TRIPLE = 8;

interface Rhythm {
  bins: Uint16Array;
  gaps: number;
  told: number;
  toldLong: number;
}

/** Pauses of more than three times a field's own median gap. */
export const segments: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const fields = new Map<EventTarget, Rhythm>();
    let field: Rhythm | undefined;
    let then = 0;
    page.on('focusin', ({ target }) => {
      field = undefined;
      then = 0;
      if (!target || !isText(target) || !ZONES.some((zone) => page.within(target, zone))) return;
      field = fields.get(target) || { bins: new Uint16Array(BINS), gaps: 0, told: 0, toldLong: 0 };
      fields.set(target, field);
    });
    page.on('keydown', (event) => {
      if (!field || !isPress(event)) return;
      const { timeStamp } = event;
      const gap = timeStamp - then;
      if (then && gap <= GAP_MS) {
        field.bins[bin(gap)]++;
        field.gaps++;
      }
      then = timeStamp;
    });
    page.at('flush', () => {
      for (const rhythm of fields.values()) {
        const { bins, gaps } = rhythm;
        if (gaps < LEAST) continue;
        let below = 0;
        const median = bins.findIndex((count) => (below += count) >= gaps / 2);
        const long = bins.subarray(median + TRIPLE).reduce((a, b) => a + b, 0);
        page.add('segment_gaps', gaps - rhythm.told);
        page.add('segment_breaks', long - rhythm.toldLong);
        rhythm.told = gaps;
        rhythm.toldLong = long;
      }
    });
  },
};
