import { coarse, echoes } from '../field.js';
import type { Signal } from '../page.js';

const KEY_MS = 1000;

/** Which way pages are operated: mouse, touch, keys, or clicks of assistive tools. A choice, never a penalty. */
export const modality: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const counts = { mouse: 0, touch: 0, key: 0, other: 0 };
    let pointer = '';
    let key = -KEY_MS;
    const echo = echoes();
    let all = 0;
    let told = false;
    page.words.modality = 'none';
    page.on('pointerdown', ({ pointerType }) => {
      pointer = pointerType;
    });
    page.on('keydown', ({ timeStamp }) => {
      key = timeStamp;
    });
    page.on('click', (event) => {
      const { detail, timeStamp, isTrusted } = event;
      if (!isTrusted || echo(event)) return;
      const by = detail ? (pointer === 'mouse' ? 'mouse' : 'touch') : timeStamp - key < KEY_MS ? 'key' : 'other';
      counts[by]++;
      all++;
      page.add(`clicks_${by}`);
      page.words.modality =
        (Object.keys(counts) as (keyof typeof counts)[]).find((name) => counts[name] >= 0.8 * all) || 'mixed';
    });
    page.at('flush', () => {
      if (!told && coarse()) page.add('coarse_pages');
      told = true;
    });
  },
};
