export { createCollector } from './browser.js';
export type { ConsentPolicy, ConsentRecord, Purpose, State } from './consent.js';
export type { Collector, Options } from './core.js';
export type { Act, Entry, Kind, Shown, Signal, Stage, Zone } from './page.js';
