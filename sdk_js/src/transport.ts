/** How bytes leave the page. A mini program brings its own. */
export interface Wire {
  /** POST as text/plain, which needs no preflight. Resolves with the status and the parsed answer. */
  post(url: string, body: string, timeoutMs: number): Promise<{ status: number; json?: unknown }>;
  /** Hand over at once, without an answer; false if it was not taken. */
  beacon(url: string, body: string): boolean;
  erase(url: string, body: string): void;
}

export const browserWire: Wire = {
  post: async (url, body, timeoutMs) => {
    const answer = await fetch(url, {
      method: 'POST',
      body,
      keepalive: true,
      credentials: 'omit',
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status: answer.status, json: await answer.json().catch(() => undefined) };
  },
  // Offline, sendBeacon says true and loses the bytes.
  beacon: (url, body) => navigator.onLine && navigator.sendBeacon(url, body),
  erase: (url, body) => {
    fetch(url, { method: 'DELETE', body, keepalive: true, credentials: 'omit' }).catch(() => {});
  },
};

const QUEUE = 3;
const ACK_MS = 300;

/** At most three flushes wait in memory; the server takes each (session, seq) once, so a repeat is harmless. */
export const createTransport = (wire: Wire, url: string) => {
  let queue: string[] = [];
  const drop = (body: string) => {
    queue = queue.filter((other) => other !== body);
  };
  return {
    full: () => queue.length >= QUEUE,
    push: (body: string) => queue.push(body),
    /** Send what waits and keep it until it is acknowledged; true once nothing waits. Never rejects. */
    deliver: async (): Promise<boolean> => {
      await Promise.all(
        queue.map((body) =>
          wire.post(url, body, ACK_MS).then(
            ({ status }) => status >= 500 || status === 429 || drop(body),
            () => {},
          ),
        ),
      );
      return !queue.length;
    },
    /** The page may end now. */
    leave: () => {
      queue = queue.filter((body) => !wire.beacon(url, body));
    },
    clear: () => {
      queue = [];
    },
  };
};
