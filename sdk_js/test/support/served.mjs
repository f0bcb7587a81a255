/** The real service with the demo shop, as a child process with a home of its own. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { skip as noBrowser } from './browser.mjs';

const ROOT = new URL('../../..', import.meta.url).pathname;
const venv = join(ROOT, '.venv/bin/python');
export const PYTHON = process.env.RISKGRAPH_PYTHON || (existsSync(venv) ? venv : 'python3');

const noPython = () => {
  try {
    execFileSync(PYTHON, ['-c', 'import riskgraph.commands.serve'], { cwd: ROOT, stdio: 'ignore' });
    return false;
  } catch {
    return `${PYTHON} has no riskgraph: pip install -e . there, or name another in RISKGRAPH_PYTHON`;
  }
};

/** Why the demo shop cannot be tried, or false. */
export const skip = noBrowser || noPython();

export const serve = async () => {
  const home = mkdtempSync(join(tmpdir(), 'shop-'));
  // The verdict is what is tried, not how fast this machine is.
  const env = { ...process.env, RISKGRAPH_HOME: join(home, 'data'), RISKGRAPH_DEADLINE_MS: '20000' };
  const args = ['-m', 'riskgraph', 'serve', '--demo-shop', '--port', '0', '--json'];
  const child = spawn(PYTHON, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stderr.on('data', (text) => {
    log += text;
  });
  const told = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => resolve(JSON.parse(line)));
    child.once('exit', (code) => reject(new Error(`the service ended with ${code}: ${log}`)));
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  return {
    shop: told.shop,
    key: told.first_key,
    origin: told.url,
    get log() {
      return log;
    },
    stop: async () => {
      child.kill();
      await ended;
      rmSync(home, { recursive: true, force: true });
    },
  };
};
