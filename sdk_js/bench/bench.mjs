/** The figures of the SDK as one JSON list, in the shape of `riskgraph bench`. `--only a,b` takes some of them. */
import { measureBrowser } from './browser.mjs';
import { measureFlow } from './flow.mjs';
import { measureSizes } from './sizes.mjs';

const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1].split(',') : undefined;

export const figure = (name, value, unit, { note = '', baseline = null } = {}) => ({
  name,
  value,
  unit,
  lower: null,
  upper: null,
  baseline,
  ratio: value !== null && baseline ? value / baseline : null,
  note,
});

const parts = [measureSizes, ...measureBrowser, measureFlow];
const figures = [];
for (const part of parts) {
  if (only && !part.names.some((name) => only.includes(name))) continue;
  process.stderr.write(`${part.names.join(', ')} …\n`);
  figures.push(...(await part(figure)));
}
process.stdout.write(
  `${JSON.stringify(
    figures.filter(({ name }) => !only || only.includes(name)),
    null,
    1,
  )}\n`,
);
