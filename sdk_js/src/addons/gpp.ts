import type { Collector } from '../core.js';

interface PingData {
  gppString?: string;
  parsedSections?: Record<string, Record<string, unknown> | Record<string, unknown>[]>;
  signalStatus?: string;
  applicableSections?: number[];
}

type GppApi = (
  command: string,
  back: (event: { listenerId?: number; eventName?: string; pingData?: PingData } | boolean | null, ok: boolean) => void,
  arg?: number,
) => void;

const REFUSED = 1;

/**
 * Follow an IAB GPP platform (US sections). GPP has no word for fraud prevention, and its sections are
 * opt-outs: an opt-out of sale, sharing or targeted advertising, any refused use of sensitive data, or the
 * browser's GPC as the platform saw it turns the collector off. They never turn it on: `consented` gives the record that the shop holds.
 */
export const followGpp = (
  collector: Collector,
  consented: () => Parameters<Collector['grant']>[0] | undefined,
): (() => void) => {
  const api = (globalThis as { __gpp?: GppApi }).__gpp;
  let listener: number | undefined;
  const optedOut = (section: Record<string, unknown>) =>
    ['SaleOptOut', 'SharingOptOut', 'TargetedAdvertisingOptOut'].some((name) => section[name] === REFUSED) ||
    [section.SensitiveDataProcessing].flat().includes(REFUSED) ||
    section.Gpc === true;
  api?.('addEventListener', (event, ok) => {
    if (!ok || !event || event === true) return;
    listener = event.listenerId;
    const ping = event.pingData;
    if (ping?.signalStatus !== 'ready') return;
    const sections = Object.values(ping.parsedSections || {}).flat();
    const record = consented();
    if (sections.some(optedOut)) collector.withdraw();
    else if (record) collector.grant(record);
  });
  return () => api?.('removeEventListener', () => {}, listener);
};
