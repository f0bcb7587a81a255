export { createCollector } from './browser';
export type { ConsentPolicy, ConsentRecord, Purpose, State } from './consent';
export type { Collector, Options } from './core';
export type { Act, Entry, Kind, Shown, Signal, Stage, Zone } from './page';
