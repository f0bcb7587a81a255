import type { Signal } from '../page';
import { reach } from '../signals/reach';
import { scroll } from '../signals/scroll';
import { trajectory } from '../signals/trajectory';

/** The way of the mouse, and scrolling. */
export const pointer: readonly Signal[] = [trajectory, reach, scroll];
