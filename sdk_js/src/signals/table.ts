// biome-ignore-all format: one row a line
/**
 * The one ordered list of what can be measured. Types, the JSON Schema of a flush, the data inventory
 * (zh, en) and the map to catalogue nodes are made from it; it is not part of any bundle.
 */
import { KINDS } from '../page.js';

/** Which file measures, under which purpose, in which bundle. */
export const SIGNALS = [
  { name: 'entry', purpose: 'behavior', bundle: 'navigation' },
  { name: 'pages', purpose: 'behavior', bundle: 'navigation' },
  { name: 'moves', purpose: 'behavior', bundle: 'navigation' },
  { name: 'dwell', purpose: 'behavior', bundle: 'core' },
  { name: 'sections', purpose: 'behavior', bundle: 'navigation' },
  { name: 'search', purpose: 'behavior', bundle: 'navigation' },
  { name: 'scroll', purpose: 'behavior', bundle: 'pointer' },
  { name: 'choices', purpose: 'behavior', bundle: 'core' },
  { name: 'order', purpose: 'behavior', bundle: 'core' },
  { name: 'trajectory', purpose: 'behavior', bundle: 'pointer' },
  { name: 'reach', purpose: 'behavior', bundle: 'pointer' },
  { name: 'clicks', purpose: 'behavior', bundle: 'press' },
  { name: 'modality', purpose: 'behavior', bundle: 'core' },
  { name: 'touch', purpose: 'behavior', bundle: 'press' },
  { name: 'keys', purpose: 'behavior', bundle: 'typing' },
  { name: 'segments', purpose: 'behavior', bundle: 'typing' },
  { name: 'composition', purpose: 'behavior', bundle: 'typing' },
  { name: 'fields', purpose: 'behavior', bundle: 'form' },
  { name: 'validation', purpose: 'behavior', bundle: 'input' },
  { name: 'inputs', purpose: 'behavior', bundle: 'input' },
  { name: 'clipboard', purpose: 'behavior', bundle: 'input' },
  { name: 'frame', purpose: 'behavior', bundle: 'focus' },
  { name: 'returns', purpose: 'behavior', bundle: 'focus' },
  { name: 'tabs', purpose: 'behavior', bundle: 'focus' },
  { name: 'resize', purpose: 'behavior', bundle: 'focus' },
  { name: 'restores', purpose: 'behavior', bundle: 'focus' },
  { name: 'trust', purpose: 'behavior', bundle: 'focus' },
  { name: 'device', purpose: 'device', bundle: 'device' },
  { name: 'frames', purpose: 'device', bundle: 'frames' },
  { name: 'motion', purpose: 'motion', bundle: 'motion' },
  { name: 'location', purpose: 'location', bundle: 'location' },
] as const;

/** `key` of a histogram is `zone.name`; `bins` are written as in the catalogue. `words` are bins of classes. */
interface HistogramRow {
  key: `${string}.${string}`;
  signal: (typeof SIGNALS)[number]['name'];
  bins: string;
  en: string;
  zh: string;
}

/** A counter; `signed` where a value that can only be told whole is sent as its change. */
interface CounterRow {
  key: string;
  signal: (typeof SIGNALS)[number]['name'];
  unit: 'n' | 's' | 'ms' | 'px' | 'px2' | 'm2/s4' | 'deg2/s2';
  signed?: true;
  en: string;
  zh: string;
}

const KIND_WORDS = `words ${KINDS.join('|')}`;

