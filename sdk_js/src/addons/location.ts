import type { Signal } from '../page.js';

const WAIT_MS = 5000;

/** Whether the paying device has a position at all. It never asks by itself, and the position is not read. */
export const location: Signal = {
  purpose: 'location',
  listen: (page) => {
    const look = async () => {
      if (page.visit.kept.location || page.shown.stage !== 'payment') return;
      const { state } = await navigator.permissions.query({ name: 'geolocation' });
      if (state !== 'granted' || page.signal.aborted || page.visit.kept.location) return;
      page.visit.kept.location = 1;
      const tell = (counter: 'location_granted' | 'location_unavailable') => {
        if (!page.signal.aborted) page.add(counter);
      };
      navigator.geolocation.getCurrentPosition(
        () => tell('location_granted'),
        () => tell('location_unavailable'),
        { timeout: WAIT_MS, maximumAge: 6e5 },
      );
    };
    page.at('enter', () => {
      look().catch(() => {});
    });
  },
};
