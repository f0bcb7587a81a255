import { log2 } from '../bins.js';
import { inCheckout, isSecret, isText } from '../field.js';
import type { Signal, Zone } from '../page.js';

const PERSONAL: Zone[] = ['name', 'phone'];
const ZONES: Zone[] = [...PERSONAL, 'address', 'card'];
const HOUR_MS = 36e5;

/** Pastes by zone and copies from the page. What was copied is never read. */
export const clipboard: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const gap = page.hist('any.return_to_paste');
    let returned = -1;
    let away = false;
    let personal = false;
    let seen = false;
    const inside = (target: unknown, zones: Zone[]) => zones.some((zone) => page.within(target, zone));

    page.on('paste', (event) => {
      if (isSecret(event)) return;
      const { target, timeStamp } = event;
      if (inside(target, ZONES)) page.add('pastes');
      if (inside(target, PERSONAL)) page.add('personal_pastes');
      const waited = timeStamp - returned;
      if (returned >= 0 && waited <= HOUR_MS) log2(gap, waited, 256);
      returned = -1;
    });
    page.on('input', ({ target }) => {
      if (personal || !isText(target) || !inside(target, PERSONAL)) return;
      personal = true;
      page.add('personal_inputs');
    });
    page.at('enter', () => {
      if (inCheckout(page)) page.add('copy_stages');
    });
    const copied = (event: Event) => {
      if (inCheckout(page) && !isSecret(event)) page.add('copies');
    };
    page.on('copy', copied);
    page.on('cut', copied);
    page.at('show', () => {
      if (away) returned = performance.now();
    });
    page.at('hide', () => {
      away = true;
      returned = -1;
    });
    page.at('flush', () => {
      if (seen || !document.querySelector(ZONES.map((zone) => `[data-rg~=${zone}]`).join())) return;
      seen = true;
      page.add('paste_zones');
    });
  },
};
