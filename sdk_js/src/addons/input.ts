import type { Signal } from '../page';
import { clipboard } from '../signals/clipboard';
import { inputs } from '../signals/inputs';
import { validation } from '../signals/validation';

/** Where input comes from: pastes, input without a key, rejected fields. */
export const input: readonly Signal[] = [inputs, clipboard, validation];
