import type { Act, Page } from './page.js';

const ACTS = ['cart-edit', 'consignee', 'address-saved', 'address-parse', 'pay-card', 'pay-method', 'order'] as const;
const marked = (name: string) => `[data-rg~=${name}]`;
const MARKED = ACTS.map(marked).join();
const FIELD = 'select,textarea,input:not([type=submit],[type=button],[type=image])';

/** Turn clicks and changes of marked elements into acts. Registered last, so that a press counts all before it. */
export const marks = (page: Page): void => {
  const report = ({ target, type }: Event) => {
    const found = target instanceof Element && target.closest<HTMLElement>(MARKED);
    if (!found) return;
    // Where there is a field its `change` is the choice, elsewhere the click.
    const field = found.matches(FIELD) || !!found.querySelector(FIELD);
    if (field !== (type === 'change')) return;
    const act = ACTS.find((name) => found.matches(marked(name))) as Act;
    page.act(act, target instanceof HTMLSelectElement ? target.selectedIndex : field ? target : found);
  };
  page.on('click', report);
  page.on('change', report);
  page.on('submit', ({ target }) => {
    if (page.within(target, 'search')) page.act('search');
  });
};
