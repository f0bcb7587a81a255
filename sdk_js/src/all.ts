import { focus } from './addons/focus';
import { form } from './addons/form';
import { input } from './addons/input';
import { navigation } from './addons/navigation';
import { pointer } from './addons/pointer';
import { press } from './addons/press';
import { typing } from './addons/typing';
import type { Signal } from './page';

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
