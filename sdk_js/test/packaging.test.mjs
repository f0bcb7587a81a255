import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { collecting, skip } from './support/browser.mjs';
import { harness } from './support/harness.mjs';
import { SCRIPT, VERSION } from './support/stub.mjs';

const ROOT = new URL('..', import.meta.url).pathname;
const PACKAGE = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const SRI = JSON.parse(readFileSync(new URL('sri.json', SCRIPT), 'utf8'));
const CORE_B = 4096;
const ADDON_B = 1536;

describe('the package', () => {
  it('keeps core and add-ons small', () => {
    for (const [name, { gzip }] of Object.entries(SRI.files)) {
      if (name === 'riskgraph-full.min.js') continue;
      assert.ok(gzip <= (name === 'riskgraph.min.js' ? CORE_B : ADDON_B), `${name}: ${gzip} B`);
    }
  });

  it('is what the demo shop serves: the scripts that were built last', () => {
    execFileSync('node', ['scripts/shop.mjs', '--check'], { cwd: ROOT });
  });

  it('has no dependency that runs in a page, and no own install script', () => {
    assert.equal(PACKAGE.dependencies, undefined);
    assert.ok(!Object.keys(PACKAGE.scripts).some((name) => /install|prepare/.test(name)));
  });

  it('names the hash of each script, under its version', () => {
    assert.equal(SRI.version, VERSION);
    assert.equal(PACKAGE.exports['./sri.json'], `./dist/${VERSION}/sri.json`);
    const scripts = readdirSync(SCRIPT).filter((name) => name.endsWith('.js'));
    assert.deepEqual(scripts.sort(), Object.keys(SRI.files).sort());
    for (const name of scripts) {
      const bytes = readFileSync(new URL(name, SCRIPT));
      assert.equal(SRI.files[name].integrity, `sha384-${createHash('sha384').update(bytes).digest('base64')}`);
      assert.ok(existsSync(new URL(`${name}.map`, SCRIPT)), `${name} has a source map`);
    }
  });

  it('packs what it exports and nothing that is of no use to a shop', () => {
    const [{ files }] = JSON.parse(
      execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: ROOT, encoding: 'utf8' }),
    );
    const names = files.map(({ path }) => path);
    const strange = names.filter(
      (name) => !/^(dist|src)\/|^(package\.json|README|LICENSE|CHANGELOG|INVENTORY|PCI)/.test(name),
    );
    assert.deepEqual(strange, []);
    const targets = Object.values(PACKAGE.exports).flatMap((target) =>
      typeof target === 'string' ? target : Object.values(target),
    );
    for (const target of targets.filter((path) => !path.includes('*')))
      assert.ok(names.includes(target.slice(2)), target);
    for (const name of ['README.md', 'LICENSE', 'CHANGELOG.md', 'INVENTORY.md', 'PCI.md'])
      assert.ok(names.includes(name), name);
  });

  for (const [module, resolution] of [
    ['esnext', 'bundler'],
    ['nodenext', 'nodenext'],
  ])
    it(`types a shop that uses it and resolves modules as ${resolution}`, () => {
      const folder = mkdtempSync(join(ROOT, 'dist/consumer-'));
      try {
        const shop = `
        import { createCollector, type ConsentRecord } from '@riskgraph/behavior';
        import { behavior } from '@riskgraph/behavior/full';
        import { device } from '@riskgraph/behavior/addons/device';
        import { createMiniCollector } from '@riskgraph/behavior/miniprogram';
        const collector = createCollector({ endpoint: '', merchantKey: 'pk', consent: { policyVersion: '1' }, zones: ['address'],
          locale: 'zh', addons: [behavior, device({ offsets: [480], language: 'zh' })] });
        const record: ConsentRecord = { id: '', policyVersion: '1', at: '', purposes: { behavior: true } };
        const state: 'unknown' | 'granted' | 'withdrawn' = collector.grant(record);
        collector.stage('payment'); collector.zone('card'); collector.event('order'); collector.zone();
        const token: string | undefined = collector.token();
        // @ts-expect-error no such stage
        collector.stage('elsewhere');
        // @ts-expect-error no such zone
        collector.zone('diary');
        // @ts-expect-error a mini program has to say how it sends
        createMiniCollector({ endpoint: '', merchantKey: 'pk', consent: { policyVersion: '1' }, zones: [], locale: 'zh' });
        export { state, token };`;
        writeFileSync(join(folder, 'shop.ts'), shop);
        const options = [
          '--noEmit',
          '--strict',
          '--target',
          'es2022',
          '--module',
          module,
          '--moduleResolution',
          resolution,
          '--ignoreConfig',
        ];
        execFileSync('npx', ['tsc', ...options, join(folder, 'shop.ts')], { cwd: ROOT, encoding: 'utf8' });
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

  it('keeps schema, map and inventory as the table has them', () => {
    execFileSync('node', ['scripts/generate.mjs', '--check'], { cwd: ROOT });
  });

  it('has one file for each signal of the table, which counts what the table says and nothing else', async () => {
    const { loadTable } = await import('../scripts/generate.mjs');
    const { SIGNALS, HISTOGRAMS, COUNTERS } = await loadTable();
    const keys = [...HISTOGRAMS, ...COUNTERS];
    const sources = new Map();
    for (const { name, purpose, bundle } of SIGNALS) {
      const path = ['signals', 'addons'].map((folder) => join(ROOT, `src/${folder}/${name}.ts`)).find(existsSync);
      assert.ok(path, name);
      sources.set(name, readFileSync(path, 'utf8'));
      assert.match(sources.get(name), new RegExp(`purpose: '${purpose}'`));
      if (bundle !== 'core') assert.ok(SRI.files[`riskgraph-${bundle}.min.js`], bundle);
    }
    assert.equal(new Set(keys.map(({ key }) => key)).size, keys.length);
    for (const { key, signal } of keys) {
      // Another signal's key in it would be counted twice.
      for (const [other, source] of sources) {
        if (other !== signal) assert.ok(!source.includes(`'${key}'`), `${key} in ${other}`);
      }
      // A key may be made from its stem and a word: `stage_${…}`, `${kind}.moves`.
      const stem = [key, `${key.split('_')[0]}_\${`, `}.${key.split('.')[1]}`];
      assert.ok(
        stem.some((text) => sources.get(signal).includes(text)),
        `${key} in ${signal}`,
      );
    }
    const files = readdirSync(join(ROOT, 'src/signals')).filter((name) => !/^(index|table|nodes)\.ts$/.test(name));
    assert.deepEqual(
      files.map((name) => name.slice(0, -3)).filter((name) => !sources.has(name)),
      [],
    );
  });

  describe('under a strict policy', { skip }, () => {
    const at = harness();
    const POLICY =
      "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'none'; frame-src 'self'; " +
      "require-trusted-types-for 'script'; trusted-types 'none'";
    const query = (change = {}) =>
      new URLSearchParams(
        Object.fromEntries(
          ['full', 'device', 'frames', 'motion', 'location'].map((name) => [
            name,
            change[name] || SRI.files[`riskgraph-${name}.min.js`].integrity,
          ]),
        ),
      );

    it('loads by its hash and sends, with CSP and trusted types in force and no violation', async () => {
      at.stub.headers = { 'content-security-policy': POLICY };
      await at.page.addInitScript(() => {
        window.violations = [];
        addEventListener('securitypolicyviolation', ({ violatedDirective }) => violations.push(violatedDirective));
      });
      await at.open(`/strict?auto&${query()}`);
      await collecting(at.page);
      await at.page.focus('#card');
      await at.page.keyboard.press('1');
      await at.page.focus('#order');
      await at.page.keyboard.press('Enter');
      assert.deepEqual(await at.run(() => violations), []);
      await at.page.close();
      assert.ok(at.stub.flushes.length > 0);
    });

    it('does not run when a byte differs', async () => {
      at.stub.headers = { 'content-security-policy': POLICY };
      const other = SRI.files['riskgraph.min.js'].integrity;
      await at.open(`/strict?${query({ full: other })}`);
      assert.equal(await at.run(() => typeof globalThis.riskgraph?.createCollector), 'undefined');
    });
  });
});
