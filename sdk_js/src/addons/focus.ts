import type { Signal } from '../page';
import { frame } from '../signals/frame';
import { resize } from '../signals/resize';
import { restores } from '../signals/restores';
import { returns } from '../signals/returns';
import { tabs } from '../signals/tabs';
import { trust } from '../signals/trust';

/** Tabs, window, hosted payment frame, and whether a person makes the events. */
export const focus: readonly Signal[] = [frame, returns, tabs, resize, restores, trust];
