import type { Signal } from '../page.js';
import { reach } from '../signals/reach.js';
import { scroll } from '../signals/scroll.js';
import { trajectory } from '../signals/trajectory.js';

/** The way of the mouse, and scrolling. */
export const pointer: readonly Signal[] = [trajectory, reach, scroll];
