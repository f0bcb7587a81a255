/** One histogram: 16 counts, kept in place for the life of the page. */
export type Bins = Uint32Array;

/** Count `value` in `[0, from) [from, 2 from) [2 from, 4 from) …`, the last bin open above. */
export const log2 = (bins: Bins, value: number, from = 1): void => {
  bins[Math.min(15, 32 - Math.clz32(Math.min(value / from, 1e9)))]++;
};

/** Count `value` in 16 equal bins from 0 to `high`. */
export const linear = (bins: Bins, value: number, high: number): void => {
  bins[Math.min(15, (value / high) * 16) | 0]++;
};
