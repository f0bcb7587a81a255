import { linear } from '../bins.js';
import type { Signal } from '../page.js';
import { samplesOf } from '../samples.js';

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
    // The reach under way: where it began, how long it is, and its smoothed speeds.
    let startX = 0;
    let startY = 0;
    let path = 0;
    let took = 0;
    let steps = 0;
    let found = 0;
    let top = 0;
    let before = 0;
    let last = 0;
    let x = 0;
    let y = 0;
    let t = -1;

    const begin = () => {
      startX = x;
      startY = y;
      path = took = steps = found = top = before = last = 0;
    };

    const smooth = (speed: number) => {
      recent[steps++ % SMOOTH] = speed;
      if (steps < SMOOTH) return;
      let mean = 0;
      for (let i = 0; i < SMOOTH; i++) mean += recent[i] / SMOOTH;
      if (steps > SMOOTH + 1 && last > before && last > mean && found < PEAKS) peaks[found++] = last;
      top = Math.max(top, mean);
      before = last;
      last = mean;
    };

    const sample = ({ clientX, clientY, timeStamp }: PointerEvent) => {
      const dt = timeStamp - t;
      if (t < 0) {
        x = clientX;
        y = clientY;
      }
      if (t < 0 || dt > REST_MS) begin();
      const far = Math.hypot(clientX - x, clientY - y);
      path += far;
      if (dt > 0 && dt <= REST_MS) {
        took += dt;
        smooth(far / dt);
      }
      x = clientX;
      y = clientY;
      t = timeStamp;
    };

    page.on('pointermove', (event) => {
      if (event.pointerType !== 'mouse') return;
      for (const one of samplesOf(event)) sample(one);
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
