import type { Signal } from '../page.js';
import { entry } from '../signals/entry.js';
import { moves } from '../signals/moves.js';
import { pages } from '../signals/pages.js';
import { search } from '../signals/search.js';
import { sections } from '../signals/sections.js';

/** Ways through the shop: entry, pages, moves and sections in view. */
export const navigation: readonly Signal[] = [entry, pages, moves, sections, search];
