import { type ConsentPolicy, type ConsentRecord, purposesOf, type State } from './consent.js';
import type { Act, EventMap, Moments, Page, Shown, Signal, Stage, Zone } from './page.js';
import { createSession, type Given } from './session.js';
import { createTally, type Deltas } from './tally.js';
import { type Answer, createTransport, type Wire } from './transport.js';
import type { Shelf, Visit } from './visit.js';

export interface Options {
  /** Where riskgraph answers, without a path: `https://risk.shop.example`. */
  endpoint: string;
  /** Publishable key (`pk_…`); it can open sessions from this origin and nothing else. */
  merchantKey: string;
  consent: ConsentPolicy;
  /** Zones that the shop marks on any of its pages. */
  zones: readonly Zone[];
  /** Language of the page. */
  locale: string;
  /** Signals beyond those that every page has: `[pointer, form, device(market)]`. */
  addons?: readonly (Signal | readonly Signal[])[];
}

export interface Collector {
  readonly state: State;
  /** Begin, for the purposes that the record opens. Call it on each page; a stale record counts as none. */
  grant(record: ConsentRecord): State;
  /** Remove listeners, drop counts and what is on its way, delete the nonce and ask the server to erase. */
  withdraw(): void;
  /** Declare the zone that the shopper is in where no `data-rg` can; without a name, none. */
  zone(name?: Zone): void;
  /** Declare a stage, and in a single-page shop the page that is shown now. */
  stage(name: Stage, shown?: Partial<Omit<Shown, 'stage'>>): void;
  /** Report what no `data-rg` marks: a cart edit, a choice, the press of the order button. */
  event(act: Act, choice?: unknown): void;
  /** The bytes that would be sent now, one flush a line; empty if there is nothing. */
  snapshot(): string;
  /** Session for the order call (`session`); undefined without consent or while the server is silent. */
  token(): string | undefined;
  /** Send now. Resolves after at most 300 ms, true if nothing waits any more; nothing has to wait for it. */
  flush(): Promise<boolean>;
  /** End collecting on this page without erasing. */
  stop(): void;
}

/** What differs between a browser and a mini program. */
export interface Host {
  wire: Wire;
  shelf: Shelf;
  /** Whether the browser says no, which stands above any record, or cannot keep what a withdrawal promises. */
  off(): boolean;
  /** Call back when there is time, and not before the page is really shown; never once `signal` has aborted. */
  defer(start: () => void, signal: AbortSignal): void;
  shown(): Shown;
  hidden(): boolean;
  on(type: keyof EventMap, handler: (event: never) => void, signal: AbortSignal): void;
  within(target: unknown, zone: Zone): boolean;
  /** Begin to report the life of the page. */
  follow(core: Core, page: Page): void;
}

export interface Core extends Collector {
  show(): void;
  hide(): void;
  leave(): void;
  resume(): void;
}

// 4,096 bytes, less what a consent id of 200 characters takes in UTF-8 beyond one byte each; all else is ASCII.
const FLUSH_CHARS = 3696;

type Hooks = { [M in keyof Moments]?: Moments[M][] };

