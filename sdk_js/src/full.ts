export { behavior } from './all.js';
export * from './index.js';
