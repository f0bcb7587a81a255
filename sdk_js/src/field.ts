import type { Page } from './page.js';

/** A text field that holds no password: only its events are seen. */
export const isText = (target: unknown): target is HTMLElement => {
  if (!(target instanceof HTMLElement) || isSecret({ target })) return false;
  const { type } = target as HTMLInputElement;
  return /^(text|tel|email|number|search|url|textarea)$/.test(type) || target.isContentEditable;
};

/** Whether an event tells of a password, shown in clear or not: none of them is counted, or it would tell its length. */
export const isSecret = ({ target }: Pick<Event, 'target'>): boolean => {
  const { type, autocomplete } = (target || {}) as HTMLInputElement;
  return /password/.test(`${type} ${autocomplete}`);
};

/** Whether the stage that is shown belongs to the checkout, of which the cart is the first. */
export const inCheckout = ({ shown }: Page): boolean => !/entry|browse/.test(shown.stage);

/** Fields of the address stage: those of its zones, and all while it is shown. */
export const inAddressStage = (page: Page, target: unknown): boolean =>
  page.shown.stage === 'address' ||
  page.within(target, 'address') ||
  page.within(target, 'name') ||
  page.within(target, 'phone');

export const inPaymentStage = (page: Page, target: unknown): boolean =>
  page.shown.stage === 'payment' || page.within(target, 'payment') || page.within(target, 'card');

/** Whether an input event put something in (nothing says so where a script or autofill did it). */
export const inserts = ({ inputType }: { inputType?: string }): boolean => !inputType || inputType.startsWith('insert');

/** Whether the main pointer is a finger. Asking makes the browser compute styles: not while a page starts. */
export const coarse = (): boolean => typeof matchMedia === 'function' && matchMedia('(pointer: coarse)').matches;

/** A browser that does not know the state throws, and then nothing is known to be filled. */
export const autofilled = (field: HTMLElement): boolean => {
  try {
    return field.matches(':autofill');
  } catch {
    return false;
  }
};

/** Knows a click that a label makes on its field, after the one on itself: a person made one of the two. */
export const echoes = () => {
  let field: unknown = false;
  return ({ target }: Event): boolean => {
    const echo = target === field;
    const control = (target as Element | undefined)?.closest?.('label')?.control;
    field = control !== target && control;
    return echo;
  };
};

const UNTYPED = /^(Shift|Cont|Alt|Meta|CapsLock|F[n\d]|Tab|Enter|Esc|Arrow|Home|End|Page|Ins)/;

/**
 * A person's press of a physical key that types, not its repeats: no modifier, and none of the keys that lead through
 * a page, or whoever has no mouse would be measured by other presses. A virtual keyboard names no physical key, and an input
 * method hides what a key is behind `Process`, so that its code tells.
 */
export const isPress = ({ code, key, repeat, isTrusted }: KeyboardEvent): boolean =>
  !!code && isTrusted && !repeat && !UNTYPED.test(key === 'Process' ? code : key);
