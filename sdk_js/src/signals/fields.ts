import { log2 } from '../bins.js';
import { autofilled, inAddressStage, inPaymentStage, isText } from '../field.js';
import type { Page, Signal } from '../page.js';

const TAB_MS = 100;
const PASTE_MS = 1000;

interface Field {
  filled: boolean;
  /** Left after it had received input. */
  left: boolean;
  edited: boolean;
  autofill: boolean;
}

const optional = (field: Element) =>
  !(field as HTMLInputElement).required && field.getAttribute('aria-required') !== 'true';

/** How the address is picked: one word at a time is 1, the others 0. */
const picker = (page: Page) => (word: 'saved' | 'new' | 'parsed') => {
  for (const other of ['saved', 'new', 'parsed'] as const) page.level(`address_${other}`, +(other === word));
};

/** Order, pauses, returns and completeness with which the fields of the address stage are filled. */
export const fields: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const known = new WeakMap<EventTarget, Field>();
    const shown = new WeakSet<Element>();
    const hesitation = page.hist('address.hesitation');
    const pick = picker(page);
    let focusedAt = -1;
    let filledAt = -1;
    let tab = -TAB_MS;
    let first = true;
    let last: Element | undefined;
    let pasted = -PASTE_MS;
    let pastedInto = new Set<unknown>();

    const state = (target: EventTarget): Field => {
      const field = known.get(target) || { filled: false, left: false, edited: false, autofill: false };
      known.set(target, field);
      return field;
    };

    page.on('focusin', ({ target, timeStamp }) => {
      focusedAt = -1;
      if (!target || !isText(target) || !inAddressStage(page, target)) return;
      focusedAt = page.visible();
      if (filledAt < 0) filledAt = focusedAt;
      if (!first) {
        page.add('field_focuses');
        if (timeStamp - tab <= TAB_MS) page.add('tab_focuses');
      }
      first = false;
      const field = state(target);
      if (field.left) page.add('field_returns');
      field.edited = false;
    });
    page.on('focusout', ({ target }) => {
      const field = target && known.get(target);
      if (field) field.left = field.filled;
    });
    page.on('keydown', ({ key, timeStamp }) => {
      if (key === 'Tab') tab = timeStamp;
      else if (focusedAt >= 0) {
        log2(hesitation, page.visible() - focusedAt);
        focusedAt = -1;
      }
    });
    page.on('paste', ({ timeStamp }) => {
      pasted = timeStamp;
      pastedInto = new Set();
    });

    const firstInput = (target: HTMLElement) => {
      page.add('fields_filled');
      if (page.within(target, 'address')) page.add('address_filled');
      if (optional(target)) page.add('optional_filled');
      if (last) {
        page.add('field_steps');
        if (last.compareDocumentPosition(target) & Node.DOCUMENT_POSITION_FOLLOWING) page.add('field_steps_down');
      }
      last = target;
    };
    const byPaste = (target: unknown, now: number): boolean => {
      if (now - pasted > PASTE_MS) return false;
      pastedInto.add(target);
      if (pastedInto.size === 3) {
        page.add('paste_fills');
        pick('parsed');
      }
      return true;
    };

    page.on('input', ({ target, timeStamp }) => {
      if (!target || !isText(target)) return;
      const field = state(target);
      const address = inAddressStage(page, target);
      if (address) {
        page.add('form_s', (page.visible() - filledAt) / 1e3);
        filledAt = page.visible();
        if (!field.filled) firstInput(target);
        if (field.left && !field.edited && page.within(target, 'address')) page.add('address_edits');
        field.edited = true;
        if (!byPaste(target, timeStamp) && page.within(target, 'address')) pick('new');
      }
      if (address || inPaymentStage(page, target)) {
        const autofill = autofilled(target);
        if (!field.filled) page.add('text_fields_filled');
        page.add('text_fields_autofilled', +autofill - +field.autofill);
        field.autofill = autofill;
      }
      field.filled = true;
    });
    page.at('act', (act) => {
      if (act === 'address-saved') pick('saved');
      if (act === 'address-parse') pick('parsed');
    });
    page.at('flush', () => {
      for (const field of document.querySelectorAll('input,textarea,select')) {
        if (shown.has(field) || !optional(field) || !inAddressStage(page, field)) continue;
        if (!(isText(field) || field.matches('select')) || !field.checkVisibility?.()) continue;
        shown.add(field);
        page.add('optional_shown');
      }
    });
  },
};
