/** Build dist/: ES modules, classic scripts with source maps and SRI hashes under their version, and types. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { ADDONS, bundle, classic, SCRIPTS } from './bundles.mjs';

process.chdir(new URL('..', import.meta.url).pathname);
const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const folder = `dist/${version}`;
rmSync('dist', { recursive: true, force: true });

await build({
  entryPoints: ['src/index.ts', 'src/full.ts', ...Object.keys(ADDONS).map((name) => `src/addons/${name}.ts`)],
  outbase: 'src',
  outdir: 'dist/esm',
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  sourcemap: true,
});
for (const [format, end] of [
  ['cjs', 'cjs'],
  ['esm', 'js'],
]) {
  await build({
    entryPoints: ['src/miniprogram.ts'],
    outfile: `dist/miniprogram/riskgraph.${end}`,
    bundle: true,
    minify: true,
    format,
    target: 'es2018',
    inject: ['src/abort.ts'],
    define: { 'performance.now': 'Date.now' },
    charset: 'utf8',
  });
}

const files = {};
mkdirSync(folder, { recursive: true });
for (const [name, entry] of Object.entries(SCRIPTS)) {
  const file = `${name}.min.js`;
  const { code, map } = await bundle(classic(entry), file);
  const bytes = Buffer.from(code);
  writeFileSync(`${folder}/${file}`, bytes);
  writeFileSync(`${folder}/${file}.map`, map);
  files[file] = {
    bytes: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    integrity: `sha384-${createHash('sha384').update(bytes).digest('base64')}`,
  };
}
writeFileSync(`${folder}/sri.json`, `${JSON.stringify({ version, files }, null, 2)}\n`);
execFileSync('npx', ['tsc'], { stdio: 'inherit' });
for (const [name, { bytes, gzip }] of Object.entries(files)) console.log(`${name}: ${bytes} B, ${gzip} B gzip`);
