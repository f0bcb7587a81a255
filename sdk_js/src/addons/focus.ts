import type { Signal } from '../page.js';
import { frame } from '../signals/frame.js';
import { resize } from '../signals/resize.js';
import { restores } from '../signals/restores.js';
import { returns } from '../signals/returns.js';
import { tabs } from '../signals/tabs.js';
import { trust } from '../signals/trust.js';

/** Tabs, window, hosted payment frame, and whether a person makes the events. */
export const focus: readonly Signal[] = [frame, returns, tabs, resize, restores, trust];
