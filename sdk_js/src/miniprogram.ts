import { motion } from './addons/motion.js';
import type { Collector, Host, Options } from './core.js';
import { createCore } from './core.js';
import type { EventMap, Shown } from './page.js';
import { entry } from './signals/entry.js';
import { CORE } from './signals/index.js';
import { moves } from './signals/moves.js';
import { pages } from './signals/pages.js';
import { returns } from './signals/returns.js';
import { search } from './signals/search.js';
import { touch } from './signals/touch.js';
import type { Answer, Wire } from './transport.js';
import type { Shelf, Visit } from './visit.js';

/** `wx.request`, `my.request`, `tt.request` …; what it returns is asked to `abort` if it can. */
export type Request = (options: {
  url: string;
  method: 'POST' | 'DELETE';
  data: string;
  header: Record<string, string>;
  timeout: number;
  success: (answer: { statusCode: number; data: unknown }) => void;
  fail: (error: unknown) => void;
}) => unknown;

interface TouchLike {
  type: string;
  timeStamp: number;
  changedTouches: { identifier: number; clientX: number; clientY: number }[];
}

export interface MiniOptions extends Options {
  request: Request;
  /** What is on the screen now; its path never leaves the device. */
  shown(): Shown;
}

export interface MiniCollector extends Collector {
  /** Pass the touch events of a page's root view: touchstart, touchmove, touchend, touchcancel. */
  touch(event: TouchLike): void;
  /** Pass a tap that did something. */
  tap(event: { timeStamp: number }): void;
  /** Acceleration in m/s2 without gravity and rotation in deg/s, as the platform reports them. */
  motion(sample: { acceleration?: number[]; rotation?: number[]; timeStamp: number }): void;
  /** Call in `onHide`, `onShow` and `onUnload` of the app. */
  hide(): void;
  show(): void;
  leave(): void;
}

const header = { 'content-type': 'text/plain' };

const wireOf =
  (request: Request): Wire =>
  (method, url, data, signal) =>
    new Promise((success, fail) => {
      const task = request({
        url,
        method,
        data,
        header,
        timeout: 5000,
        success: ({ statusCode, data }) => success({ status: statusCode, json: data as Answer['json'] }),
        fail,
      });
      signal?.addEventListener('abort', () => (task as { abort?(): void } | undefined)?.abort?.());
    });

const memoryShelf = (): Shelf => {
  let held: Visit | undefined;
  return {
    load: () => held,
    save: (visit) => {
      held = visit;
    },
    remove: () => {
      held = undefined;
    },
  };
};

const TYPES: Record<string, 'pointerdown' | 'pointermove' | 'pointerup' | 'pointercancel'> = {
  touchstart: 'pointerdown',
  touchmove: 'pointermove',
  touchend: 'pointerup',
  touchcancel: 'pointercancel',
};

/**
 * The same collector where there is no DOM: pages, stages, choices and touches are told to it, and the
 * payload is the same. Signals that need a DOM (fields, keys, clipboard, mouse) are not measured, so that `zone`
 * changes nothing here.
 */
export const createMiniCollector = (options: MiniOptions): MiniCollector => {
  const handlers: { [type: string]: ((event: never) => void)[] } = {};
  const feed = (type: keyof EventMap, event: object) => {
    for (const handler of handlers[type] || []) handler({ isTrusted: true, ...event } as never);
  };
  const host: Host = {
    wire: wireOf(options.request),
    shelf: memoryShelf(),
    off: () => false,
    defer: (start) => start(),
    shown: () => ({ entry: 'mini_program', ...options.shown() }),
    hidden: () => false,
    on: (type, handler, signal) => {
      (handlers[type] ||= []).push(handler);
      signal.addEventListener('abort', () => {
        handlers[type] = handlers[type].filter((other) => other !== handler);
      });
    },
    within: () => false,
    follow: () => {},
  };
  const core = createCore(options, host, [...CORE, entry, pages, moves, search, returns, touch, motion]);
  return Object.assign(core, {
    touch: ({ type, timeStamp, changedTouches }: TouchLike) => {
      for (const { identifier, clientX, clientY } of changedTouches) {
        feed(TYPES[type], { pointerType: 'touch', pointerId: identifier, clientX, clientY, timeStamp, width: 1 });
      }
    },
    tap: ({ timeStamp }: { timeStamp: number }) => feed('click', { detail: 1, timeStamp }),
    motion: ({ acceleration: a, rotation: r, timeStamp }: Parameters<MiniCollector['motion']>[0]) =>
      feed('devicemotion', {
        acceleration: a && { x: a[0], y: a[1], z: a[2] },
        rotationRate: r && { alpha: r[0], beta: r[1], gamma: r[2] },
        timeStamp,
      }),
  });
};
