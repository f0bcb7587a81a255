import { inCheckout } from '../field.js';
import type { Signal } from '../page.js';

/** Tabs of this shop in the checkout at one time. Tabs greet each other; nothing is stored. */
export const tabs: Signal = {
  purpose: 'behavior',
  listen: (page) => {
    if (!window.BroadcastChannel) return;
    const me = Math.random();
    const others = new Set<number>();
    let channel: BroadcastChannel | undefined;
    const tell = () => {
      const most = Math.max(page.visit.kept.checkout_tabs || 0, others.size + 1);
      page.level('checkout_tabs', most);
    };
    const leave = () => {
      channel?.postMessage({ bye: me });
      channel?.close();
      channel = undefined;
    };
    page.at('enter', () => {
      if (channel || !inCheckout(page)) return;
      others.clear();
      channel = new BroadcastChannel('riskgraph');
      channel.onmessage = ({ data }) => {
        if (data.bye) others.delete(data.bye);
        else others.add(data.hi || data.here);
        if (data.hi) channel?.postMessage({ here: me });
        tell();
      };
      channel.postMessage({ hi: me });
      tell();
    });
    // An open channel would keep the page out of the back-forward cache.
    page.at('leave', leave);
    page.signal.addEventListener('abort', leave);
  },
};
