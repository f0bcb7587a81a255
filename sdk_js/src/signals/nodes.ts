import { KINDS } from '../page.js';
import type { Counter, Histogram } from './table.js';

/**
 * How the sums of a visit become the values of catalogue nodes, written as JSON for a server; it is part
 * of no bundle. `needs` says up to which counts a node is absent, and why.
 */
type Key = Counter | Histogram;
type Cause = 'not_applicable' | 'not_delivered';

interface Needs {
  /** Counters, and entries of histograms, that are added up. */
  of: readonly Key[];
  least?: number;
  most?: number;
  else: Cause;
}

export type Rule = (
  | { rule: 'histogram'; of: Record<string, Histogram> }
  /** Median of a histogram, linear inside its bin, at most `cap`. */
  | { rule: 'median'; of: Histogram; cap: number }
  /** Sum, at most `cap`. */
  | { rule: 'sum'; of: readonly Counter[]; cap: number }
  /** Choices after the first. */
  | { rule: 'after_first'; of: Counter; cap: number }
  /** Sum of `of` / (sum of `over` - `less`), at most `cap`. */
  | { rule: 'ratio'; of: readonly Counter[]; over: readonly Counter[]; less?: number; cap: number }
  | { rule: 'any'; of: readonly Counter[] }
  | { rule: 'none'; of: readonly Counter[] }
  /** The word whose counter is largest; absent if all are 0. */
  | { rule: 'largest'; of: Record<string, Counter> }
  /** A word of the envelope, the last one sent. */
  | { rule: 'word'; of: 'device_class' }
  /** Entropy in bits of all bins of all histograms taken together. */
  | { rule: 'entropy'; of: readonly Histogram[] }
  /** Population standard deviation / mean from count, sum and sum of squares, at most `cap`. */
  | { rule: 'variation'; n: Counter; sum: Counter; squares: Counter; cap: number }
  /** min(1, sqrt(squares / n) / scale). */
  | { rule: 'rms'; n: Counter; squares: Counter; scale: number }
  /** True if `some` is above 0 while `zero` is 0. */
  | { rule: 'contradiction'; some: Counter; zero: Counter }
  /** B043: single_paste if `paste` > 0; else by the share of `down` in `steps`. */
  | { rule: 'field_order'; steps: Counter; down: Counter; paste: Counter }
  /** B084: the word with 80 % of the sum, else mixed. */
  | { rule: 'modality'; of: Record<'mouse' | 'touch' | 'key' | 'other', Counter> }
) & { needs: readonly Needs[] };

const need = (least: number, ...of: Key[]): Needs => ({ of, least, else: 'not_delivered' });
const apply = (least: number, ...of: Key[]): Needs => ({ of, least, else: 'not_applicable' });
const mouse = apply(1, 'moves');
const touched = apply(1, 'touches');
const pressed = need(1, 'order_presses');

const histogram = (of: Histogram, least: number, ...needs: Needs[]): Rule => ({
  rule: 'histogram',
  of: { '': of },
  needs: [...needs, need(least, of)],
});
const sum = (cap: number, of: Counter, ...needs: Needs[]): Rule => ({ rule: 'sum', of: [of], cap, needs });
const share = (of: Counter, over: Counter, least: number, ...needs: Needs[]): Rule => ({
  rule: 'ratio',
  of: [of],
  over: [over],
  cap: 1,
  needs: [...needs, need(least, over)],
});
const median = (of: Histogram, least: number, cap: number): Rule => ({
  rule: 'median',
  of,
  cap,
  needs: [need(least, of)],
});
const switches = (of: Counter): Rule => ({ rule: 'after_first', of, cap: 1000, needs: [apply(1, of)] });
const any = (of: Counter, ...needs: Needs[]): Rule => ({ rule: 'any', of: [of], needs });

const MOVES = KINDS.map((kind) => `${kind}.moves` as const);
const WEEK_S = 604800;
const HOUR_MS = 3600000;

