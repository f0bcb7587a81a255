import type { Signal } from '../page.js';
import { clicks } from '../signals/clicks.js';
import { touch } from '../signals/touch.js';

/** Clicks, taps and swipes. */
export const press: readonly Signal[] = [clicks, touch];
