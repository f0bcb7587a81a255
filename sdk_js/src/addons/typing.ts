import type { Signal } from '../page.js';
import { composition } from '../signals/composition.js';
import { keys } from '../signals/keys.js';
import { segments } from '../signals/segments.js';

/** Rhythm of keys and input methods. For pages with text fields. */
export const typing: readonly Signal[] = [keys, segments, composition];