/** Every node that the catalogue has computed by the SDK. */
export const NODES: Record<string, Rule> = {
  B001: histogram('product.dwell', 1),
  B002: {
    rule: 'largest',
    of: {
      direct: 'entry_direct',
      search: 'entry_search',
      ad: 'entry_ad',
      social: 'entry_social',
      deep_link: 'entry_deep_link',
      mini_program: 'entry_mini_program',
      push: 'entry_push',
      other: 'entry_other',
    },
    needs: [],
  },
  B003: sum(10000, 'pages_distinct', need(1, 'pages_distinct')),
  B004: sum(1000, 'searches', need(1, 'shop_marks_search')),
  B005: {
    rule: 'entropy',
    of: MOVES,
    needs: [need(3, ...MOVES)],
  },
  B006: share('category_jumps', 'product_pairs', 1),
  B007: { rule: 'ratio', of: ['page_returns'], over: ['page_views'], less: 1, cap: 1, needs: [need(2, 'page_views')] },
  B008: sum(WEEK_S, 'review_s', apply(1, 'review_seen')),
  B009: histogram('browse.scroll_speed', 20),
  B010: sum(WEEK_S, 'order_s', pressed),
  B011: sum(1000, 'cart_edits', apply(1, 'stage_cart')),
  B012: histogram('checkout.dwell', 1),
  B013: {
    rule: 'histogram',
    of: { speed: 'address.ptr_speed', turn: 'address.ptr_turn', pause: 'address.ptr_pause' },
    needs: [mouse, need(20, 'address.ptr_speed'), need(1, 'address.ptr_turn'), need(1, 'address.ptr_pause')],
  },
  B014: histogram('any.ptr_speed', 50, mouse),
  B015: histogram('any.ptr_gap', 50, mouse),
  B016: histogram('any.ptr_accel', 50, mouse),
  B017: histogram('any.ptr_turn', 50, mouse),
  B018: median('any.reach_efficiency', 3, 1),
  B019: share('micro_reversals', 'micro_steps', 50, mouse),
  B020: {
    rule: 'ratio',
    of: ['reach_peaks'],
    over: ['reach_s'],
    cap: 100,
    needs: [need(3, 'any.reach_efficiency'), need(0.001, 'reach_s')],
  },
  B021: share('axis_steps', 'long_steps', 50, mouse),
  B022: sum(1000, 'teleports', apply(1, 'mouse_clicks')),
  B023: histogram('any.click_offset', 5),
  B024: histogram('any.press_ms', 5, apply(1, 'mouse_clicks')),
  B025: histogram('pay.hover_ms', 1, apply(1, 'mouse_clicks')),
  B026: {
    rule: 'histogram',
    of: { speed: 'any.swipe_speed', length: 'any.swipe_length', curve: 'any.swipe_curve' },
    needs: [touched, need(3, 'any.swipe_speed')],
  },
  B027: {
    rule: 'variation',
    n: 'touches',
    sum: 'touch_width',
    squares: 'touch_width_sq',
    cap: 10,
    needs: [touched, need(5, 'touches'), apply(1, 'touch_width_real')],
  },
  B028: histogram('any.tap_ms', 5, touched),
  B029: any('multi_touches', touched),
  B030: {
    rule: 'rms',
    n: 'accel_n',
    squares: 'accel_sq',
    scale: 2,
    needs: [apply(1, 'accel_n'), need(10, 'motion_s')],
  },
  B031: {
    rule: 'rms',
    n: 'rotation_n',
    squares: 'rotation_sq',
    scale: 90,
    needs: [apply(1, 'rotation_n'), need(10, 'motion_s')],
  },
  B032: {
    rule: 'contradiction',
    some: 'coarse_pages',
    zero: 'clicks_touch',
    needs: [need(5, 'clicks_mouse', 'clicks_touch')],
  },
  B033: histogram('any.key_hold', 20),
  B034: histogram('any.key_gap', 20),
  B035: histogram('name.key_gap', 3),
  B036: histogram('phone.key_gap', 5),
  B037: histogram('address.key_gap', 5),
  B038: histogram('card.key_gap', 8),
  B039: share('corrections', 'address_keys', 20),
  B040: share('segment_breaks', 'segment_gaps', 20),
  B041: {
    rule: 'ratio',
    of: ['ime_commits'],
    over: ['ime_commits', 'ime_other_inputs'],
    cap: 1,
    needs: [need(3, 'ime_commits', 'ime_other_inputs')],
  },
  B042: share('key_rollovers', 'keys', 20),
  B043: {
    rule: 'field_order',
    steps: 'field_steps',
    down: 'field_steps_down',
    paste: 'paste_fills',
    needs: [need(3, 'fields_filled')],
  },
  B044: histogram('address.hesitation', 2),
  B045: sum(1000, 'field_returns', need(1, 'fields_filled')),
  B046: sum(WEEK_S, 'form_s', need(1, 'fields_filled')),
  B047: share('optional_filled', 'optional_shown', 1, { of: ['address_saved'], most: 0, else: 'not_applicable' }),
  B048: sum(1000, 'fields_invalid', need(1, 'fields_shown')),
  B049: share('tab_focuses', 'field_focuses', 3, apply(1, 'keys', 'tab_focuses')),
  B050: sum(1000, 'address_edits', need(1, 'address_filled')),
  B051: {
    rule: 'largest',
    of: { saved: 'address_saved', new: 'address_new', parsed: 'address_parsed' },
    needs: [],
  },
  B052: switches('consignee_choices'),
  B053: sum(WEEK_S, 'policy_s', need(1, 'shop_marks_policy', 'policy_seen')),
  B054: sum(1000, 'pastes', need(1, 'paste_zones')),
  B055: any('personal_pastes', need(1, 'personal_inputs')),
  B056: share('text_fields_autofilled', 'text_fields_filled', 1),
  B057: share('inputs_uncaused', 'inputs', 5),
  B058: sum(1000, 'copies', need(1, 'copy_stages')),
  B059: median('any.return_to_paste', 1, HOUR_MS),
  B060: switches('card_choices'),
  B061: switches('method_choices'),
  B062: sum(WEEK_S, 'payment_s', apply(1, 'stage_payment')),
  B063: histogram('payment.frame_gap', 1),
  B071: sum(1000, 'hides'),
  B072: {
    rule: 'ratio',
    of: ['hidden_s'],
    over: ['order_s'],
    cap: 1,
    needs: [pressed, need(1, 'order_s')],
  },
  B073: median('any.return_to_action', 1, HOUR_MS),
  B074: sum(1000, 'checkout_tabs', need(1, 'checkout_tabs')),
  B075: sum(1000, 'resizes', need(1, 'page_loads')),
  B076: sum(1000, 'restores', need(1, 'page_loads'), apply(2, 'page_loads')),
  B077: { rule: 'word', of: 'device_class', needs: [] },
  B078: { rule: 'none', of: ['ua_mismatches'], needs: [apply(1, 'ua_checks')] },
  B079: any('automation_traces', need(1, 'automation_checks')),
  B080: share('events_untrusted', 'events', 10),
  B081: { rule: 'ratio', of: ['move_samples'], over: ['moves'], cap: 64, needs: [mouse, need(50, 'moves')] },
  B082: {
    rule: 'largest',
    of: { match: 'market_match', partial: 'market_partial', no: 'market_no' },
    needs: [],
  },
  B083: share('frames_stable', 'frames', 119),
  B084: {
    rule: 'modality',
    of: { mouse: 'clicks_mouse', touch: 'clicks_touch', key: 'clicks_key', other: 'clicks_other' },
    needs: [need(3, 'clicks_mouse', 'clicks_touch', 'clicks_key', 'clicks_other')],
  },
  B085: {
    rule: 'largest',
    of: { granted: 'location_granted', unavailable: 'location_unavailable' },
    needs: [],
  },
  B090: sum(HOUR_MS, 'review_ms', pressed, need(0.001, 'review_ms')),
};

/** A node that is gathered, but not in every web page: why it may be absent, for the inventory and the map. */
export const LIMITS: Record<string, { en: string; zh: string }> = {
  B038: {
    en: 'Not where the card is typed into a hosted frame: the page sees no key of it.',
    zh: '卡号在托管组件中输入时无法采集：页面看不到其按键。',
  },
  B056: {
    en: 'By the :autofill state when the input event arrives; a browser that sets it later counts as typed.',
    zh: '以输入事件到达时的 :autofill 状态为准；之后才设置该状态的浏览器按手工输入计。',
  },
  B076: {
    en: 'Only in shops of several pages, and not in webviews.',
    zh: '仅限多页面商城，网页视图中不可用。',
  },
  B078: {
    en: 'Only where the browser has client hints (Chromium).',
    zh: '仅限支持客户端提示的浏览器（Chromium）。',
  },
  B081: {
    en: 'Only where the browser tells coalesced events.',
    zh: '仅限提供合并事件的浏览器。',
  },
  B085: {
    en: 'Only where location was permitted before: the SDK never asks, and a denied permission is an absence.',
    zh: '仅在已授予定位权限时采集：SDK 不会主动请求，拒绝视为缺失。',
  },
};