export const HISTOGRAMS = [
  { key: 'home.moves', signal: 'moves', bins: KIND_WORDS, en: 'Kind of the page after a home page', zh: '首页之后的页面类型' },
  { key: 'list.moves', signal: 'moves', bins: KIND_WORDS, en: 'Kind of the page after a list', zh: '列表页之后的页面类型' },
  { key: 'search.moves', signal: 'moves', bins: KIND_WORDS, en: 'Kind of the page after search results', zh: '搜索结果页之后的页面类型' },
  { key: 'product.moves', signal: 'moves', bins: KIND_WORDS, en: 'Kind of the page after a product page', zh: '商品页之后的页面类型' },
  { key: 'review.moves', signal: 'moves', bins: KIND_WORDS, en: 'Kind of the page after reviews', zh: '评价页之后的页面类型' },
  { key: 'policy.moves', signal: 'moves', bins: KIND_WORDS, en: 'Kind of the page after a policy page', zh: '政策页之后的页面类型' },
  { key: 'cart.moves', signal: 'moves', bins: KIND_WORDS, en: 'Kind of the page after the cart', zh: '购物车之后的页面类型' },
  { key: 'checkout.moves', signal: 'moves', bins: KIND_WORDS, en: 'Kind of the page after a checkout page', zh: '结算页之后的页面类型' },
  { key: 'other.moves', signal: 'moves', bins: KIND_WORDS, en: 'Kind of the page after any other page', zh: '其他页面之后的页面类型' },
  { key: 'product.dwell', signal: 'dwell', bins: 'log2 s', en: 'Visible seconds of a product page', zh: '商品页可见秒数' },
  { key: 'checkout.dwell', signal: 'dwell', bins: 'log2 s', en: 'Visible seconds of a stay in a checkout stage', zh: '结算步骤单次停留可见秒数' },
  { key: 'browse.scroll_speed', signal: 'scroll', bins: 'log2 px/s', en: 'Scrolling speed while browsing', zh: '浏览时的滚动速度' },
  { key: 'any.ptr_speed', signal: 'trajectory', bins: 'log2 px/s', en: 'Speed of mouse steps', zh: '鼠标每步速度' },
  { key: 'any.ptr_gap', signal: 'trajectory', bins: 'log2 ms', en: 'Time between mouse samples', zh: '鼠标采样间隔' },
  { key: 'any.ptr_accel', signal: 'trajectory', bins: 'log2 px/s2 from 16', en: 'Acceleration of the mouse', zh: '鼠标加速度' },
  { key: 'any.ptr_turn', signal: 'trajectory', bins: 'linear 0-3.1416 rad', en: 'Turns between mouse steps', zh: '鼠标相邻步转角' },
  { key: 'address.ptr_speed', signal: 'trajectory', bins: 'log2 px/s', en: 'Speed of mouse steps during address entry', zh: '填写地址时鼠标每步速度' },
  { key: 'address.ptr_turn', signal: 'trajectory', bins: 'linear 0-3.1416 rad', en: 'Turns of the mouse during address entry', zh: '填写地址时鼠标转角' },
  { key: 'address.ptr_pause', signal: 'trajectory', bins: 'log2 ms', en: 'Pauses of the mouse during address entry', zh: '填写地址时鼠标停顿' },
  { key: 'any.reach_efficiency', signal: 'reach', bins: 'linear 0-1', en: 'Straightness of the way to a click', zh: '移向点击目标的路径直线度' },
  { key: 'any.click_offset', signal: 'clicks', bins: 'linear 0-1', en: 'Relative distance of a click from the middle of its target', zh: '点击落点相对目标中心的偏离' },
  { key: 'any.press_ms', signal: 'clicks', bins: 'log2 ms', en: 'Length of a mouse press', zh: '鼠标按压时长' },
  { key: 'pay.hover_ms', signal: 'clicks', bins: 'log2 ms', en: 'Hover before a click on a button in payment or review', zh: '支付与确认阶段点击按钮前的悬停' },
  { key: 'any.swipe_speed', signal: 'touch', bins: 'log2 px/s', en: 'Mean speed of a swipe', zh: '滑动平均速度' },
  { key: 'any.swipe_length', signal: 'touch', bins: 'log2 px', en: 'Straight length of a swipe', zh: '滑动直线长度' },
  { key: 'any.swipe_curve', signal: 'touch', bins: 'linear 0-3.1416 rad', en: 'Summed turns of a swipe', zh: '滑动累计转角' },
  { key: 'any.tap_ms', signal: 'touch', bins: 'log2 ms', en: 'Length of a tap', zh: '点按时长' },
  { key: 'any.key_hold', signal: 'keys', bins: 'log2 ms', en: 'How long keys are held, whichever key', zh: '按键时长（不区分按键）' },
  { key: 'any.key_gap', signal: 'keys', bins: 'log2 ms', en: 'Time between keys in a field', zh: '字段内击键间隔' },
  { key: 'name.key_gap', signal: 'keys', bins: 'log2 ms', en: 'Time between keys in the name', zh: '姓名字段击键间隔' },
  { key: 'phone.key_gap', signal: 'keys', bins: 'log2 ms', en: 'Time between keys in the phone number', zh: '手机号字段击键间隔' },
  { key: 'address.key_gap', signal: 'keys', bins: 'log2 ms', en: 'Time between keys in the address', zh: '地址字段击键间隔' },
  { key: 'card.key_gap', signal: 'keys', bins: 'log2 ms', en: 'Time between keys in the card number', zh: '卡号字段击键间隔' },
  { key: 'address.hesitation', signal: 'fields', bins: 'log2 ms', en: 'Time from focus to the first key', zh: '聚焦到首次击键的时间' },
  { key: 'payment.frame_gap', signal: 'frame', bins: 'log2 ms', en: 'Time between focus changes of the hosted payment frame', zh: '支付组件焦点变化间隔' },
  { key: 'any.return_to_paste', signal: 'clipboard', bins: 'log2 ms from 256', en: 'Time from coming back to the page to a paste', zh: '切回页面到粘贴的时间' },
  { key: 'any.return_to_action', signal: 'returns', bins: 'log2 ms from 256', en: 'Time from coming back to the page to the first press or key', zh: '切回页面到首次操作的时间' },
] as const satisfies readonly HistogramRow[];

