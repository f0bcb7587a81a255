import { isSecret } from '../field.js';
import type { Signal } from '../page.js';

/** Events that a script made, among those that a person makes. */
export const trust: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const count = (event: Event) => {
      if (isSecret(event)) return;
      page.add('events');
      if (!event.isTrusted) page.add('events_untrusted');
    };
    for (const type of ['click', 'input', 'keydown', 'submit'] as const) page.on(type, count);
  },
};
