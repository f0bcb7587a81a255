import type { Signal } from '../page.js';
import { clipboard } from '../signals/clipboard.js';
import { inputs } from '../signals/inputs.js';
import { validation } from '../signals/validation.js';

/** Where input comes from: pastes, input without a key, rejected fields. */
export const input: readonly Signal[] = [inputs, clipboard, validation];
