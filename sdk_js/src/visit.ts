/**
 * What one visit carries from page to page, in this tab only and only after consent: the server's nonce
 * and what the next page needs to go on counting. Nothing of it but session and nonce is sent.
 */
export interface Visit {
  session: string;
  nonce: string;
  /** Consent record that opened the visit. */
  consent: string;
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

export const newVisit = (consent: string): Visit => ({
  session: '',
  nonce: '',
  consent,
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
  load: () =>
    attempt(() => {
      const visit: Visit = JSON.parse(sessionStorage.getItem(KEY) as string);
      return visit && visit.expires > Date.now() ? visit : undefined;
    }),
  save: (visit) => attempt(() => sessionStorage.setItem(KEY, JSON.stringify(visit))),
  remove: () => attempt(() => sessionStorage.removeItem(KEY)),
};

/** A 24-bit mark of `text` that only this visit's salt reproduces (FNV-1a). */
export const mark = (text: string, salt: number): number => {
  let hash = salt ^ 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) & 0xffffff;
};
