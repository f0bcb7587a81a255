import type { ConsentRecord, Purpose } from './consent';
import type { Wire } from './transport';
import { newVisit, type Shelf, type Visit } from './visit';

const OPEN_MS = 5000;
const WINDOW_S = 1800;

export interface Given {
  record: ConsentRecord;
  purposes: readonly Purpose[];
}

/** The visit of this tab and its session at the server. */
export const createSession = (endpoint: string, key: string, wire: Wire, shelf: Shelf) => {
  let visit: Visit | undefined;
  let opening = false;
  let submitted = false;

  const keep = () => {
    if (visit?.session && !submitted) shelf.save(visit);
  };

  const erase = ({ session, nonce }: Visit) => {
    if (session) wire.erase(`${endpoint}/v1/behavior/${encodeURIComponent(session)}`, JSON.stringify({ nonce }));
  };

  return {
    get visit() {
      return visit;
    },
    /** The visit that the last page left here, if it rests on the same consent. */
    held: ({ record }: Given) => {
      const found = shelf.load();
      return found?.consent === record.id ? found : undefined;
    },
    begin: (found: Visit | undefined, { record }: Given) => {
      visit = found || newVisit(record.id);
      submitted = false;
    },
    keep,
    /** Ask the server for a session and its nonce; without an answer the next flush asks again. */
    open: async ({ record }: Given) => {
      if (opening || !visit) return;
      opening = true;
      const mine = visit;
      const { id, policyVersion, at, purposes } = record;
      const body = { v: 1, key, consent: { record_id: id, policy_version: policyVersion, at, purposes } };
      const { json } = await wire
        .post(`${endpoint}/v1/sessions`, JSON.stringify(body), OPEN_MS)
        .catch(() => ({ json: undefined }));
      opening = false;
      const answer = json as { session?: string; nonce?: string; expires_in?: number } | undefined;
      if (!answer?.session || !answer.nonce) return;
      mine.session = answer.session;
      mine.nonce = answer.nonce;
      mine.expires = Date.now() + (answer.expires_in || WINDOW_S) * 1e3;
      if (mine === visit) keep();
      else erase(mine); // withdrawn while the server was opening
    },
    /** The order was pressed: nothing waits for a next page any more. */
    submit: () => {
      submitted = true;
      shelf.remove();
    },
    end: () => {
      visit = undefined;
    },
    /** Forget here, and ask the server to forget. True if there was anything. */
    withdraw: () => {
      const found = visit || shelf.load();
      visit = undefined;
      shelf.remove();
      if (found) erase(found);
      return !!found;
    },
  };
};
