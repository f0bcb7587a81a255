import { inAddressStage, inPaymentStage } from '../field.js';
import type { Signal } from '../page.js';

const FIELDS = 'input:not([type=hidden]),textarea,select';

/** Fields that turned invalid, once for each field and attempt. */
export const validation: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const invalid = new WeakSet<Element>();
    const ours = (target: Element) =>
      inAddressStage(page, target) ||
      inPaymentStage(page, target) ||
      page.shown.stage === 'promo' ||
      page.within(target, 'promo');
    const turned = (target: EventTarget | null) => {
      if (!(target instanceof Element) || invalid.has(target) || !ours(target)) return;
      invalid.add(target);
      page.add('fields_invalid');
    };
    page.on('invalid', ({ target }) => turned(target));
    page.on('input', ({ target }) => {
      if (target instanceof Element) invalid.delete(target);
    });
    const observer = new MutationObserver((changes) => {
      for (const { target } of changes) {
        if ((target as Element).getAttribute('aria-invalid') === 'true') turned(target);
      }
    });
    observer.observe(document, { subtree: true, attributeFilter: ['aria-invalid'] });
    page.signal.addEventListener('abort', () => observer.disconnect());
    page.at('flush', () => {
      if (!page.visit.kept.fields && [...document.querySelectorAll(FIELDS)].some(ours)) {
        page.visit.kept.fields = 1;
        page.add('fields_shown');
      }
    });
  },
};
