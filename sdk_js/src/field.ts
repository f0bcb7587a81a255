import type { Page } from './page';

/** A text field whose content is neither a password nor a number of a card frame: only its events are seen. */
export const isText = (target: unknown): target is HTMLElement => {
  if (!(target instanceof HTMLElement)) return false;
  const { type } = target as HTMLInputElement;
  return /^(text|tel|email|number|search|url|textarea)$/.test(type) || target.isContentEditable;
};

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

export const autofilled = (field: HTMLElement): boolean => field.matches(':autofill');
