import { focus } from './addons/focus.js';
import { form } from './addons/form.js';
import { input } from './addons/input.js';
import { navigation } from './addons/navigation.js';
import { pointer } from './addons/pointer.js';
import { press } from './addons/press.js';
import { typing } from './addons/typing.js';
import type { Signal } from './page.js';

/** Every signal of the purpose `behavior` beyond the core: `createCollector({ …, addons: behavior })`. */
export const behavior: readonly Signal[] = [
  ...navigation,
  ...pointer,
  ...press,
  ...typing,
  ...form,
  ...input,
  ...focus,
];
