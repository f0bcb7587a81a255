import { autofilled, coarse, inserts, isText } from '../field.js';
import type { Signal } from '../page.js';

const CAUSE_MS = 1000;
const EXPLAINED = /Paste|Drop|Composition|Replacement/;

/** Inserting input that no key, composition, paste, drop or autofill explains, with a physical keyboard. */
export const inputs: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const causes = new WeakMap<EventTarget, number>();
    let virtual: boolean | undefined;
    const cause = ({ target, timeStamp }: Event) => {
      if (target) causes.set(target, timeStamp);
    };
    page.on('keydown', (event) => {
      virtual = !event.code;
      cause(event);
    });
    page.on('compositionstart', cause);
    page.on('compositionend', cause);
    page.on('paste', cause);
    page.on('drop', cause);
    page.on('input', (event) => {
      const { target, timeStamp, isTrusted } = event;
      const { inputType = '' } = event as InputEvent;
      virtual ??= coarse();
      if (!isTrusted || virtual || !target || !isText(target) || !inserts(event as InputEvent)) return;
      page.add('inputs');
      const caused = timeStamp - (causes.get(target) ?? -CAUSE_MS - 1) <= CAUSE_MS;
      if (!caused && !EXPLAINED.test(inputType) && !autofilled(target)) page.add('inputs_uncaused');
    });
  },
};