export const COUNTERS = [
  { key: 'entry_direct', signal: 'entry', unit: 'n', en: 'Visit began without a referrer', zh: '直接进入' },
  { key: 'entry_search', signal: 'entry', unit: 'n', en: 'Visit began from a search engine', zh: '从搜索引擎进入' },
  { key: 'entry_ad', signal: 'entry', unit: 'n', en: 'Visit began from an advertisement', zh: '从广告进入' },
  { key: 'entry_social', signal: 'entry', unit: 'n', en: 'Visit began from a social network', zh: '从社交平台进入' },
  { key: 'entry_deep_link', signal: 'entry', unit: 'n', en: 'Visit began by a deep link', zh: '从深度链接进入' },
  { key: 'entry_mini_program', signal: 'entry', unit: 'n', en: 'Visit began in a mini program', zh: '从小程序进入' },
  { key: 'entry_push', signal: 'entry', unit: 'n', en: 'Visit began from a push message', zh: '从推送进入' },
  { key: 'entry_other', signal: 'entry', unit: 'n', en: 'Visit began from any other site', zh: '从其他网站进入' },
  { key: 'page_views', signal: 'pages', unit: 'n', en: 'Page views', zh: '页面浏览次数' },
  { key: 'page_returns', signal: 'pages', unit: 'n', en: 'Page views of a page seen before', zh: '返回看过页面的次数' },
  { key: 'pages_distinct', signal: 'pages', unit: 'n', en: 'Different pages before the checkout', zh: '结算前不同页面数' },
  { key: 'product_pairs', signal: 'moves', unit: 'n', en: 'Product pages after a product page', zh: '相继浏览的商品页对数' },
  { key: 'category_jumps', signal: 'moves', unit: 'n', en: 'Product pages in another category than the one before', zh: '跨类目的商品页次数' },
  { key: 'stage_cart', signal: 'dwell', unit: 'n', en: 'Stays in the cart', zh: '购物车阶段次数' },
  { key: 'stage_payment', signal: 'dwell', unit: 'n', en: 'Stays in the payment stage', zh: '支付阶段次数' },
  { key: 'payment_s', signal: 'dwell', unit: 's', en: 'Visible seconds in the payment stage', zh: '支付阶段可见秒数' },
  { key: 'review_seen', signal: 'sections', unit: 'n', en: 'Pages with reviews', zh: '含评价区的页面数' },
  { key: 'review_s', signal: 'sections', unit: 's', en: 'Seconds with reviews in view', zh: '评价区可见秒数' },
  { key: 'policy_seen', signal: 'sections', unit: 'n', en: 'Pages with return policies', zh: '含退换政策的页面数' },
  { key: 'shop_marks_policy', signal: 'sections', unit: 'n', en: 'The shop marks its policies', zh: '商家标记了政策页' },
  { key: 'policy_s', signal: 'sections', unit: 's', en: 'Seconds with return policies in view', zh: '退换政策可见秒数' },
  { key: 'searches', signal: 'search', unit: 'n', en: 'Searches, without their text', zh: '站内搜索次数（不含文本）' },
  { key: 'shop_marks_search', signal: 'search', unit: 'n', en: 'The shop marks its search form', zh: '商家标记了搜索表单' },
  { key: 'cart_edits', signal: 'choices', unit: 'n', en: 'Changes of the cart', zh: '购物车修改次数' },
  { key: 'consignee_choices', signal: 'choices', unit: 'n', en: 'Choices of a consignee', zh: '选择收货人次数' },
  { key: 'card_choices', signal: 'choices', unit: 'n', en: 'Choices of a card, not which', zh: '选择银行卡次数（不含卡信息）' },
  { key: 'method_choices', signal: 'choices', unit: 'n', en: 'Choices of a payment method', zh: '选择支付方式次数' },
  { key: 'order_presses', signal: 'order', unit: 'n', en: 'Presses of the order button', zh: '下单按钮点击次数' },
  { key: 'order_s', signal: 'order', unit: 's', signed: true, en: 'Seconds from the first page to the order', zh: '首页面到下单秒数' },
  { key: 'hidden_s', signal: 'order', unit: 's', signed: true, en: 'Hidden seconds up to the order', zh: '下单前后台秒数' },
  { key: 'review_ms', signal: 'order', unit: 'ms', signed: true, en: 'Time from the review to the order', zh: '确认到下单毫秒数' },
  { key: 'hides', signal: 'order', unit: 'n', en: 'Times the page was left and seen again', zh: '切出后返回次数' },
  { key: 'moves', signal: 'trajectory', unit: 'n', en: 'Mouse move events', zh: '鼠标移动事件数' },
  { key: 'move_samples', signal: 'trajectory', unit: 'n', en: 'Samples inside them', zh: '其中的采样数' },
  { key: 'long_steps', signal: 'trajectory', unit: 'n', en: 'Mouse steps of 4 px or more', zh: '4 像素以上的鼠标步数' },
  { key: 'axis_steps', signal: 'trajectory', unit: 'n', en: 'Of these, along an axis', zh: '其中沿坐标轴的步数' },
  { key: 'micro_steps', signal: 'trajectory', unit: 'n', en: 'Mouse steps of 1 to 5 px', zh: '1 至 5 像素的鼠标步数' },
  { key: 'micro_reversals', signal: 'trajectory', unit: 'n', en: 'Of these, turning back', zh: '其中折返的步数' },
  { key: 'reach_s', signal: 'reach', unit: 's', en: 'Seconds of moving towards clicks', zh: '移向点击目标的秒数' },
  { key: 'reach_peaks', signal: 'reach', unit: 'n', en: 'Peaks of speed in it', zh: '其中的速度峰数' },
  { key: 'mouse_clicks', signal: 'clicks', unit: 'n', en: 'Mouse clicks', zh: '鼠标点击次数' },
  { key: 'teleports', signal: 'clicks', unit: 'n', en: 'Mouse clicks to which no move led', zh: '无移动的鼠标点击次数' },
  { key: 'clicks_mouse', signal: 'modality', unit: 'n', en: 'Activations by mouse', zh: '鼠标激活次数' },
  { key: 'clicks_touch', signal: 'modality', unit: 'n', en: 'Activations by touch or pen', zh: '触控或手写笔激活次数' },
  { key: 'clicks_key', signal: 'modality', unit: 'n', en: 'Activations by keyboard', zh: '键盘激活次数' },
  { key: 'clicks_other', signal: 'modality', unit: 'n', en: 'Activations by other means', zh: '其他方式激活次数' },
  { key: 'coarse_pages', signal: 'modality', unit: 'n', en: 'Pages on a device whose main pointer is a finger', zh: '主指针为触控的页面数' },
  { key: 'touches', signal: 'touch', unit: 'n', en: 'Touches', zh: '触摸次数' },
  { key: 'touch_width', signal: 'touch', unit: 'px', en: 'Sum of contact widths', zh: '触点宽度之和' },
  { key: 'touch_width_sq', signal: 'touch', unit: 'px2', en: 'Sum of their squares', zh: '触点宽度平方和' },
  { key: 'touch_width_real', signal: 'touch', unit: 'n', en: 'Touches with a contact width', zh: '带触点宽度的触摸次数' },
  { key: 'multi_touches', signal: 'touch', unit: 'n', en: 'Touches while another finger was down', zh: '多指触摸次数' },
  { key: 'keys', signal: 'keys', unit: 'n', en: 'Presses of keys that edit text in text fields, whichever key', zh: '文本字段中编辑文字的按键次数（不区分按键）' },
  { key: 'key_rollovers', signal: 'keys', unit: 'n', en: 'Presses while another key was down', zh: '重叠按键次数' },
  { key: 'address_keys', signal: 'keys', unit: 'n', en: 'Key presses in the address stage', zh: '地址阶段按键次数' },
  { key: 'corrections', signal: 'keys', unit: 'n', en: 'Of these, Backspace and Delete', zh: '其中退格与删除次数' },
  { key: 'segment_gaps', signal: 'segments', unit: 'n', en: 'Key gaps in fields with 5 or more', zh: '间隔不少于 5 个的字段击键间隔数' },
  { key: 'segment_breaks', signal: 'segments', unit: 'n', signed: true, en: 'Of these, over 3 times the field’s median', zh: '其中超过本字段中位数 3 倍的个数' },
  { key: 'ime_commits', signal: 'composition', unit: 'n', en: 'Commits of an input method', zh: '输入法上屏次数' },
  { key: 'ime_other_inputs', signal: 'composition', unit: 'n', en: 'Other inserting input in these fields', zh: '这些字段的其他插入输入次数' },
  { key: 'fields_filled', signal: 'fields', unit: 'n', en: 'Fields of the address stage that received input', zh: '地址阶段已填字段数' },
  { key: 'address_filled', signal: 'fields', unit: 'n', en: 'Fields of the address itself that received input', zh: '已填的地址字段数' },
  { key: 'field_steps', signal: 'fields', unit: 'n', en: 'Steps from field to field', zh: '字段间移动次数' },
  { key: 'field_steps_down', signal: 'fields', unit: 'n', en: 'Of these, to a later field', zh: '其中移向后一字段的次数' },
  { key: 'paste_fills', signal: 'fields', unit: 'n', en: 'Pastes that filled three fields or more', zh: '一次粘贴填充三个以上字段的次数' },
  { key: 'field_focuses', signal: 'fields', unit: 'n', en: 'Focuses of address fields after the first', zh: '首个之后的地址字段聚焦次数' },
  { key: 'tab_focuses', signal: 'fields', unit: 'n', en: 'Of these, by the Tab key', zh: '其中由 Tab 键聚焦的次数' },
  { key: 'field_returns', signal: 'fields', unit: 'n', en: 'Returns to a filled field', zh: '返回已填字段次数' },
  { key: 'address_edits', signal: 'fields', unit: 'n', en: 'Returns to an address field that changed it', zh: '返回并修改地址字段次数' },
  { key: 'form_s', signal: 'fields', unit: 's', en: 'Visible seconds of filling the address stage', zh: '填写地址阶段的可见秒数' },
  { key: 'optional_shown', signal: 'fields', unit: 'n', en: 'Optional fields shown', zh: '显示的选填字段数' },
  { key: 'optional_filled', signal: 'fields', unit: 'n', en: 'Optional fields that received input', zh: '已填的选填字段数' },
  { key: 'address_saved', signal: 'fields', unit: 'n', signed: true, en: 'A saved address is chosen', zh: '选用已存地址' },
  { key: 'address_new', signal: 'fields', unit: 'n', signed: true, en: 'The address was typed or autofilled', zh: '手工或自动填充新地址' },
  { key: 'address_parsed', signal: 'fields', unit: 'n', signed: true, en: 'The address was parsed from one paste', zh: '由一次粘贴解析地址' },
  { key: 'text_fields_filled', signal: 'fields', unit: 'n', en: 'Text fields of address and payment that were filled', zh: '地址与支付阶段已填文本字段数' },
  { key: 'text_fields_autofilled', signal: 'fields', unit: 'n', signed: true, en: 'Of these, last filled by the browser', zh: '其中由浏览器自动填充的字段数' },
  { key: 'fields_shown', signal: 'validation', unit: 'n', en: 'Fields of promotion, address or payment were shown', zh: '显示过优惠、地址或支付字段' },
  { key: 'fields_invalid', signal: 'validation', unit: 'n', en: 'Times a field turned invalid', zh: '字段校验错误次数' },
  { key: 'inputs', signal: 'inputs', unit: 'n', en: 'Inserting input events with a physical keyboard', zh: '物理键盘下的插入输入事件数' },
  { key: 'inputs_uncaused', signal: 'inputs', unit: 'n', en: 'Of these, without key, paste, drop, composition or autofill', zh: '其中无击键等原因的事件数' },
  { key: 'paste_zones', signal: 'clipboard', unit: 'n', en: 'Pages with name, phone, address or card fields', zh: '含姓名、电话、地址或卡号字段的页面数' },
  { key: 'pastes', signal: 'clipboard', unit: 'n', en: 'Pastes into these fields, without content', zh: '粘贴到这些字段的次数（不含内容）' },
  { key: 'personal_pastes', signal: 'clipboard', unit: 'n', en: 'Of these, into name or phone', zh: '其中粘贴到姓名或电话的次数' },
  { key: 'personal_inputs', signal: 'clipboard', unit: 'n', en: 'Pages where name or phone received input', zh: '姓名或电话有输入的页面数' },
  { key: 'copy_stages', signal: 'clipboard', unit: 'n', en: 'Checkout stages shown', zh: '显示的结算阶段数' },
  { key: 'copies', signal: 'clipboard', unit: 'n', en: 'Copies from checkout pages, without content', zh: '结算页面复制次数（不含内容）' },
  { key: 'checkout_tabs', signal: 'tabs', unit: 'n', signed: true, en: 'Most tabs in the checkout at one time', zh: '同时处于结算的最大标签页数' },
  { key: 'resizes', signal: 'resize', unit: 'n', en: 'Window resizes', zh: '窗口尺寸变化次数' },
  { key: 'page_loads', signal: 'restores', unit: 'n', en: 'Pages loaded', zh: '页面加载次数' },
  { key: 'restores', signal: 'restores', unit: 'n', en: 'Pages restored from the back-forward cache', zh: '往返缓存恢复次数' },
  { key: 'events', signal: 'trust', unit: 'n', en: 'Clicks, inputs, keys and submits', zh: '点击、输入、按键与提交事件数' },
  { key: 'events_untrusted', signal: 'trust', unit: 'n', en: 'Of these, made by a script', zh: '其中由脚本产生的事件数' },
  { key: 'ua_checks', signal: 'device', unit: 'n', en: 'Comparisons of user agent and client hints', zh: 'UA 与客户端提示比较次数' },
  { key: 'ua_mismatches', signal: 'device', unit: 'n', en: 'Of these, not agreeing', zh: '其中不一致的次数' },
  { key: 'automation_checks', signal: 'device', unit: 'n', en: 'Looks for traces of automation', zh: '自动化痕迹检查次数' },
  { key: 'automation_traces', signal: 'device', unit: 'n', en: 'Of these, with a trace', zh: '其中发现痕迹的次数' },
  { key: 'market_match', signal: 'device', unit: 'n', en: 'Time zone and language fit the market', zh: '时区与语言均符合市场' },
  { key: 'market_partial', signal: 'device', unit: 'n', en: 'One of them fits', zh: '其一符合市场' },
  { key: 'market_no', signal: 'device', unit: 'n', en: 'None of them fits', zh: '均不符合市场' },
  { key: 'frames', signal: 'frames', unit: 'n', en: 'Intervals between frames, at most 119', zh: '帧间隔数（至多 119）' },
  { key: 'frames_stable', signal: 'frames', unit: 'n', en: 'Of these, within 10% of their median', zh: '其中与中位数相差 10% 以内的个数' },
  { key: 'motion_s', signal: 'motion', unit: 's', en: 'Seconds of motion samples', zh: '运动采样秒数' },
  { key: 'accel_n', signal: 'motion', unit: 'n', en: 'Samples of acceleration', zh: '加速度采样数' },
  { key: 'accel_sq', signal: 'motion', unit: 'm2/s4', en: 'Sum of their squares', zh: '加速度平方和' },
  { key: 'rotation_n', signal: 'motion', unit: 'n', en: 'Samples of rotation', zh: '旋转速率采样数' },
  { key: 'rotation_sq', signal: 'motion', unit: 'deg2/s2', en: 'Sum of their squares', zh: '旋转速率平方和' },
  { key: 'location_granted', signal: 'location', unit: 'n', en: 'The browser would give its position, which is not read', zh: '浏览器可提供位置（位置不被读取）' },
  { key: 'location_unavailable', signal: 'location', unit: 'n', en: 'Permitted, but there is no position', zh: '已允许但无法定位' },
] as const satisfies readonly CounterRow[];

export type Histogram = (typeof HISTOGRAMS)[number]['key'];
export type Counter = (typeof COUNTERS)[number]['key'];

/** Class words beside the counts. */
export const WORDS = {
  modality: ['mouse', 'touch', 'key', 'mixed', 'other', 'none'],
  device_class: ['desktop', 'phone', 'tablet', 'webview', 'other'],
} as const;
