import type { Signal } from '../page';
import { choices } from './choices';
import { dwell } from './dwell';
import { modality } from './modality';
import { order } from './order';

/** Signals of the purpose `behavior` that every page has. */
export const CORE: readonly Signal[] = [dwell, choices, order, modality];
