import { linear } from '../bins';
import type { Signal } from '../page';

const REST_MS = 100;
const LEAST_PX = 50;
const SMOOTH = 5;
const PEAK = 0.2;
const PEAKS = 64;

/** Straightness and speed peaks of the mouse's way from rest to a click. */
export const reach: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const efficiency = page.hist('any.reach_efficiency');
    const recent = new Float64Array(SMOOTH);
    const peaks = new Float64Array(PEAKS);
    let [startX, startY, path, took, steps, found, top, before, last] = [0, 0, 0, 0, 0, 0, 0, 0, 0];
    let [x, y, t] = [0, 0, -1];

    const begin = () => {
      [startX, startY, path, took, steps, found, top, before, last] = [x, y, 0, 0, 0, 0, 0, 0, 0];
    };

    const smooth = (speed: number) => {
      recent[steps++ % SMOOTH] = speed;
      if (steps < SMOOTH) return;
      const mean = recent.reduce((a, b) => a + b) / SMOOTH;
      if (steps > SMOOTH + 1 && last > before && last > mean && found < PEAKS) peaks[found++] = last;
      top = Math.max(top, mean);
      [before, last] = [last, mean];
    };

    page.on('pointermove', (event) => {
      if (event.pointerType !== 'mouse') return;
      const samples = event.getCoalescedEvents?.();
      for (const { clientX, clientY, timeStamp } of samples?.length ? samples : [event]) {
        const dt = timeStamp - t;
        if (t < 0 || dt > REST_MS) {
          if (t < 0) [x, y] = [clientX, clientY];
          begin();
        }
        const far = Math.hypot(clientX - x, clientY - y);
        path += far;
        if (dt > 0 && dt <= REST_MS) {
          took += dt;
          smooth(far / dt);
        }
        [x, y, t] = [clientX, clientY, timeStamp];
      }
    });
    page.on('click', ({ detail }) => {
      if (detail && path >= LEAST_PX) {
        linear(efficiency, Math.hypot(x - startX, y - startY) / path, 1);
        page.add('reach_s', took / 1e3);
        for (let i = 0; i < found; i++) if (peaks[i] > PEAK * top) page.add('reach_peaks');
      }
      begin();
    });
  },
};
