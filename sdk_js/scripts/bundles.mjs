import { build } from 'esbuild';
import { minify } from 'terser';

/** What is built: name of the file, entry module. The core has no name of its own. */
export const ADDONS = {
  navigation: 'signals',
  pointer: 'signals',
  press: 'signals',
  typing: 'signals',
  form: 'signals',
  input: 'signals',
  focus: 'signals',
  device: 'signals',
  frames: 'signals',
  motion: 'signals',
  location: 'signals',
  pipl: 'consent',
  tcf: 'consent',
  gpp: 'consent',
};

/** What each classic script puts on `riskgraph`. */
const EXPORTS = {
  device: ['device'],
  motion: ['motion', 'askForMotion'],
  pipl: ['manualRecord'],
  tcf: ['followTcf'],
  gpp: ['followGpp'],
};

/** Name of each classic script: its module and what it exports. */
export const SCRIPTS = {
  riskgraph: ['./src/index', ['createCollector']],
  'riskgraph-full': ['./src/full', ['createCollector', 'behavior']],
  ...Object.fromEntries(
    Object.keys(ADDONS).map((name) => [`riskgraph-${name}`, [`./src/addons/${name}`, EXPORTS[name] || [name]]]),
  ),
};

/** A classic script; scripts may load in any order. */
export const classic = ([entry, names]) => ({
  stdin: {
    contents: `import { ${names} } from '${entry}'; Object.assign((globalThis.riskgraph ||= {}), { ${names} });`,
    resolveDir: new URL('..', import.meta.url).pathname,
    sourcefile: 'script.ts',
    loader: 'ts',
  },
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2021',
  charset: 'utf8',
  legalComments: 'none',
});

/** Bundle with esbuild and minify with terser: `{ code, map }`, the map as JSON and named by `file`. */
export const bundle = async (options, file = 'script.js') => {
  const { outputFiles } = await build({
    ...options,
    write: false,
    outfile: file,
    sourcemap: 'external',
    logLevel: 'error',
  });
  const text = (end) => outputFiles.find(({ path }) => path.endsWith(end)).text;
  return minify(text('.js'), {
    compress: { passes: 2, ecma: 2020, sequences: false, pure_getters: true },
    format: { comments: false },
    sourceMap: { content: text('.map'), filename: file, url: `${file}.map` },
  });
};
