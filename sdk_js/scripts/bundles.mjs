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