export const createCore = (options: Options, host: Host, signals: readonly Signal[]): Core => {
  const { endpoint, merchantKey, locale } = options;
  const tally = createTally();
  /** The window is over: the next flush goes to a new session. Consent was withdrawn elsewhere: so it is here. */
  const answered = ({ status, json }: Answer) => {
    if (status === 410 && session.visit?.session) {
      session.visit.expires = 0;
      take();
    }
    if (json?.error?.code === 'consent_withdrawn') {
      state = 'withdrawn';
      forget();
    }
  };
  const transport = createTransport(host.wire, `${endpoint}/v1/behavior`, answered);
  const session = createSession(endpoint, merchantKey, host.wire, host.shelf, answered);
  let state: State = 'unknown';
  let given: Given | undefined;
  let page: Page | undefined;
  let abort = new AbortController();
  let hooks: Hooks = {};
  let zone: Zone | undefined;
  let shown: Shown;
  let declared: Partial<Shown> = {};
  let seq = 0;
  let began = 0;
  let hiddenSince = 0;

  const emit = <M extends keyof Moments>(moment: M, ...args: Parameters<Moments[M]>) => {
    for (const hook of hooks[moment] || []) (hook as (...a: Parameters<Moments[M]>) => void)(...args);
  };

  /**
   * Numbers of flushes rise with time, so that pages and tabs of a visit need not agree on them: a browser may
   * show the next page before the last one has hidden. A flush in two parts takes two.
   */
  const number = ({ since }: Visit) => {
    seq = Math.max(seq + 2, Date.now() - since);
  };

  /** Bodies of the next flush; counters go by themselves where one flush would be too large. */
  const bodies = ({ session, nonce, consent }: Visit): string[] => {
    const deltas = tally.deltas();
    if (!deltas) return [];
    const write = (...parts: Deltas[]) =>
      parts.map((part, i) =>
        JSON.stringify({ v: 1, session, nonce, consent_id: consent, ...page?.words, seq: seq + i, ...part }),
      );
    const whole = write(deltas);
    return whole[0].length > FLUSH_CHARS ? write({ ...deltas, counters: {} }, { ...deltas, zones: {} }) : whole;
  };

  /** Move the counts into the queue. Without a session, or with a full queue, they go on adding up. */
  const take = () => {
    if (!page) return;
    emit('flush');
    const visit = session.ready(given as Given);
    if (visit.session && !transport.full()) {
      transport.push(bodies(visit));
      number(visit);
      tally.clear();
    }
    session.keep();
  };

  const flush = async (): Promise<boolean> => {
    take();
    const left = tally.deltas();
    return (await transport.deliver()) && !left;
  };

  const sleep = () => {
    take();
    transport.deliver();
    hiddenSince ||= performance.now();
  };

  const wake = () => {
    if (hiddenSince) began += performance.now() - hiddenSince;
    hiddenSince = 0;
  };

  const halt = () => {
    abort.abort();
    hooks = {};
    page = undefined;
    session.end();
    tally.clear();
  };

  const forget = () => {
    session.withdraw();
    transport.clear();
    halt();
  };

  const enter = (view: boolean) => {
    number(session.visit as Visit);
    emit('enter', view);
    session.keep();
  };

  const act: Moments['act'] = (name, choice) => {
    if (page) emit('act', name, choice);
    if (name !== 'order') return;
    flush();
    session.submit();
    // Ordered before anything has begun here: nothing begins any more.
    if (!page) halt();
  };

  const newPage = (signal: AbortSignal): Page => ({
    hist: tally.hist,
    add: tally.add,
    on: (type, handler) => host.on(type, handler, signal),
    at: (moment, handler) => {
      ((hooks[moment] ||= []) as (typeof handler)[]).push(handler);
    },
    act,
    signal,
    get visit() {
      return session.visit as Visit;
    },
    get shown() {
      return shown;
    },
    locale,
    zones: options.zones,
    words: {},
    visible: () => (hiddenSince || performance.now()) - began,
    within: (target, name) => zone === name || host.within(target, name),
    level: (counter, value) => {
      const { kept } = session.visit as Visit;
      tally.add(counter, value - (kept[counter] || 0));
      kept[counter] = value;
    },
  });

  /** Begin in slices, one signal in each idle moment, so that no task of the page grows long. */
  const start = (signal: AbortSignal, now: Given) => {
    if (signal.aborted) return;
    session.begin(now);
    session.ready(now);
    shown = { ...host.shown(), ...declared };
    began = performance.now();
    hiddenSince = host.hidden() ? began : 0;
    const fresh = newPage(signal);
    const rest = [...signals, ...(options.addons || []).flat()].filter((one) => now.purposes.includes(one.purpose));
    const next = () => {
      if (signal.aborted) return;
      const one = rest.shift();
      if (one) {
        one.listen(fresh);
        host.defer(next, signal);
        return;
      }
      page = fresh;
      host.follow(core, fresh);
      enter(true);
    };
    next();
  };

  const core: Core = {
    get state() {
      return state;
    },
    grant: (record) => {
      const purposes = host.off() ? [] : purposesOf(record, options.consent);
      const same = record.id === given?.record.id && `${purposes}` === `${given.purposes}`;
      if (state === 'granted' && same) return state;
      // A purpose that is no longer granted is withdrawn: what was sent under it, here or on the last page, goes.
      const narrowed = session.exceeds(purposes);
      if (narrowed) forget();
      else halt();
      if (purposes.length) {
        state = 'granted';
        given = { record, purposes };
        abort = new AbortController();
        const { signal } = abort;
        host.defer(() => start(signal, given as Given), signal);
      } else if (narrowed || state === 'granted') state = 'withdrawn';
      return state;
    },
    withdraw: () => {
      state = 'withdrawn';
      forget();
    },
    zone: (name) => {
      zone = name;
    },
    stage: (stage, next) => {
      declared = { ...next, stage };
      if (!page) return;
      const before = shown;
      const found = { ...host.shown(), ...declared };
      const view = found.path !== before.path || found.kind !== before.kind;
      emit('leave', view);
      flush();
      shown = found;
      enter(view);
    },
    event: act,
    snapshot: () => {
      if (!page) return '';
      emit('flush');
      return bodies(page.visit).join('\n');
    },
    token: () => session.visit?.session,
    flush,
    stop: () => {
      if (page) core.leave();
      halt();
      state = 'unknown';
    },
    show: () => {
      wake();
      emit('show');
    },
    hide: () => {
      emit('hide');
      sleep();
    },
    leave: () => {
      emit('leave', true);
      sleep();
    },
    resume: () => {
      const held = given && session.held(given);
      // Submitted or withdrawn on another page meanwhile: begin again only when granted again.
      if (!held) {
        transport.clear();
        halt();
        state = 'unknown';
        return;
      }
      wake();
      session.begin(given as Given);
      enter(true);
    },
  };
  return core;
};
