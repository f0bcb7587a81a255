import type { ConsentRecord, Purpose } from './consent.js';
import { type Answer, passing, type Wire } from './transport.js';
import { newVisit, type Shelf, type Visit } from './visit.js';

const WINDOW_S = 1800;
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
    if (visit?.session && !submitted) shelf.save(visit);
  };

  /** Ask until there is an answer, ever more seldom, while the page lives. */
  const erase = (left: Visit, wait = ERASE_FIRST_MS) => {
    const { session, nonce } = left;
    if (!session) return;
    const again = () => {
      if (wait < ERASE_LAST_MS) setTimeout(erase, wait, left, wait * 4);
    };
    wire('DELETE', `${endpoint}/v1/behavior/${encodeURIComponent(session)}`, JSON.stringify({ nonce })).then(
      (answer) => passing(answer) && again(),
      again,
    );
  };

  /** The visit that the last page left here, if it rests on the same consent. */
  const held = ({ record, purposes }: Given) => {
    const found = shelf.load();
    const same = found?.consent === record.id && `${found.purposes}` === `${purposes}` && found.expires > Date.now();
    return same ? found : undefined;
  };

  const renewed = ({ record, purposes }: Given) => {
    shelf.remove();
    return newVisit(record.id, purposes);
  };

  /** Ask the server for a session and its nonce; without an answer the next flush asks again. */
  const open = async (mine: Visit, { id, policyVersion, at, purposes }: ConsentRecord) => {
    if (opening) return;
    opening = true;
    const body = { v: 1, key, consent: { record_id: id, policy_version: policyVersion, at, purposes } };
    const answer = await wire('POST', `${endpoint}/v1/sessions`, JSON.stringify(body)).catch(() => undefined);
    opening = false;
    const { session, nonce, expires_in } = answer?.json || {};
    if (session && nonce) {
      Object.assign(mine, { session, nonce, expires: Date.now() + (expires_in || WINDOW_S) * 1e3 });
      if (mine === visit) keep();
      else erase(mine); // withdrawn while the server was opening
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
    /** The visit, if the server takes flushes of it now; if not, it is asked to. */
    ready: (given: Given): Visit | undefined => {
      if (!visit || (visit.session && visit.expires < Date.now())) visit = renewed(given);
      if (!visit.session) open(visit, given.record);
      return visit.session ? visit : undefined;
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
      !!(visit || shelf.load())?.purposes?.some((purpose) => !purposes.includes(purpose)),
    /** Forget here and, unless it has, ask the server to forget. */
    withdraw: (erased?: boolean) => {
      const found = visit || shelf.load();
      visit = undefined;
      shelf.remove();
      if (found && !erased) erase(found);
    },
  };
};
