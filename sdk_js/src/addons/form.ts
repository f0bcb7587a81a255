import type { Signal } from '../page.js';
import { fields } from '../signals/fields.js';

/** How the fields of the address stage are filled. */
export const form: readonly Signal[] = [fields];
