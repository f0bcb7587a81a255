/**
 * What the demo shop serves of the SDK: its built scripts, and what each field is for the "what is sent" page.
 * With --check nothing is written and a stale file fails.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { loadTable } from './generate.mjs';

process.chdir(new URL('..', import.meta.url).pathname);
const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const SCRIPTS = ['full', 'device', 'frames', 'motion', 'location', 'pipl'];

const inventoryOf = ({ SIGNALS, HISTOGRAMS, COUNTERS }) => {
  const fields = SIGNALS.flatMap(({ name, purpose }) =>
    [...HISTOGRAMS, ...COUNTERS]
      .filter(({ signal }) => signal === name)
      .map(({ key, bins, unit, en, zh }) => {
        const form = bins ? `16 × ${bins.replaceAll('|', ' ')}` : `Σ ${unit}`;
        return [key, { purpose, form, zh, en }];
      }),
  );
  return `${JSON.stringify(Object.fromEntries(fields), null, 1)}\n`;
};

const { files } = JSON.parse(readFileSync(`dist/${version}/sri.json`, 'utf8'));
const made = { 'inventory.json': inventoryOf(await loadTable()) };
const hashes = {};
for (const name of SCRIPTS) {
  const file = `riskgraph-${name}.min.js`;
  made[file] = readFileSync(`dist/${version}/${file}`, 'utf8');
  hashes[file] = files[file].integrity;
}
made['sri.json'] = `${JSON.stringify({ version, files: hashes }, null, 1)}\n`;
const check = process.argv.includes('--check');
mkdirSync('shop/sdk', { recursive: true });
for (const [name, text] of Object.entries(made)) {
  const path = `shop/sdk/${name}`;
  if (!check) writeFileSync(path, text);
  else if (!existsSync(path) || readFileSync(path, 'utf8') !== text)
    throw new Error(`${path} is stale: npm run build && npm run shop`);
}
