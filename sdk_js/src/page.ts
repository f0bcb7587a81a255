import type { Purpose } from './consent.js';
import type { Tally } from './tally.js';
import type { Visit } from './visit.js';

export const KINDS = ['home', 'list', 'search', 'product', 'review', 'policy', 'cart', 'checkout', 'other'] as const;
export type Kind = (typeof KINDS)[number];
export type Stage = 'entry' | 'browse' | 'cart' | 'promo' | 'address' | 'payment' | 'submit';
export const ENTRIES = ['direct', 'search', 'ad', 'social', 'deep_link', 'mini_program', 'push', 'other'] as const;
export type Entry = (typeof ENTRIES)[number];
export type Zone =
  | 'product'
  | 'review'
  | 'search'
  | 'policy'
  | 'cart'
  | 'promo'
  | 'address'
  | 'name'
  | 'phone'
  | 'card'
  | 'payment'
  | 'submit';
/** What the page marks (`data-rg`) or reports (`event`): choices, cart actions, the order button. */
export type Act =
  | 'search'
  | 'cart-edit'
  | 'consignee'
  | 'address-saved'
  | 'address-parse'
  | 'pay-card'
  | 'pay-method'
  | 'order';

/** What is on the screen. Path and category never leave the page. */
export interface Shown {
  kind: Kind;
  stage: Stage;
  path: string;
  category?: string;
  entry?: Entry;
}

export interface Moments {
  /** A page or stage begins; true if it is a new page view. */
  enter: (view: boolean) => void;
  /** A page or stage ends; true if the page view ends with it. */
  leave: (view: boolean) => void;
  /** The page is seen: for the first time, where it was opened in the background. */
  show: () => void;
  hide: () => void;
  /** Last chance to count before bytes are made. */
  flush: () => void;
  act: (act: Act, choice?: unknown) => void;
}

export type EventMap = WindowEventMap & DocumentEventMap;

/** What a signal may see and do. */
export interface Page extends Pick<Tally, 'hist' | 'add'> {
  on<K extends keyof EventMap>(type: K, handler: (event: EventMap[K]) => void): void;
  at<M extends keyof Moments>(moment: M, handler: Moments[M]): void;
  act: Moments['act'];
  /** Aborted when collecting ends. */
  readonly signal: AbortSignal;
  readonly visit: Visit;
  readonly shown: Shown;
  readonly locale: string;
  /** Zones that the shop marks somewhere. */
  readonly zones: readonly Zone[];
  /** Class words beside the counts: modality and, with its consent, device class. */
  readonly words: Record<string, string>;
  /** Visible ms since the page began. */
  visible(): number;
  /** Whether an event's target lies in a zone, or the page has declared that zone. */
  within(target: unknown, zone: Zone): boolean;
  /** Send a value that can only be told whole (a maximum, a span) as its change since it was last told. */
  level(key: Parameters<Tally['add']>[0], value: number): void;
}

export interface Signal {
  purpose: Purpose;
  listen(page: Page): void;
}
