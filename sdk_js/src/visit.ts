import type { Purpose } from './consent.js';

/**
 * What one visit carries from page to page, in this tab only and only after consent: the server's nonce
 * and what the next page needs to go on counting. Session, nonce and consent id go with each flush, the time since
 * the visit began is a floor of its number, and some of `kept` is told in counters; salt and marks never leave.
 */
export interface Visit {
  /** From the server, once it has answered; and what proves that the session is this tab's. */
  session?: string;
  nonce?: string;
  /** Nonces of every session that this tab was given, under earlier records too: a withdrawal erases them all. */
  nonces: Record<string, string>;
  /** Consent record that opened the visit. */
  consent: string;
  /** Purposes that it opened. */
  purposes: readonly Purpose[];
  /** Unix ms after which the server no longer takes the nonce. */
  expires: number;
  /** Unix ms of the first page under consent. */
  since: number;
  /** Key of the marks below: equal pages of two visits have unequal marks. */
  salt: number;
  /** Small state of signals, by name. */
  kept: Record<string, number>;
  /** Keyed 24-bit marks of the paths that were shown, at most 256. */
  marks: number[];
}

const KEY = 'riskgraph';

export const newVisit = (consent: string, purposes: readonly Purpose[], nonces = {}): Visit => ({
  consent,
  purposes,
  nonces,
  expires: 0,
  since: Date.now(),
  salt: (Math.random() * 2 ** 32) >>> 0,
  kept: {},
  marks: [],
});

/** Where a visit waits for the next page; a browser that refuses storage counts each page as a visit. */
export interface Shelf {
  load(): Visit | undefined;
  save(visit: Visit): void;
  remove(): void;
}

const attempt = <T>(act: () => T): T | undefined => {
  try {
    return act();
  } catch {
    return undefined;
  }
};

export const tabShelf: Shelf = {
  load: () => attempt(() => JSON.parse(sessionStorage.getItem(KEY) as string)),
  save: (visit) => attempt(() => sessionStorage.setItem(KEY, JSON.stringify(visit))),
  remove: () => attempt(() => sessionStorage.removeItem(KEY)),
};

/** A 24-bit mark of `text` that only this visit's salt reproduces (FNV-1a). */
export const mark = (text: string, salt: number): number => {
  let hash = salt ^ 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) & 0xffffff;
};
