import { type Bins, HALF_TURN, linear, log2 } from '../bins.js';
import type { Signal } from '../page.js';
import { samplesOf } from '../samples.js';

const STEP_MS = 100;
const GAP_MS = 1000;
const PAUSE_MS = 100;

/** Speed, rhythm, acceleration and turns of the mouse, at the rate of the device. */
export const trajectory: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const speeds = page.hist('any.ptr_speed');
    const gaps = page.hist('any.ptr_gap');
    const accelerations = page.hist('any.ptr_accel');
    const turns = page.hist('any.ptr_turn');
    const inAddress: Record<'speed' | 'turn' | 'pause', Bins> = {
      speed: page.hist('address.ptr_speed'),
      turn: page.hist('address.ptr_turn'),
      pause: page.hist('address.ptr_pause'),
    };
    // One assignment each: destructuring of arrays costs more than the arithmetic.
    let x = 0;
    let y = 0;
    let t = -1;
    let dx = 0;
    let dy = 0;
    let length = 0;
    let speed = 0;
    let took = 0;
    let over = false;
    let focused = false;

    const step = (sx: number, sy: number, dt: number, address: boolean) => {
      const far = Math.hypot(sx, sy);
      const now = (far / dt) * 1e3;
      log2(speeds, now);
      if (address) log2(inAddress.speed, now);
      if (far >= 4) {
        page.add('long_steps');
        if (!sx || !sy) page.add('axis_steps');
      }
      if (took) {
        log2(accelerations, (Math.abs(now - speed) / (dt + took)) * 2e3, 16);
        const turn = Math.abs(Math.atan2(dx * sy - dy * sx, dx * sx + dy * sy));
        if (far >= 2 && length >= 2) {
          linear(turns, turn, HALF_TURN);
          if (address) linear(inAddress.turn, turn, HALF_TURN);
        }
        if (length && far >= 1 && far <= 5) {
          page.add('micro_steps');
          if (turn > Math.PI / 2) page.add('micro_reversals');
        }
      }
      dx = sx;
      dy = sy;
      length = far;
      speed = now;
      took = dt;
    };

    const sample = ({ clientX, clientY, timeStamp }: PointerEvent) => {
      const dt = timeStamp - t;
      const address = over || focused;
      if (t >= 0 && dt >= 0) {
        if (dt <= GAP_MS) log2(gaps, dt);
        if (address && dt >= PAUSE_MS) log2(inAddress.pause, dt);
      }
      if (t >= 0 && dt > 0 && dt <= STEP_MS) step(clientX - x, clientY - y, dt, address);
      else took = 0;
      x = clientX;
      y = clientY;
      t = timeStamp;
    };

    page.on('pointermove', (event) => {
      if (event.pointerType !== 'mouse') return;
      const samples = samplesOf(event);
      if ('getCoalescedEvents' in event) {
        page.add('moves');
        page.add('move_samples', samples.length);
      }
      for (const one of samples) sample(one);
    });
    page.on('pointerover', ({ target }) => {
      over = page.within(target, 'address');
    });
    page.on('focusin', ({ target }) => {
      focused = page.within(target, 'address');
    });
    page.on('focusout', () => {
      focused = false;
    });
    page.at('enter', () => {
      t = -1;
    });
  },
};
