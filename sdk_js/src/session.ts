import { type ConsentRecord, PURPOSES, type Purpose } from './consent.js';
import { type Answer, passing, type Wire } from './transport.js';
import { newVisit, type Shelf, type Visit } from './visit.js';

const ERASE_FIRST_MS = 1e3;
const ERASE_LAST_MS = 1e6;

export interface Given {
  record: ConsentRecord;
  /** In alphabetical order. */
  purposes: readonly Purpose[];
}

/** The visit of this tab and its session at the server. `refused` hears why there is none. */
export const createSession = (
  endpoint: string,
  key: string,
  wire: Wire,
  shelf: Shelf,
  refused: (answer: Answer) => void,
) => {
  let visit: Visit | undefined;
  let opening = false;
  let submitted = false;

  const keep = () => {
    if (visit && !submitted) shelf.save(visit);
  };

  /** Ask until there is an answer, ever more seldom, while the page lives. */
  const erase = (session: string, nonce: string, wait = ERASE_FIRST_MS) => {
    const again = () => {
      if (wait < ERASE_LAST_MS) setTimeout(erase, wait, session, nonce, wait * 4);
    };
    wire('DELETE', `${endpoint}/v1/behavior/${session}`, JSON.stringify({ nonce })).then(
      (answer) => passing(answer) && again(),
      again,
    );
  };

  /** The visit that the last page left here, if it rests on the same consent. */
  const held = ({ record, purposes }: Given) => {
    const found = shelf.load();
    return found?.consent === record.id && `${found.purposes}` === `${purposes}` && found.expires > Date.now() && found;
  };

  const renewed = ({ record, purposes }: Given) => newVisit(record.id, purposes, shelf.load()?.nonces);

  /** Ask the server for a session and its nonce; without an answer the next flush asks again. */
  const open = async (mine: Visit, { record, purposes }: Given) => {
    if (opening) return;
    opening = true;
    const consent = {
      record_id: record.id,
      policy_version: record.policyVersion,
      at: record.at,
      purposes: Object.fromEntries(PURPOSES.map((name) => [name, purposes.includes(name)])),
    };
    const answer = await wire('POST', `${endpoint}/v1/sessions`, JSON.stringify({ v: 1, key, consent })).catch(
      () => undefined,
    );
    opening = false;
    const { session, nonce, expires_in } = answer?.json || {};
    if (session && nonce) {
      Object.assign(mine, { session, nonce, expires: Date.now() + (expires_in as number) * 1e3 });
      mine.nonces[session] = nonce;
      if (mine === visit) keep();
      else erase(session, nonce); // withdrawn while the server was opening
    } else if (answer && mine === visit) refused(answer);
  };

  return {
    get visit() {
      return visit;
    },
    held,
    /** Go on with the visit that is held, or begin one. */
    begin: (given: Given) => {
      submitted = false;
      visit = held(given) || renewed(given);
    },
    /** The visit; where it has no session that takes flushes now, the server is asked for one. */
    ready: (given: Given): Visit => {
      if (!visit || (visit.session && visit.expires < Date.now())) visit = renewed(given);
      if (!visit.session) open(visit, given);
      return visit;
    },
    keep,
    /** The order was pressed: nothing waits for a next page any more. */
    submit: () => {
      submitted = true;
      shelf.remove();
    },
    end: () => {
      visit = undefined;
    },
    /** Whether the visit, begun here or on the last page, rests on a purpose that is not among these. */
    exceeds: (purposes: readonly Purpose[]) =>
      (visit || shelf.load())?.purposes?.some((purpose) => !purposes.includes(purpose)),
    /** Forget here, and ask the server to forget. */
    withdraw: () => {
      const found = visit || shelf.load();
      visit = undefined;
      shelf.remove();
      for (const session in found?.nonces) erase(session, found.nonces[session]);
    },
  };
};
