import { log2 } from '../bins';
import { isText } from '../field';
import type { Signal, Zone } from '../page';

const PERSONAL: Zone[] = ['name', 'phone'];
const ZONES: Zone[] = [...PERSONAL, 'address', 'card'];

/** Pastes by zone and copies from the page. What was copied is never read. */
export const clipboard: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const gap = page.hist('any.return_to_paste');
    let returned = -1;
    let personal = false;
    let seen = false;
    const inside = (target: unknown, zones: Zone[]) => zones.some((zone) => page.within(target, zone));

    page.on('paste', ({ target, timeStamp }) => {
      if (inside(target, ZONES)) page.add('pastes');
      if (inside(target, PERSONAL)) page.add('personal_pastes');
      if (returned >= 0) log2(gap, timeStamp - returned, 256);
      returned = -1;
    });
    page.on('input', ({ target }) => {
      if (personal || !isText(target) || !inside(target, PERSONAL)) return;
      personal = true;
      page.add('personal_inputs');
    });
    const checkout = () => !/entry|browse/.test(page.shown.stage);
    page.at('enter', () => {
      if (checkout()) page.add('copy_stages');
    });
    const copied = () => {
      if (checkout()) page.add('copies');
    };
    page.on('copy', copied);
    page.on('cut', copied);
    page.at('show', () => {
      returned = performance.now();
    });
    page.at('hide', () => {
      returned = -1;
    });
    page.at('flush', () => {
      if (seen || !document.querySelector(ZONES.map((zone) => `[data-rg~=${zone}]`).join())) return;
      seen = true;
      page.add('paste_zones');
    });
  },
};
