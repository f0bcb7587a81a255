import { type Bins, log2 } from '../bins.js';
import { inAddressStage, isPress, isText } from '../field.js';
import type { Signal } from '../page.js';

const HOLD_MS = 2000;
const GAP_MS = 5000;
const FIELD_GAP_MS = 1e4;
const ZONES = ['name', 'phone', 'address', 'card'] as const;

/** Rhythm of physical keys in text fields. Which key it was pairs its release and is then forgotten. */
export const keys: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const hold = page.hist('any.key_hold');
    const gap = page.hist('any.key_gap');
    const down = new Map<string, number>();
    let field: unknown;
    let zones: Bins[] = [];
    let stage = false;
    let then = 0;

    page.on('focusin', ({ target }) => {
      field = isText(target) ? target : undefined;
      zones = ZONES.filter((zone) => page.within(target, zone)).map((zone) => page.hist(`${zone}.key_gap`));
      stage = inAddressStage(page, target);
      then = 0;
      down.clear();
    });
    page.on('keydown', (event) => {
      const { target, code, key, timeStamp, metaKey, ctrlKey } = event;
      if (target !== field || !isPress(event)) return;
      page.add('keys');
      // Of a shortcut macOS never tells the release.
      if (!metaKey && !ctrlKey) {
        if (down.size) page.add('key_rollovers');
        down.set(code, timeStamp);
      }
      if (stage) {
        page.add('address_keys');
        if (/^(Backspace|Delete)$/.test(key)) page.add('corrections');
      }
      const since = timeStamp - then;
      if (then && since <= GAP_MS) log2(gap, since);
      if (then && since <= FIELD_GAP_MS) for (const zone of zones) log2(zone, since);
      then = timeStamp;
    });
    page.on('keyup', ({ code, timeStamp }) => {
      const held = timeStamp - (down.get(code) ?? Number.NaN);
      down.delete(code);
      if (held <= HOLD_MS) log2(hold, held);
    });
  },
};
