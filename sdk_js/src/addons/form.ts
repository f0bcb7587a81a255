import type { Signal } from '../page';
import { fields } from '../signals/fields';

/** How the fields of the address stage are filled. */
export const form: readonly Signal[] = [fields];
