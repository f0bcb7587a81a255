import { coarse } from '../field';
import type { Signal } from '../page';

const KEY_MS = 1000;

/** Which way pages are operated: mouse, touch, keys, or clicks of assistive tools. A choice, never a penalty. */
export const modality: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const counts = { mouse: 0, touch: 0, key: 0, other: 0 };
    let pointer = '';
    let key = -KEY_MS;
    let told = false;
    page.words.modality = 'none';
    page.on('pointerdown', ({ pointerType }) => {
      pointer = pointerType;
    });
    page.on('keydown', ({ timeStamp }) => {
      key = timeStamp;
    });
    page.on('click', ({ detail, timeStamp, isTrusted }) => {
      if (!isTrusted) return;
      const by = detail ? (pointer === 'mouse' ? 'mouse' : 'touch') : timeStamp - key < KEY_MS ? 'key' : 'other';
      counts[by]++;
      page.add(`clicks_${by}`);
      const all = counts.mouse + counts.touch + counts.key + counts.other;
      const most = (Object.keys(counts) as (keyof typeof counts)[]).find((name) => counts[name] >= 0.8 * all);
      page.words.modality = most || 'mixed';
    });
    page.at('flush', () => {
      if (!told && coarse()) page.add('coarse_pages');
      told = true;
    });
  },
};
