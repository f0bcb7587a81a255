/** What the server says; a body that is no JSON counts as none. */
export interface Answer {
  status: number;
  json?: { session?: string; nonce?: string; expires_in?: number; error?: { code?: string } };
}

/**
 * How bytes leave the page, and what comes back: text/plain, so that a POST needs no preflight, without cookies and
 * without the page's address. Rejects where no answer comes, or `signal` aborts. A mini program brings its own.
 */
export type Wire = (method: 'POST' | 'DELETE', url: string, body: string, signal?: AbortSignal) => Promise<Answer>;

// A fetch with keepalive outlives its page as a beacon does, but tells what became of it, and no address or cookie.
export const browserWire: Wire = async (method, url, body, signal) => {
  const answer = await fetch(url, {
    method,
    body,
    keepalive: true,
    credentials: 'omit',
    referrerPolicy: 'no-referrer',
    signal,
  });
  return { status: answer.status, json: await answer.json().catch(() => undefined) };
};

/** Whether a later attempt may be answered otherwise. */
export const passing = ({ status }: Answer): boolean => status >= 500 || status === 429;

const QUEUE = 3;
const ACK_MS = 300;

interface Waiting {
  body: string;
  sent?: Promise<void>;
}

/**
 * At most three flushes wait in memory; the server takes each (session, seq) once, so a repeat is harmless.
 * `answered` hears each answer that takes a flush out of the queue.
 */
export const createTransport = (wire: Wire, url: string, answered: (answer: Answer) => void) => {
  let queue: Waiting[] = [];
  let ending = new AbortController();
  const send = async (one: Waiting) => {
    const answer = await wire('POST', url, one.body, ending.signal).catch(() => undefined);
    one.sent = undefined;
    if (!answer || passing(answer) || !queue.includes(one)) return;
    queue = queue.filter((other) => other !== one);
    answered(answer);
  };
  return {
    full: () => queue.length >= QUEUE,
    push: (bodies: string[]) => {
      for (const body of bodies) queue.push({ body });
    },
    /** Send what waits and keep it until it is acknowledged; true if that took no longer than 300 ms. Never rejects. */
    deliver: async (): Promise<boolean> => {
      const all = Promise.all(queue.map((one) => (one.sent ||= send(one))));
      await Promise.race([all, new Promise((late) => setTimeout(late, ACK_MS))]);
      return !queue.length;
    },
    /** Drop what waits, and what is on its way as far as it can be. */
    clear: () => {
      queue = [];
      ending.abort();
      ending = new AbortController();
    },
  };
};
