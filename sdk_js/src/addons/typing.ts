import type { Signal } from '../page';
import { composition } from '../signals/composition';
import { keys } from '../signals/keys';
import { segments } from '../signals/segments';

/** Rhythm of keys and input methods. For pages with text fields. */
export const typing: readonly Signal[] = [keys, segments, composition];
