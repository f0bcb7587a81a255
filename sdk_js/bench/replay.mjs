/**
 * Recorded mouse movements through the SDK's own pointer signals: one JSON object `{"t": [ms], "x": [px], "y": [px]}`
 * a line on stdin, its sums `{"histograms", "counters"}` a line on stdout. Each recording is a page of its own, lies
 * in the address zone and ends with a click.
 */
import { createInterface } from 'node:readline';
import { build } from 'esbuild';

const { outputFiles } = await build({
  stdin: {
    contents: `export { trajectory } from './src/signals/trajectory';
      export { reach } from './src/signals/reach';
      export { createTally } from './src/tally';`,
    resolveDir: new URL('..', import.meta.url).pathname,
    loader: 'ts',
  },
  bundle: true,
  format: 'esm',
  write: false,
  logLevel: 'error',
});
const { trajectory, reach, createTally } = await import(
  `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`
);

const sumsOf = ({ t, x, y }) => {
  const tally = createTally();
  const handlers = [];
  const page = {
    ...tally,
    on: (type, handler) => handlers.push([type, handler]),
    at: () => {},
    within: () => true,
  };
  const send = (type, event) => {
    for (const [wanted, handler] of handlers) if (wanted === type) handler(event);
  };
  for (const signal of [trajectory, reach]) signal.listen(page);
  send('pointerover', {});
  t.forEach((timeStamp, i) => {
    const move = { pointerType: 'mouse', timeStamp, clientX: x[i], clientY: y[i], getCoalescedEvents: () => [] };
    send('pointermove', move);
  });
  send('click', { detail: 1, timeStamp: t.at(-1) });
  const { zones = {}, counters = {} } = tally.deltas() || {};
  const histograms = {};
  for (const [zone, found] of Object.entries(zones)) {
    for (const [name, { h }] of Object.entries(found)) histograms[`${zone}.${name}`] = h;
  }
  return { histograms, counters };
};

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(sumsOf(JSON.parse(line)))}\n`);
}
