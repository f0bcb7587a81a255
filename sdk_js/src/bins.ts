/** One histogram: 16 counts, kept in place for the life of the page. */
export type Bins = Uint32Array;

/** Count `value` in `[0, from) [from, 2 from) [2 from, 4 from) …`, the last bin open above. */
export const log2 = (bins: Bins, value: number, from = 1): void => {
  bins[Math.min(15, 32 - Math.clz32(Math.min(value / from, 1e9)))]++;
};

/** Upper end of angles as the catalogue writes it: with the exact one, right angles would fall on an edge. */
export const HALF_TURN = 3.1416;

/** Count `value` in 16 equal bins from 0 to `high`. */
export const linear = (bins: Bins, value: number, high: number): void => {
  bins[Math.min(15, (value / high) * 16) | 0]++;
};
