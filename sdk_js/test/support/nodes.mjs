/** Node values from the sums of a visit, by the map that is written for servers. */
import { readFileSync } from 'node:fs';
import { DATA } from './stub.mjs';

export const MAP = JSON.parse(readFileSync(new URL('behavior-map.json', DATA), 'utf8'));

/** 17 edges of a scale, written as in the catalogue. */
export const edgesOf = (bins) => {
  const [scale, range] = bins.split(' ');
  if (scale === 'linear') {
    const [low, high] = range.split('-').map(Number);
    return Array.from({ length: 17 }, (_, i) => low + ((high - low) * i) / 16);
  }
  const from = Number(/from (\d+)/.exec(bins)?.[1] || 1);
  return [0, ...Array.from({ length: 16 }, (_, i) => from * 2 ** i)];
};

const total = (counts = []) => counts.reduce((a, b) => a + b, 0);

const medianOf = (counts, edges) => {
  const target = total(counts) / 2;
  let below = 0;
  const at = counts.findIndex((count) => (below += count) >= target);
  return edges[at] + ((target - (below - counts[at])) / counts[at]) * (edges[at + 1] - edges[at]);
};

const entropy = (counts) => {
  const all = total(counts);
  return -counts.filter(Boolean).reduce((sum, count) => sum + (count / all) * Math.log2(count / all), 0);
};

const RULES = {
  histogram: ({ of }, { bins }) => {
    const all = Object.entries(of).map(([name, key]) => [name, { n: total(bins(key)), bins: bins(key) }]);
    return all.length === 1 ? all[0][1] : Object.fromEntries(all);
  },
  median: ({ of, cap }, { bins }) => Math.min(cap, medianOf(bins(of), edgesOf(MAP.histograms[of].bins))),
  sum: ({ of, cap }, { sum }) => Math.min(cap, sum(of)),
  after_first: ({ of, cap }, { sum }) => Math.min(cap, sum([of]) - 1),
  ratio: ({ of, over, less = 0, cap }, { sum }) => Math.min(cap, sum(of) / (sum(over) - less)),
  any: ({ of }, { sum }) => sum(of) > 0,
  none: ({ of }, { sum }) => sum(of) === 0,
  largest: ({ of }, { sum }) => {
    const best = Object.entries(of).reduce((a, b) => (sum([b[1]]) > sum([a[1]]) ? b : a));
    return sum([best[1]]) > 0 ? best[0] : undefined;
  },
  word: ({ of }, { words }) => words[of],
  entropy: ({ of }, { bins }) => entropy(of.flatMap((key) => bins(key))),
  variation: ({ n, sum: s, squares, cap }, { sum }) => {
    const mean = sum([s]) / sum([n]);
    return Math.min(cap, Math.sqrt(Math.max(0, sum([squares]) / sum([n]) - mean * mean)) / mean);
  },
  rms: ({ n, squares, scale }, { sum }) => Math.min(1, Math.sqrt(sum([squares]) / sum([n])) / scale),
  contradiction: ({ some, zero }, { sum }) => sum([some]) > 0 && sum([zero]) === 0,
  field_order: ({ steps, down, paste }, { sum }) => {
    if (sum([paste]) > 0) return 'single_paste';
    const share = sum([down]) / sum([steps]);
    return share === 1 ? 'top_down' : share >= 0.7 ? 'mostly_top_down' : share <= 0.2 ? 'bottom_up' : 'jumping';
  },
  modality: ({ of }, { sum }) => {
    const all = sum(Object.values(of));
    return Object.entries(of).find(([, key]) => sum([key]) >= 0.8 * all)?.[0] || 'mixed';
  },
};

/** `{B014: value}` of what is there and `{B013: cause}` of what is not. */
export const nodesOf = ({ histograms, counters, words }) => {
  const bins = (key) => histograms[key] || new Array(16).fill(0);
  const sum = (keys) => total(keys.map((key) => (key in MAP.histograms ? total(bins(key)) : counters[key] || 0)));
  const values = {};
  const absent = {};
  for (const [id, rule] of Object.entries(MAP.nodes)) {
    const lacking = rule.needs.find(({ of, least = -Infinity, most = Infinity }) => sum(of) < least || sum(of) > most);
    const value = lacking ? undefined : RULES[rule.rule](rule, { bins, sum, words });
    if (value === undefined) absent[id] = lacking?.else || 'not_delivered';
    else values[id] = value;
  }
  return { values, absent };
};
