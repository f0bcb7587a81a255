import type { Act, Page } from './page.js';

const ACTS = ['cart-edit', 'consignee', 'address-saved', 'address-parse', 'pay-card', 'pay-method', 'order'] as const;
const MARKED = ACTS.map((act) => `[data-rg~=${act}]`).join();
const FIELD = 'select,textarea,input:not([type=submit],[type=button],[type=image])';

/** Turn clicks and changes of marked elements into acts. Registered last, so that a press counts all before it. */
export const marks = (page: Page): void => {
  const report = ({ target, type }: Event) => {
    const marked = target instanceof Element && target.closest<HTMLElement>(MARKED);
    if (!marked) return;
    // Where there is a field its `change` is the choice, elsewhere the click.
    const field = marked.matches(FIELD) || !!marked.querySelector(FIELD);
    if (field !== (type === 'change')) return;
    const words = (marked.dataset.rg as string).split(' ');
    const act = ACTS.find((name) => words.includes(name)) as Act;
    page.act(act, target instanceof HTMLSelectElement ? target.selectedIndex : field ? target : marked);
  };
  page.on('click', report);
  page.on('change', report);
  page.on('submit', ({ target }) => {
    if (page.within(target, 'search')) page.act('search');
  });
};
