/** A shop and the two calls of the SDK, as the server will answer them: strict schema, sums by (session, seq). */
import { readFileSync } from 'node:fs';
import http from 'node:http';
import Ajv from 'ajv/dist/2020.js';
import { BOOT, pageOf } from './pages.mjs';

const ROOT = new URL('../..', import.meta.url);
export const VERSION = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')).version;
export const SCRIPT = new URL(`dist/${VERSION}/`, ROOT);
export const DATA = new URL('../riskgraph/core/data/', ROOT);
const SCHEMA = JSON.parse(readFileSync(new URL('behavior-1.schema.json', DATA), 'utf8'));
export const validator = () => new Ajv({ strict: true, allErrors: true }).compile(SCHEMA);

const bodyOf = async (request) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
};

const addUp = (visit, { zones, counters, modality, device_class: device }) => {
  for (const [zone, histograms] of Object.entries(zones)) {
    for (const [name, { h }] of Object.entries(histograms)) {
      const bins = (visit.histograms[`${zone}.${name}`] ||= new Array(16).fill(0));
      h.forEach((count, i) => {
        bins[i] += count;
      });
    }
  }
  for (const [name, value] of Object.entries(counters)) visit.counters[name] = (visit.counters[name] || 0) + value;
  Object.assign(visit.words, modality && { modality }, device && { device_class: device });
};

export class Stub {
  #validate = validator();
  #count = 0;
  /** Everything that came in under /v1, in order. */
  requests = [];
  visits = new Map();
  invalid = [];
  duplicates = 0;
  erased = [];
  /** `at` of the last withdrawn consent, by its record. */
  withdrawn = new Map();
  /** Status to answer with instead, per path prefix. */
  answer = {};
  headers = {};
  /** Added to the length of session and nonce: as long as real ones in the bench. */
  tokenBytes = 0;

  static addUp = addUp;

  static async start() {
    const stub = new Stub();
    stub.server = http.createServer((request, response) => stub.#serve(request, response));
    await new Promise((ready) => stub.server.listen(0, '127.0.0.1', ready));
    stub.origin = `http://127.0.0.1:${stub.server.address().port}`;
    return stub;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  reset() {
    Object.assign(this, {
      requests: [],
      visits: new Map(),
      invalid: [],
      duplicates: 0,
      erased: [],
      withdrawn: new Map(),
      answer: {},
      headers: {},
    });
  }

  get flushes() {
    return this.requests.filter(({ url }) => url === '/v1/behavior').map(({ body }) => body);
  }

  get visit() {
    return [...this.visits.values()].at(-1);
  }

  async #serve(request, response) {
    const url = new URL(request.url, this.origin);
    if (!url.pathname.startsWith('/v1/')) return this.#page(url, response);
    const body = await bodyOf(request);
    this.requests.push({ method: request.method, url: url.pathname, body, headers: request.headers });
    const forced = Object.entries(this.answer).find(([prefix]) => url.pathname.startsWith(prefix));
    if (forced) return this.#json(response, forced[1], {});
    if (url.pathname === '/v1/marker') return this.#json(response, 204);
    if (url.pathname === '/v1/sessions') return this.#open(JSON.parse(body), response);
    if (request.method === 'DELETE') {
      this.#erase({ session: url.pathname.split('/').pop(), ...JSON.parse(body) });
      return this.#json(response, 204);
    }
    return this.#take(body, response);
  }

  #erase(request) {
    this.erased.push(request);
    const { consent } = this.visits.get(request.session) || {};
    if (consent) this.withdrawn.set(consent.record_id, consent.at);
  }

  /** Whether a consent, or a later one by the same record, was withdrawn; the answer is then given. */
  #refused({ record_id, at }, response) {
    if (!(this.withdrawn.get(record_id) >= at)) return false;
    this.#json(response, 403, { error: { code: 'consent_withdrawn', message: '', field: null, trace_id: '' } });
    return true;
  }

  #open({ consent }, response) {
    if (this.#refused(consent, response)) return;
    const pad = '-'.repeat(this.tokenBytes);
    const session = `s-${++this.#count}${pad}`;
    const nonce = `n-${this.#count}${pad}`;
    this.visits.set(session, { nonce, consent, seen: new Set(), histograms: {}, counters: {}, words: {} });
    this.#json(response, 201, { session, nonce, expires_in: 14400 });
  }

  #take(body, response) {
    const flush = JSON.parse(body);
    if (!this.#validate(flush)) {
      this.invalid.push({ body, errors: this.#validate.errors });
      return this.#json(response, 422);
    }
    const visit = this.visits.get(flush.session);
    if (!visit || visit.nonce !== flush.nonce) return this.#json(response, 403);
    if (this.#refused(visit.consent, response)) return;
    if (visit.seen.has(flush.seq)) {
      this.duplicates++;
      return this.#json(response, 200);
    }
    visit.seen.add(flush.seq);
    addUp(visit, flush);
    return this.#json(response, 202);
  }

  #json(response, status, value) {
    response.writeHead(status, { 'content-type': 'application/json', 'access-control-allow-origin': '*' });
    response.end(value ? JSON.stringify(value) : undefined);
  }

  #page(url, response) {
    if (url.pathname.startsWith('/sdk/')) {
      response.writeHead(200, { 'content-type': 'text/javascript', 'access-control-allow-origin': '*' });
      return response.end(readFileSync(new URL(url.pathname.slice(5), SCRIPT)));
    }
    if (url.pathname === '/boot.js') {
      response.writeHead(200, { 'content-type': 'text/javascript' });
      return response.end(BOOT);
    }
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...this.headers });
    return response.end(pageOf(url));
  }
}
