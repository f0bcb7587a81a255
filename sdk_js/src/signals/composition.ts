import { inserts, isText } from '../field.js';
import type { Signal } from '../page.js';

/** Input methods: commits of a composition beside other inserting input, in pages in Chinese, Japanese or Korean. */
export const composition: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const counts = (target: unknown) =>
      isText(target) &&
      /^(zh|ja|ko)/.test(page.locale || document.documentElement.lang) &&
      (page.within(target, 'name') || page.within(target, 'address'));
    page.on('compositionend', ({ target }) => {
      if (counts(target)) page.add('ime_commits');
    });
    page.on('input', (event) => {
      const { target, isComposing, inputType } = event as InputEvent;
      const composed = isComposing || inputType === 'insertCompositionText' || inputType === 'insertFromComposition';
      if (counts(target) && !composed && inserts(event as InputEvent)) page.add('ime_other_inputs');
    });
  },
};
