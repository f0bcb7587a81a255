import type { Act, Signal } from '../page.js';

const COUNTED = { consignee: 'consignee_choices', 'pay-card': 'card_choices', 'pay-method': 'method_choices' } as const;

/** Cart edits, and choices of consignee, card and payment method: how often, not which. */
export const choices: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const last: Partial<Record<Act, unknown>> = {};
    page.at('act', (act, choice) => {
      if (act === 'cart-edit') page.add('cart_edits');
      if (!(act in COUNTED) || (choice !== undefined && choice === last[act])) return;
      last[act] = choice;
      page.add(COUNTED[act as keyof typeof COUNTED]);
    });
  },
};
