import { signalledOff } from './consent.js';
import { type Collector, type Core, createCore, type Host, type Options } from './core.js';
import { marks } from './marks.js';
import type { Entry, Kind, Page, Shown, Stage } from './page.js';
import { CORE } from './signals/index.js';
import { browserWire } from './transport.js';
import { tabShelf } from './visit.js';

const STAGES: Partial<Record<Kind, Stage>> = { cart: 'cart', checkout: 'address' };

const shown = (): Shown => {
  const { rgPage, rgStage, rgCategory, rgEntry } =
    document.querySelector<HTMLElement>('[data-rg-page]')?.dataset || ({} as DOMStringMap);
  const kind = (rgPage as Kind) || 'other';
  return {
    kind,
    stage: (rgStage as Stage) || STAGES[kind] || 'browse',
    path: location.pathname,
    category: rgCategory,
    entry: rgEntry as Entry,
  };
};

const follow = (core: Core, page: Page): void => {
  marks(page);
  let gone = false;
  page.on('visibilitychange', () => {
    if (gone) return; // an unload is no hiding
    if (document.hidden) core.hide();
    else core.show();
  });
  page.on('pagehide', () => {
    gone = true;
    core.leave();
  });
  page.on('pageshow', ({ persisted }) => {
    if (!persisted) return;
    gone = false;
    core.resume();
  });
  page.on('online', () => core.flush());
};

const on: Host['on'] = (type, handler, signal) => {
  addEventListener(type, handler as (event: Event) => void, { capture: true, passive: true, signal });
};

const defer: Host['defer'] = (start, signal) => {
  const idle = () => (window.requestIdleCallback || setTimeout)(start);
  if ((document as { prerendering?: boolean }).prerendering) on('prerenderingchange' as 'load', idle, signal);
  else idle();
};

/** Whether listeners end with their signal; where they do not, nothing begins. Asking adds no listener. */
const removable = (): boolean => {
  let asked: boolean | undefined;
  addEventListener('riskgraph', null as unknown as EventListener, {
    get signal() {
      asked = true;
      return undefined;
    },
  });
  return !!asked;
};

export const host: Host = {
  wire: browserWire,
  shelf: tabShelf,
  off: () => signalledOff() || !removable(),
  defer,
  shown,
  hidden: () => document.hidden,
  on,
  within: (target, zone) => target instanceof Element && !!target.closest(`[data-rg~=${zone}]`),
  follow,
};

/** A collector that does nothing at all before `grant`. */
export const createCollector = (options: Options): Collector => createCore(options, host, CORE);
