import type { Signal } from '../page.js';

const LONGEST_MS = 1000;

const squared = (a?: number | null, b?: number | null, c?: number | null) =>
  (a || 0) ** 2 + (b || 0) ** 2 + (c || 0) ** 2;

/** Energy of motion and turning of a device in the hand: sums of squares, no series. */
export const motion: Signal = {
  purpose: 'motion',
  listen: (page) => {
    let then = 0;
    let hidden = false;
    page.at('hide', () => {
      hidden = true;
    });
    page.at('show', () => {
      hidden = false;
      then = 0;
    });
    page.on('devicemotion', ({ acceleration, rotationRate, timeStamp }) => {
      const real = acceleration?.x != null || rotationRate?.alpha != null;
      if (hidden || !real) return;
      if (then && timeStamp - then <= LONGEST_MS) page.add('motion_s', (timeStamp - then) / 1e3);
      then = timeStamp;
      if (acceleration?.x != null) {
        page.add('accel_n');
        page.add('accel_sq', squared(acceleration.x, acceleration.y, acceleration.z));
      }
      if (rotationRate?.alpha != null) {
        page.add('rotation_n');
        page.add('rotation_sq', squared(rotationRate.alpha, rotationRate.beta, rotationRate.gamma));
      }
    });
  },
};

/** iOS asks in a dialogue of its own; call it in a tap. Elsewhere it is always true. */
export const askForMotion = async (): Promise<boolean> => {
  const ask = (globalThis.DeviceMotionEvent as { requestPermission?: () => Promise<string> } | undefined)
    ?.requestPermission;
  return !ask || (await ask().catch(() => 'denied')) === 'granted';
};
