import { linear, log2 } from '../bins.js';
import { echoes } from '../field.js';
import type { Signal } from '../page.js';

const AWAY_PX = 10;
const LONGEST_MS = 1e4;
const TARGETS = 'button,a,input,select,textarea,label,summary,[role=button],[role=link]';
const BUTTONS = 'button,[type=submit],[type=button],[role=button]';

const closest = (target: unknown, what: string) => (target instanceof Element ? target.closest(what) : null);

/** Mouse clicks: aim, press, hover before, and clicks to which no move led. */
export const clicks: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    const offset = page.hist('any.click_offset');
    const press = page.hist('any.press_ms');
    const hover = page.hist('pay.hover_ms');
    const echo = echoes();
    let moved: { clientX: number; clientY: number } | undefined;
    let down: PointerEvent | undefined;
    let held = -1;
    let hovered: Element | null = null;
    let since = 0;
    let hoverMs = -1;
    const near = (a: typeof moved, b: typeof moved) =>
      !!a && !!b && Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) <= AWAY_PX;

    page.on('pointerover', ({ target, timeStamp }) => {
      const button = closest(target, BUTTONS);
      if (button !== hovered) since = timeStamp;
      hovered = button;
    });
    page.on('pointermove', (event) => {
      if (event.pointerType === 'mouse') moved = event;
    });
    page.on('pointerdown', (event) => {
      down = event;
      held = -1;
      hoverMs = hovered ? event.timeStamp - since : -1;
    });
    page.on('pointerup', (event) => {
      if (near(down, event)) held = event.timeStamp - (down as PointerEvent).timeStamp;
    });
    page.on('click', (event) => {
      if (echo(event) || !event.detail || !down || down.pointerType === 'pen') return;
      const { target, clientX, clientY } = event;
      const box = closest(target, TARGETS)?.getBoundingClientRect();
      if (box?.width && box.height) {
        const across = Math.abs((2 * (clientX - box.left)) / box.width - 1);
        const along = Math.abs((2 * (clientY - box.top)) / box.height - 1);
        linear(offset, Math.min(1, Math.max(across, along)), 1);
      }
      if (down.pointerType !== 'mouse') return;
      page.add('mouse_clicks');
      if (!near(moved, event)) page.add('teleports');
      if (held >= 0 && held <= LONGEST_MS) log2(press, held);
      if (hoverMs >= 0 && /payment|submit/.test(page.shown.stage)) log2(hover, hoverMs);
    });
  },
};
