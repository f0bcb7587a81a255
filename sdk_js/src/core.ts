import { type ConsentPolicy, type ConsentRecord, purposesOf, type State } from './consent';
import type { Act, EventMap, Moments, Page, Shown, Signal, Stage, Zone } from './page';
import { createSession, type Given } from './session';
import { createTally } from './tally';
import { createTransport, type Wire } from './transport';
import type { Shelf, Visit } from './visit';

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
  /** Remove listeners, drop counts, delete the nonce and ask the server to erase. */
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
  /** Send now. Resolves after at most 300 ms, true if everything is acknowledged; nothing has to wait for it. */
  flush(): Promise<boolean>;
  /** End collecting on this page without erasing. */
  stop(): void;
}

/** What differs between a browser and a mini program. */
export interface Host {
  wire: Wire;
  shelf: Shelf;
  /** A signal of the browser that stands above any record. */
  off(): boolean;
  /** Call back when there is time, and not before the page is really shown. */
  defer(start: () => void): void;
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

const FLUSH_BYTES = 4096;

type Hooks = { [M in keyof Moments]?: Moments[M][] };

export const createCore = (options: Options, host: Host, signals: readonly Signal[]): Core => {
  const { endpoint, merchantKey, locale } = options;
  const tally = createTally();
  const transport = createTransport(host.wire, `${endpoint}/v1/behavior`);
  const session = createSession(endpoint, merchantKey, host.wire, host.shelf);
  let state: State = 'unknown';
  let given: Given | undefined;
  let page: Page | undefined;
  let abort = new AbortController();
  let hooks: Hooks = {};
  let zone: Zone | undefined;
  let shown: Shown;
  let seq = 0;
  let began = 0;
  let hiddenSince = 0;

  const emit = <M extends keyof Moments>(moment: M, ...args: Parameters<Moments[M]>) => {
    for (const hook of hooks[moment] || []) (hook as (...a: Parameters<Moments[M]>) => void)(...args);
  };

  /**
   * Numbers of flushes rise with time, so that pages and tabs of a visit need not agree on them: a browser may
   * show the next page before the last one has hidden.
   */
  const number = ({ since }: Visit) => {
    seq = Math.max(seq + 1, Date.now() - since);
  };

  /** Bodies of the next flush; counters go by themselves where one flush would be too large. */
  const bodies = ({ session, nonce, consent }: Visit): string[] => {
    const deltas = tally.deltas();
    if (!deltas) return [];
    const envelope = { v: 1, session, nonce, consent_id: consent, ...page?.words };
    const whole = JSON.stringify({ ...envelope, seq, ...deltas });
    if (whole.length <= FLUSH_BYTES) return [whole];
    const { zones, counters } = deltas;
    return [
      JSON.stringify({ ...envelope, seq, zones, counters: {} }),
      JSON.stringify({ ...envelope, seq: seq + 1, zones: {}, counters }),
    ];
  };

  /** Move the counts into the queue. Without a session, or with a full queue, they go on adding up. */
  const take = () => {
    if (!page) return;
    emit('flush');
    if (session.visit?.session && session.visit.expires < Date.now()) {
      session.submit();
      session.begin(undefined, given as Given);
    }
    const visit = session.visit as Visit;
    if (!visit.session) {
      session.open(given as Given);
    } else if (!transport.full()) {
      for (const body of bodies(visit)) {
        transport.push(body);
        seq++;
      }
      number(visit);
      tally.clear();
    }
    session.keep();
  };

  const flush = async (): Promise<boolean> => {
    take();
    return transport.deliver();
  };

  const sleep = () => {
    take();
    transport.leave();
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
    transport.clear();
  };

  const enter = (view: boolean) => {
    number(session.visit as Visit);
    emit('enter', view);
    session.keep();
  };

  const act: Moments['act'] = (name, choice) => {
    if (!page) return;
    emit('act', name, choice);
    if (name !== 'order') return;
    flush();
    session.submit();
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
    session.begin(session.held(now), now);
    if (!session.visit?.session) session.open(now);
    shown = host.shown();
    began = performance.now();
    hiddenSince = host.hidden() ? began : 0;
    const fresh = newPage(signal);
    const rest = [...signals, ...(options.addons || []).flat()].filter((one) => now.purposes.includes(one.purpose));
    const next = () => {
      if (signal.aborted) return;
      const one = rest.shift();
      if (one) {
        one.listen(fresh);
        host.defer(next);
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
      if (!purposes.length) {
        if (session.withdraw() || state === 'granted') state = 'withdrawn';
        halt();
        return state;
      }
      // A purpose that is no longer granted is withdrawn: what was sent under it goes.
      if (given?.purposes.some((purpose) => !purposes.includes(purpose))) session.withdraw();
      halt();
      state = 'granted';
      const now = { record, purposes };
      given = now;
      abort = new AbortController();
      const { signal } = abort;
      host.defer(() => start(signal, now));
      return state;
    },
    withdraw: () => {
      state = 'withdrawn';
      session.withdraw();
      halt();
    },
    zone: (name) => {
      zone = name;
    },
    stage: (stage, next) => {
      if (!page) return;
      const before = shown;
      const found = { ...host.shown(), ...next, stage };
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
    token: () => session.visit?.session || undefined,
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
        halt();
        state = 'unknown';
        return;
      }
      wake();
      session.begin(held, given as Given);
      enter(true);
    },
  };
  return core;
};
