import type { Collector } from '../core.js';

interface TcData {
  eventStatus?: string;
  cmpStatus?: string;
  gdprApplies?: boolean;
  tcString?: string;
  listenerId?: number;
  purpose?: { consents?: Record<string, boolean> };
  vendor?: { consents?: Record<string, boolean> };
  specialFeatureOptins?: Record<string, boolean>;
}

type TcfApi = (command: string, version: number, back: (data: TcData, ok: boolean) => void, arg?: number) => void;

export interface TcfOptions {
  policyVersion: string;
  /** Vendor id of the merchant in the Global Vendor List, if it has one: its consent is then needed too. */
  vendor?: number;
}

const digest = async (text: string): Promise<string> => {
  const bytes = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  return [...bytes.slice(0, 16)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
};

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/**
 * LastUpdated of a TC string, in Unix ms: bits 42 to 77 of its first segment, deciseconds (IAB TCF v2, "TC String
 * Format"). NaN if the string is none of version 2.
 */
const updatedAt = (tcString: string): number =>
  /^C[\w-]{12}/.test(tcString)
    ? [...tcString.slice(7, 13)].reduce((sum, digit) => sum * 64 + DIGITS.indexOf(digit), 0) * 100
    : Number.NaN;

/**
 * Follow a TCF 2.2 consent platform. Behavior and device need Special Feature 2 (active scanning of device
 * characteristics), location Special Feature 1, and all need Purpose 1 (access to the device). Fraud
 * prevention under Special Purpose 1 knows no opt-out; it is not used as a ground here.
 *
 * The record is as old as the TC string says, and goes stale with it. A platform that says that the GDPR does not
 * apply has answered nothing, and changes nothing; a string that cannot be read counts as a refusal.
 *
 * Returns what ends the following. Without a platform nothing happens.
 */
export const followTcf = (collector: Collector, { policyVersion, vendor }: TcfOptions): (() => void) => {
  const api = (globalThis as { __tcfapi?: TcfApi }).__tcfapi;
  let listener: number | undefined;
  let last = '';
  const changed = async (data: TcData, ok: boolean) => {
    listener = data?.listenerId;
    if (!ok || data.gdprApplies === false || !/tcloaded|useractioncomplete/.test(data.eventStatus || '')) return;
    const features = data.specialFeatureOptins || {};
    const base = data.purpose?.consents?.[1] === true && (!vendor || data.vendor?.consents?.[vendor] === true);
    const state = `${data.tcString}`;
    const updated = updatedAt(state);
    const behavior = base && features[2] === true && updated > 0;
    if (!behavior) {
      last = '';
      collector.withdraw();
    } else if (state !== last) {
      last = state;
      const id = `tcf-${await digest(state)}`;
      if (state !== last) return;
      const purposes = { behavior, device: behavior, motion: false, location: base && features[1] === true };
      collector.grant({ id, policyVersion, at: new Date(updated).toISOString(), purposes });
    }
  };
  api?.('addEventListener', 2, changed);
  return () => api?.('removeEventListener', 2, () => {}, listener);
};
