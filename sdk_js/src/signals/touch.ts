import { HALF_TURN, linear, log2 } from '../bins.js';
import type { Signal } from '../page.js';
import { samplesOf } from '../samples.js';

const TAP_PX = 10;
const TAP_MS = 2000;
const SWIPE_PX = 30;

interface Way {
  x: number;
  y: number;
  t: number;
  lastX: number;
  lastY: number;
  path: number;
  angle: number;
  curve: number;
}

/** Taps, swipes and contact width of fingers. */
export const touch: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const speed = page.hist('any.swipe_speed');
    const length = page.hist('any.swipe_length');
    const curve = page.hist('any.swipe_curve');
    const tap = page.hist('any.tap_ms');
    const down = new Map<number, Way>();
    let several = false;

    const finger = ({ pointerType }: PointerEvent) => pointerType === 'touch';
    page.on('pointerdown', (event) => {
      if (!finger(event)) return;
      const { clientX: x, clientY: y, timeStamp: t, width, pointerId } = event;
      if (!down.size) several = false;
      down.set(pointerId, { x, y, t, lastX: x, lastY: y, path: 0, angle: Number.NaN, curve: 0 });
      page.add('touches');
      page.add('touch_width', width);
      page.add('touch_width_sq', width * width);
      if (width !== 1) page.add('touch_width_real');
      if (down.size > 1) {
        several = true;
        page.add('multi_touches');
      }
    });
    page.on('pointermove', (event) => {
      const way = finger(event) && down.get(event.pointerId);
      if (!way) return;
      for (const { clientX, clientY } of samplesOf(event)) {
        const [dx, dy] = [clientX - way.lastX, clientY - way.lastY];
        const far = Math.hypot(dx, dy);
        if (far < 2) continue; // below that the angle is the screen's grid
        const angle = Math.atan2(dy, dx);
        const turn = Math.abs(angle - way.angle);
        if (turn) way.curve += Math.min(turn, 2 * Math.PI - turn);
        way.angle = angle;
        way.path += far;
        way.lastX = clientX;
        way.lastY = clientY;
      }
    });
    // Where the browser scrolls, a swipe ends with pointercancel.
    const end = (event: PointerEvent) => {
      const way = down.get(event.pointerId);
      down.delete(event.pointerId);
      if (!way || several) return;
      const held = event.timeStamp - way.t;
      const straight = Math.hypot(way.lastX - way.x, way.lastY - way.y);
      if (way.path < TAP_PX && held < TAP_MS && event.type === 'pointerup') log2(tap, held);
      if (straight < SWIPE_PX || held <= 0) return;
      log2(speed, (way.path / held) * 1e3);
      log2(length, straight);
      linear(curve, Math.min(Math.PI, way.curve), HALF_TURN);
    };
    page.on('pointerup', end);
    page.on('pointercancel', end);
  },
};
