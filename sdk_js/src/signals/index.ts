import type { Signal } from '../page.js';
import { choices } from './choices.js';
import { dwell } from './dwell.js';
import { modality } from './modality.js';
import { order } from './order.js';

/** Signals of the purpose `behavior` that every page has. */
export const CORE: readonly Signal[] = [dwell, choices, order, modality];
