import type { Page, Signal, Zone } from '../page.js';

const SHARE = 0.25;

const stopwatch = (page: Page, key: 'review_s' | 'policy_s') => {
  let since = -1;
  const tell = () => {
    const now = page.visible();
    if (since >= 0) page.add(key, (now - since) / 1e3);
    if (since >= 0) since = now;
  };
  page.at('flush', tell);
  page.at('leave', tell);
  return (on: boolean) => {
    tell();
    since = on ? page.visible() : -1;
  };
};

/** Visible seconds with a review or policy section in view (a quarter of the screen). */
export const sections: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const watch = (zone: Zone, key: 'review_s' | 'policy_s', count: 'review_seen' | 'policy_seen') => {
      const run = stopwatch(page, key);
      const covered = new Map<Element, boolean>();
      const update = () => run(page.shown.kind === zone || [...covered.values()].some((on) => on));
      const observer = new IntersectionObserver(
        (changes) => {
          for (const { target, intersectionRect: seen, rootBounds: root } of changes) {
            covered.set(target, !!root && seen.width * seen.height >= SHARE * root.width * root.height);
          }
          update();
        },
        { threshold: [...Array(21)].map((_, i) => i / 20) },
      );
      page.signal.addEventListener('abort', () => observer.disconnect());
      page.at('enter', () => {
        observer.disconnect();
        covered.clear();
        const found = document.querySelectorAll(`[data-rg~=${zone}]`);
        for (const section of found) observer.observe(section);
        if (found.length || page.shown.kind === zone) page.add(count);
        update();
      });
    };
    page.at('enter', () => {
      const { kept } = page.visit;
      if (page.zones.includes('policy') && !kept.policy) page.add('shop_marks_policy');
      kept.policy = 1;
    });
    watch('review', 'review_s', 'review_seen');
    watch('policy', 'policy_s', 'policy_seen');
  },
};
