/** Build dist/: ES modules, classic scripts with source maps and SRI hashes under their version, and types. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { ADDONS, classic, SCRIPTS } from './bundles.mjs';

process.chdir(new URL('..', import.meta.url).pathname);
const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const folder = `dist/${version}`;
rmSync('dist', { recursive: true, force: true });

await build({
  entryPoints: [
    'src/index.ts',
    'src/full.ts',
    'src/miniprogram.ts',
    ...Object.keys(ADDONS).map((name) => `src/addons/${name}.ts`),
  ],
  outbase: 'src',
  outdir: 'dist/esm',
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  sourcemap: true,
});
await build({
  entryPoints: ['src/miniprogram.ts'],
  outfile: 'dist/miniprogram/riskgraph.cjs',
  bundle: true,
  minify: true,
  format: 'cjs',
  target: 'es2018',
  inject: ['src/abort.ts'],
  define: { 'performance.now': 'Date.now' },
  charset: 'utf8',
});

const files = {};
for (const [name, entry] of Object.entries(SCRIPTS)) {
  const outfile = `${folder}/${name}.min.js`;
  await build({ ...classic(entry), outfile, sourcemap: 'linked', sourcesContent: true });
  const bytes = readFileSync(outfile);
  files[`${name}.min.js`] = {
    bytes: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    integrity: `sha384-${createHash('sha384').update(bytes).digest('base64')}`,
  };
}
writeFileSync(`${folder}/sri.json`, `${JSON.stringify({ version, files }, null, 2)}\n`);
execFileSync('npx', ['tsc'], { stdio: 'inherit' });
for (const [name, { bytes, gzip }] of Object.entries(files)) console.log(`${name}: ${bytes} B, ${gzip} B gzip`);
