import type { Signal } from '../page';
import { entry } from '../signals/entry';
import { moves } from '../signals/moves';
import { pages } from '../signals/pages';
import { search } from '../signals/search';
import { sections } from '../signals/sections';

/** Ways through the shop: entry, pages, moves and sections in view. */
export const navigation: readonly Signal[] = [entry, pages, moves, sections, search];
