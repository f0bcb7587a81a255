import type { Signal } from '../page';
import { clicks } from '../signals/clicks';
import { touch } from '../signals/touch';

/** Clicks, taps and swipes. */
export const press: readonly Signal[] = [clicks, touch];
