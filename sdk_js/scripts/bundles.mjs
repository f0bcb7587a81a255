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

export const SCRIPTS = {
  riskgraph: './src/index',
  'riskgraph-full': './src/full',
  ...Object.fromEntries(Object.keys(ADDONS).map((name) => [`riskgraph-${name}`, `./src/addons/${name}`])),
};

/** One script of the classic kind: its exports land on `riskgraph`, in whatever order scripts load. */
export const classic = (entry) => ({
  stdin: {
    contents: `import * as exported from '${entry}'; Object.assign((globalThis.riskgraph ||= {}), exported);`,
    resolveDir: new URL('..', import.meta.url).pathname,
    sourcefile: 'script.ts',
    loader: 'ts',
  },
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
});
