import { ENTRIES, type Entry, type Signal } from '../page.js';

const SEARCH = /(^|\.)(google|bing|baidu|sogou|so|sm|yandex|duckduckgo|yahoo|ecosia|naver)\./;
const SOCIAL =
  /(^|\.)(weibo|weixin|qq|douyin|xiaohongshu|zhihu|bilibili|facebook|instagram|tiktok|pinterest|reddit|t|x|youtube)\./;

const ofReferrer = (referrer: string): Entry => {
  if (!referrer) return 'direct';
  const { host } = new URL(referrer);
  return SEARCH.test(host) ? 'search' : SOCIAL.test(host) ? 'social' : 'other';
};

/** How the visit began: declared by its first page, else by the host of the referrer. */
export const entry: Signal = {
  purpose: 'behavior',
  listen: ({ add, at, visit, shown }) => {
    at('enter', () => {
      if (visit.kept.entry) return;
      visit.kept.entry = 1;
      // Whatever else the attribute says is the shop's text, and no key.
      const declared = shown.entry && (ENTRIES.includes(shown.entry) ? shown.entry : 'other');
      add(`entry_${declared || ofReferrer(document.referrer)}`);
    });
  },
};
