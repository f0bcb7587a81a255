import type { Page, Signal } from '../page.js';

/** Globals that automation leaves behind; the list's version is the SDK's. */
const TRACES =
  '_phantom callPhantom __nightmare domAutomation domAutomationController _Selenium_IDE_Recorder ' +
  '__webdriver_evaluate __selenium_evaluate __webdriver_script_fn __driver_evaluate __fxdriver_evaluate ' +
  '__selenium_unwrapped __webdriver_unwrapped __driver_unwrapped __lastWatirAlert __playwright__binding__ ' +
  '__pwInitScripts __puppeteer_evaluation_script__ cdc_adoQpoasnfa76pfcZLmcfl_Array';

export interface Market {
  /** UTC offsets in minutes, east positive: `[480]` for China. */
  offsets: readonly number[];
  /** First part of the language tag: `zh`. */
  language: string;
}

interface Hints {
  brands: { brand: string; version: string }[];
  mobile: boolean;
  platform: string;
}

const SYSTEMS: Record<string, RegExp> = {
  Windows: /Windows/,
  macOS: /Macintosh/,
  Android: /Android/,
  Linux: /Linux|X11/,
  'Chrome OS': /CrOS/,
};

const hints = () => (navigator as { userAgentData?: Hints }).userAgentData;

const deviceClass = (ua: string): string => {
  if (/; wv|MicroMessenger|AlipayClient|DouyinLite|aweme|QQ\/|Weibo|FBA[NV]|Instagram|Line\//.test(ua))
    return 'webview';
  if (/iPad/.test(ua) || (/Android/.test(ua) && !/Mobile/.test(ua))) return 'tablet';
  if (hints()?.mobile || /Mobi/.test(ua)) return 'phone';
  return /Windows|Macintosh|Linux|X11|CrOS/.test(ua) ? 'desktop' : 'other';
};

const consistent = (ua: string, { brands, mobile, platform }: Hints): boolean => {
  const engine = brands.find(({ brand }) => brand === 'Chromium')?.version.split('.')[0];
  const major = /Chrome\/(\d+)/.exec(ua)?.[1];
  return (SYSTEMS[platform]?.test(ua) ?? true) && mobile === /Mobi/.test(ua) && (!engine || engine === major);
};

const compareMarket = (page: Page, { offsets, language }: Market): void => {
  const fits =
    +offsets.includes(-new Date().getTimezoneOffset()) + +(navigator.language || '').toLowerCase().startsWith(language);
  page.add((['market_no', 'market_partial', 'market_match'] as const)[fits]);
};

/** Class of device, consistency of what it says of itself, and traces of automation. */
export const device = (market?: Market): Signal => ({
  purpose: 'device',
  listen: (page) => {
    const { userAgent } = navigator;
    const look = () => {
      page.add('automation_checks');
      if (navigator.webdriver || TRACES.split(' ').some((name) => name in window)) page.add('automation_traces');
    };
    page.words.device_class = deviceClass(userAgent);
    page.at('enter', () => {
      const { kept } = page.visit;
      if (kept.device) return;
      kept.device = 1;
      const found = hints();
      if (found) {
        page.add('ua_checks');
        if (!consistent(userAgent, found)) page.add('ua_mismatches');
      }
      if (market) compareMarket(page, market);
      look();
    });
    page.at('act', (act) => act === 'order' && look());
  },
});
