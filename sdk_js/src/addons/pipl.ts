import type { ConsentRecord, Purpose } from '../consent.js';

/** What the dialogue of the shop brought: each purpose answered by itself. */
export interface Answers {
  id: string;
  policyVersion: string;
  /** When the shopper answered. */
  at: Date;
  answers: Partial<Record<Purpose, boolean>>;
  /** Separate consent (PIPL Art. 29) to the nodes whose raw input is sensitive: a second, unbundled answer. */
  separate: boolean;
}

/**
 * A consent record from a dialogue of the shop's own, by PIPL Art. 14 (informed, voluntary, explicit), Art. 16
 * (service not refused without it) and Art. 29 (separate consent). Without the separate answer nothing that
 * rests on sensitive raw input opens: no purpose at all for behavior, motion and location.
 *
 * @throws RangeError if an id or policy version is missing, or the time is not a date.
 */
export const manualRecord = ({ id, policyVersion, at, answers, separate }: Answers): ConsentRecord => {
  if (!id || !policyVersion || Number.isNaN(+at)) throw new RangeError('a record needs id, policyVersion and at');
  return {
    id,
    policyVersion,
    at: at.toISOString(),
    purposes: {
      behavior: separate && answers.behavior === true,
      motion: separate && answers.motion === true,
      location: separate && answers.location === true,
      device: answers.device === true,
    },
  };
};
