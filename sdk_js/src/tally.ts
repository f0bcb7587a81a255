import type { Bins } from './bins.js';
import type { Counter, Histogram } from './signals/table.js';

/** What is sent of the counts since the last flush: only what is not zero. */
export interface Deltas {
  zones: Record<string, Record<string, { n: number; h: number[] }>>;
  counters: Record<string, number>;
}

/** Fixed arrays of counts, one per histogram, and named counters: all that a page keeps of behavior. */
export interface Tally {
  hist(key: Histogram): Bins;
  add(key: Counter, by?: number): void;
  deltas(): Deltas | undefined;
  clear(): void;
}

export const createTally = (): Tally => {
  const bins: Record<string, Bins> = {};
  let counters: Record<string, number> = {};
  return {
    hist: (key) => (bins[key] ||= new Uint32Array(16)),
    add: (key, by = 1) => {
      counters[key] = (counters[key] || 0) + by;
    },
    deltas: () => {
      const out: Deltas = { zones: {}, counters: {} };
      let some: Deltas | undefined;
      for (const key in bins) {
        const h = [...bins[key]];
        const n = h.reduce((a, b) => a + b);
        const [zone, name] = key.split('.');
        if (n) {
          (out.zones[zone] ||= {})[name] = { n, h };
          some = out;
        }
      }
      for (const key in counters) {
        const value = Math.round(counters[key] * 1e3) / 1e3;
        if (value) {
          out.counters[key] = value;
          some = out;
        }
      }
      return some;
    },
    clear: () => {
      for (const key in bins) bins[key].fill(0);
      counters = {};
    },
  };
};
