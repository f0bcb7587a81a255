/** In alphabetical order. */
export const PURPOSES = ['behavior', 'device', 'location', 'motion'] as const;
export type Purpose = (typeof PURPOSES)[number];
export type State = 'unknown' | 'granted' | 'withdrawn';

/** What the shopper agreed to, as the shop recorded it. */
export interface ConsentRecord {
  id: string;
  /** Version of the policy that was shown. */
  policyVersion: string;
  /** When it was given, ISO 8601 with offset. */
  at: string;
  purposes: Partial<Record<Purpose, boolean>>;
}

export interface ConsentPolicy {
  /** The policy that is valid now: a record of another version is stale. */
  policyVersion: string;
  /** Days after which a record is stale; 180 unless told. */
  maxAgeDays?: number;
}

/** Global Privacy Control and Do Not Track stand above any record. */
export const signalledOff = (): boolean =>
  (navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl || navigator.doNotTrack === '1';

/** The purposes that a record opens now: none if it is stale, of another policy, or from the future. */
export const purposesOf = (record: ConsentRecord, policy: ConsentPolicy): Purpose[] => {
  const age = Date.now() - Date.parse(record.at);
  return PURPOSES.filter(
    (purpose) =>
      record.id &&
      record.policyVersion === policy.policyVersion &&
      age > -3e5 &&
      age < (policy.maxAgeDays ?? 180) * 864e5 &&
      record.purposes[purpose] === true,
  );
};
