import { type ConsentPolicy, type ConsentRecord, type Purpose, purposesOf, type State } from './consent';
import type { Act, EventMap, Moments, Page, Shown, Signal, Stage, Zone } from './page';
import { createTally } from './tally';
import { createTransport, type Wire } from './transport';
import { newVisit, type Shelf, type Visit } from './visit';

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

const OPEN_MS = 5000;
const FLUSH_BYTES = 4096;

export const createCore = (options: Options, host: Host, signals: readonly Signal[]): Core => {
  const { endpoint, merchantKey: key, locale } = options;
  const tally = createTally();
  const transport = createTransport(host.wire, `${endpoint}/v1/behavior`);
  let state: State = 'unknown';
  let record: ConsentRecord;
  let purposes: Purpose[] = [];
  let visit: Visit | undefined;
  let page: Page | undefined;
  let abort = new AbortController();
  let hooks: { [M in keyof Moments]?: Moments[M][] } = {};
  let zone: Zone | undefined;
  let opening = false;
  let submitted = false;
  let shown: Shown;
  let began = 0;
  let hiddenSince = 0;

  const emit = <M extends keyof Moments>(moment: M, ...args: Parameters<Moments[M]>) => {
    for (const hook of hooks[moment] || []) (hook as (...a: Parameters<Moments[M]>) => void)(...args);
  };

  const keep = () => {
    if (visit?.session && !submitted) host.shelf.save(visit);
  };

  const erase = ({ session, nonce }: Visit) => {
    if (session) host.wire.erase(`${endpoint}/v1/behavior/${encodeURIComponent(session)}`, JSON.stringify({ nonce }));
  };

  const open = async () => {
    if (opening || !visit) return;
    opening = true;
    const mine = visit;
    const { id, policyVersion, at } = record;
    const granted = Object.fromEntries(purposes.map((purpose) => [purpose, true]));
    const body = { v: 1, key, consent: { record_id: id, policy_version: policyVersion, at, purposes: granted } };
    const { json } = await host.wire
      .post(`${endpoint}/v1/sessions`, JSON.stringify(body), OPEN_MS)
      .catch(() => ({ json: undefined }));
    opening = false;
    const answer = json as { session?: string; nonce?: string; expires_in?: number } | undefined;
    if (!answer?.session || !answer.nonce) return;
    mine.session = answer.session;
    mine.nonce = answer.nonce;
    mine.expires = Date.now() + (answer.expires_in || 1800) * 1e3;
    if (mine === visit) keep();
    else erase(mine); // withdrawn while the server was opening
  };

  /** Bodies of the next flush; counters go by themselves where one flush would be too large. */
  const bodies = (): string[] => {
    const deltas = visit && tally.deltas();
    if (!visit || !deltas) return [];
    const { session, nonce, seq, consent } = visit;
    const envelope = { v: 1, session, nonce, consent_id: consent, ...page?.words };
    const whole = JSON.stringify({ ...envelope, seq, ...deltas });
    if (whole.length <= FLUSH_BYTES) return [whole];
    const { zones, counters } = deltas;
    return [
      JSON.stringify({ ...envelope, seq, zones, counters: {} }),
      JSON.stringify({ ...envelope, seq: seq + 1, zones: {}, counters }),
    ];
  };

  const take = () => {
    emit('flush');
    if (!visit) return;
    if (visit.session && visit.expires < Date.now()) {
      visit = newVisit(record.id);
      host.shelf.remove();
    }
    if (!visit.session) {
      open();
    } else if (!transport.full()) {
      for (const body of bodies()) {
        transport.push(body);
        visit.seq++;
      }
      tally.clear();
    }
    keep();
  };

  const flush = async (): Promise<boolean> => {
    take();
    return transport.deliver();
  };

  const halt = () => {
    abort.abort();
    hooks = {};
    page = visit = undefined;
    tally.clear();
    transport.clear();
  };

  const act: Moments['act'] = (name, choice) => {
    if (!page) return;
    emit('act', name, choice);
    if (name === 'order') {
      flush();
      submitted = true;
      host.shelf.remove();
    }
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
      return visit as Visit;
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
      const { kept } = visit as Visit;
      tally.add(counter, value - (kept[counter] || 0));
      kept[counter] = value;
    },
  });

  const start = (signal: AbortSignal) => {
    if (signal.aborted) return;
    visit = host.shelf.load();
    if (visit?.consent !== record.id) visit = newVisit(record.id);
    submitted = false;
    shown = host.shown();
    began = performance.now();
    hiddenSince = host.hidden() ? began : 0;
    page = newPage(signal);
    for (const one of [...signals, ...(options.addons || []).flat()]) {
      if (purposes.includes(one.purpose)) one.listen(page);
    }
    host.follow(core, page);
    if (!visit.session) open();
    emit('enter', true);
  };

  const core: Core = {
    get state() {
      return state;
    },
    grant: (given) => {
      const allowed = host.off() ? [] : purposesOf(given, options.consent);
      if (state === 'granted' && given.id === record.id && `${allowed}` === `${purposes}`) return state;
      if (!allowed.length) {
        if (visit || host.shelf.load()) core.withdraw();
        return state;
      }
      halt();
      state = 'granted';
      record = given;
      purposes = allowed;
      abort = new AbortController();
      const { signal } = abort;
      host.defer(() => start(signal));
      return state;
    },
    withdraw: () => {
      const held = visit || host.shelf.load();
      state = 'withdrawn';
      halt();
      if (held) erase(held);
      host.shelf.remove();
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
      emit('enter', view);
    },
    event: act,
    snapshot: () => {
      emit('flush');
      return bodies().join('\n');
    },
    token: () => visit?.session || undefined,
    flush,
    stop: () => {
      if (page) core.leave();
      halt();
      state = 'unknown';
    },
    show: () => {
      if (hiddenSince) began += performance.now() - hiddenSince;
      hiddenSince = 0;
      emit('show');
    },
    hide: () => {
      hiddenSince ||= performance.now();
      emit('hide');
      take();
      transport.leave();
    },
    leave: () => {
      emit('leave', true);
      take();
      transport.leave();
    },
    resume: () => {
      const held = host.shelf.load();
      // Submitted or withdrawn on another page meanwhile: begin again only when granted again.
      if (held?.consent !== record.id) {
        halt();
        state = 'unknown';
        return;
      }
      visit = held;
      emit('enter', true);
    },
  };
  return core;
};
