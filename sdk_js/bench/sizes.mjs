import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ADDONS, bundle, classic, SCRIPTS } from '../scripts/bundles.mjs';

/** Peers, pinned. They live outside the tree and are installed without running their scripts. */
const PEERS = {
  fingerprintjs: ['@fingerprintjs/fingerprintjs', '5.2.0'],
  botd: ['@fingerprintjs/botd', '2.0.0'],
  friendly_captcha: ['@friendlycaptcha/sdk', '1.0.2'],
  snowplow: ['@snowplow/browser-tracker', '4.10.1'],
  posthog: ['posthog-js', '1.449.2'],
  rrweb: ['@rrweb/record', '2.1.6'],
  castle: ['@castleio/castle-js', '2.8.5'],
  web_vitals: ['web-vitals', '6.2.3'],
};
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'riskgraph-sdk-peers');

const install = () => {
  const dependencies = Object.fromEntries(Object.values(PEERS));
  const wanted = JSON.stringify({ private: true, dependencies });
  const file = join(CACHE, 'package.json');
  const there = existsSync(join(CACHE, 'node_modules')) && existsSync(file) && readFileSync(file, 'utf8') === wanted;
  if (there) return;
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(file, wanted);
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], { cwd: CACHE });
};

const sizeOf = async (options) => {
  const { code } = await bundle(options);
  return { bytes: Buffer.byteLength(code), gzip: gzipSync(code, { level: 9 }).length };
};

const peer = ([name]) => ({
  stdin: { contents: `import * as peer from '${name}'; globalThis.peer = peer;`, resolveDir: CACHE },
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2020',
  define: { 'process.env.NODE_ENV': '"production"' },
});

const peerSizes = async () => {
  try {
    install();
  } catch (error) {
    return { error: `npm could not install the peers: ${String(error.message).split('\n')[0]}` };
  }
  const sizes = {};
  for (const [name, pinned] of Object.entries(PEERS)) {
    try {
      sizes[name] = { version: pinned[1], ...(await sizeOf(peer(pinned))) };
    } catch (error) {
      sizes[name] = { version: pinned[1], error: String(error.message).split('\n')[0] };
    }
  }
  return sizes;
};

const WITH = 'esbuild and terser, IIFE, ES2020, gzip -9';

export const measureSizes = async (figure) => {
  const own = {};
  for (const [name, script] of Object.entries(SCRIPTS))
    own[name] = await sizeOf({ ...classic(script), target: 'es2020' });
  const addons = Object.keys(ADDONS).map((name) => [name, own[`riskgraph-${name}`].gzip]);
  const [largest, most] = addons.reduce((a, b) => (b[1] > a[1] ? b : a));
  const peers = await peerSizes();
  const friendly = peers.friendly_captcha?.gzip ?? null;
  const figures = [
    figure('core_gzip_b', own.riskgraph.gzip, 'B', { baseline: friendly, note: `${WITH}; beside Friendly Captcha` }),
    figure('addon_gzip_b', most, 'B', { note: `largest: ${largest}; ${addons.map((a) => a.join(' ')).join(', ')}` }),
    figure('full_gzip_b', own['riskgraph-full'].gzip, 'B', {
      baseline: friendly,
      note: 'core and every add-on of the purpose behavior in one script; beside Friendly Captcha',
    }),
    figure('runtime_dependencies', 0, 'n'),
  ];
  if (peers.error) return [...figures, figure('peer_gzip_b', null, 'B', { note: peers.error })];
  const rows = Object.entries(peers).map(([name, { version, bytes, gzip = null, error }]) =>
    figure(`peer_gzip_b.${name}`, gzip, 'B', { note: error || `${version}; ${bytes} B minified; ${WITH}` }),
  );
  return [...figures, ...rows];
};
measureSizes.names = ['core_gzip_b', 'addon_gzip_b', 'full_gzip_b', 'runtime_dependencies'];
