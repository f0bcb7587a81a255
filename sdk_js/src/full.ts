export { behavior } from './all';
export * from './index';
