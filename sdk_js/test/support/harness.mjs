import { after, afterEach, before, beforeEach } from 'node:test';
import { collecting, launch } from './browser.mjs';
import { Stub } from './stub.mjs';

/** One browser for a suite; a shop, a server and a fresh context for each of its tests. */
export const harness = ({ launching, context } = {}) => {
  const at = {
    open: (path) => at.page.goto(at.stub.origin + path),
    /** Open a page that grants at once, and wait until it collects. */
    visit: async (path) => {
      await at.open(`${path}?auto`);
      await collecting(at.page);
    },
    run: (act, value) => at.page.evaluate(act, value),
  };
  before(async () => {
    at.browser = await launch(launching);
  });
  after(() => at.browser?.close());
  beforeEach(async () => {
    at.stub = await Stub.start();
    at.context = await at.browser.newContext(context);
    at.page = await at.context.newPage();
  });
  afterEach(async () => {
    await at.context?.close();
    at.stub?.stop();
  });
  return at;
};
