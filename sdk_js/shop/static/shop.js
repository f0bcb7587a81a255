/** The shop's own script: asks for consent, keeps the answer in this tab, and hands it to the SDK on each page. */
(() => {
  const KEY = 'shop-consent';
  const ANSWER_MS = 5000;
  const PURPOSES = ['behavior', 'motion', 'location', 'device'];
  const ZONES = ['product', 'review', 'search', 'policy', 'cart', 'address', 'name', 'phone', 'card', 'payment'];
  const $ = (id) => document.getElementById(id);
  const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;
  const words = Object.fromEntries([...$('words').content.children].map((one) => [one.dataset.word, one.textContent]));
  const policyVersion = meta('policy-version');
  const after = $('decision');
  // An order must not fail because the SDK did not load.
  const sdk = globalThis.riskgraph;
  const collector = sdk?.createCollector?.({
    endpoint: location.origin,
    merchantKey: meta('riskgraph-key'),
    consent: { policyVersion },
    zones: ZONES,
    locale: document.documentElement.lang,
    addons: [
      sdk.behavior,
      ...['frames', 'motion', 'location'].flatMap((name) => sdk[name] || []),
      ...(sdk.device ? [sdk.device({ offsets: [480], language: 'zh' })] : []),
    ],
  });
  globalThis.shop = { collector };

  const load = () => JSON.parse(sessionStorage.getItem(KEY) || 'null');
  const save = (record) => sessionStorage.setItem(KEY, JSON.stringify(record));
  const signalled = () => navigator.globalPrivacyControl === true || navigator.doNotTrack === '1';
  const granted = (record) => PURPOSES.filter((name) => record?.purposes[name]);

  const recordOf = (answers, separate) => {
    const id = `c-${[...crypto.getRandomValues(new Uint8Array(8))].map((n) => n.toString(16).padStart(2, '0')).join('')}`;
    if (sdk?.manualRecord) return sdk.manualRecord({ id, policyVersion, at: new Date(), answers, separate });
    return {
      id,
      policyVersion,
      at: new Date().toISOString(),
      purposes: Object.fromEntries(PURPOSES.map((name) => [name, false])),
    };
  };

  /** Measured is what the server takes: without a session of it, nothing leaves the page. */
  const agreed = (on, waited) => {
    if (after) return words.state_done;
    if (collector?.token()) return words.state_on + on.map((name) => words[name]).join(words.comma);
    return waited ? words.state_silent : words.state_wait;
  };

  const stateOf = (record, waited) => {
    const on = granted(record);
    if (signalled()) return words.state_signal;
    if (on.length) return agreed(on, waited);
    if (record?.withdrawn) return words.state_withdrawn;
    return record ? words.state_none : '';
  };

  const show = (record, waited) => {
    const measuring = granted(record).length > 0 && !signalled();
    $('state').textContent = $('sent-state').textContent = stateOf(record, waited);
    $('open-sent').hidden = false;
    $('withdraw').hidden = !measuring;
    $('open-consent').hidden = measuring || signalled();
  };

  let asking = 0;

  /** Say what is the case until the server has answered, or has had its time. */
  const watch = (record) => {
    clearInterval(asking);
    const until = Date.now() + ANSWER_MS;
    asking = setInterval(() => {
      const waited = Date.now() > until;
      if (!waited && !collector?.token()) return;
      clearInterval(asking);
      show(record, true);
    }, 100);
  };

  const apply = (record) => {
    // The SDK looks at Do Not Track and GPC itself; after the order there is nothing left to measure.
    if (granted(record).length && !after) {
      collector?.grant(record);
      watch(record);
    } else if (collector?.state === 'granted') collector.withdraw();
    show(record);
  };

  const refuseAll = () => recordOf({}, false);

  const ask = () => {
    $('answers').reset();
    $('consent').showModal();
    $('consent-title').focus();
  };

  const answered = ({ submitter }) => {
    const given = new FormData($('answers'));
    const yes = (name) => given.get(name) === 'yes';
    const saved = submitter?.value === 'save';
    const record = saved
      ? recordOf(Object.fromEntries(PURPOSES.map((name) => [name, yes(name)])), yes('separate'))
      : refuseAll();
    // iOS shows its own dialogue for motion, and only after a tap.
    if (record.purposes.motion) sdk?.askForMotion?.();
    save(record);
    apply(record);
  };

  const withdraw = () => {
    clearInterval(asking);
    collector?.withdraw();
    // After the order the SDK has no nonce any more: the shop's server erases in its stead.
    if (after) fetch(`/shop/withdraw/${after.dataset.id}`, { method: 'POST', keepalive: true }).catch(() => {});
    const record = { ...refuseAll(), withdrawn: true };
    save(record);
    show(record);
    $('open-consent').focus();
  };

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  const spark = (counts) => {
    const space = 'http://www.w3.org/2000/svg';
    const svg = document.createElementNS(space, 'svg');
    const most = Math.max(...counts);
    for (const [name, value] of Object.entries({ class: 'spark', viewBox: '0 0 64 16', 'aria-hidden': 'true' }))
      svg.setAttribute(name, value);
    counts.forEach((count, i) => {
      const bar = document.createElementNS(space, 'rect');
      const height = count ? Math.max(1, (15 * count) / most) : 0.4;
      for (const [name, value] of Object.entries({ x: i * 4, y: 16 - height, width: 3, height }))
        bar.setAttribute(name, value);
      svg.append(bar);
    });
    return svg;
  };

  const rowOf = (text, value, histogram) => {
    const row = document.createElement('tr');
    const cell = element('td', value);
    if (histogram) cell.append(' ', spark(histogram));
    row.append(element('th', text, { scope: 'row' }), cell);
    return row;
  };

  /** Rows of one flush: what each field is, and its count or its histogram. */
  const rowsOf = ({ zones, counters }, inventory) => {
    const lang = document.documentElement.lang.startsWith('zh') ? 'zh' : 'en';
    const text = (key) => inventory[key]?.[lang] || key;
    const counted = Object.entries(counters).map(([key, n]) => rowOf(text(key), String(n)));
    const drawn = Object.entries(zones).flatMap(([zone, named]) =>
      Object.entries(named).map(([name, { n, h }]) =>
        rowOf(text(`${zone}.${name}`), words.histogram.replace('{n}', n), h),
      ),
    );
    return [...counted, ...drawn];
  };

  const showSent = async () => {
    const bytes = collector?.snapshot() || '';
    const flushes = bytes ? bytes.split('\n').map((line) => JSON.parse(line)) : [];
    const inventory = await fetch(meta('inventory'))
      .then((answer) => answer.json())
      .catch(() => ({}));
    $('sent-rows').replaceChildren(...flushes.flatMap((flush) => rowsOf(flush, inventory)));
    $('sent').querySelector('table').hidden = $('sent-raw').hidden = !bytes;
    $('sent-raw').querySelector('pre').textContent = bytes;
    $('sent-size').textContent = words.bytes.replace('{n}', new TextEncoder().encode(bytes).length);
    if (!bytes && collector?.state === 'granted') $('sent-state').textContent = words.nothing_now;
    $('sent').showModal();
    $('sent-title').focus();
  };

  let placing = '';

  /**
   * The order carries the session and the answers. The button has no mark: what the SDK takes as the order ends the
   * visit, so that is told here, where the form has passed its checks, and no mistyped card ends it. With consent it follows the last counts, so that the decision
   * knows them: a round trip, and 300 ms at most; a silent server holds nobody up.
   */
  const order = (event) => {
    const { target: form, submitter } = event;
    if (submitter?.id !== 'order') return;
    if (placing) return event.preventDefault();
    const record = signalled() ? refuseAll() : load();
    form.elements.session.value = collector?.token() || '';
    if (record) form.elements.consent.value = JSON.stringify({ ...record, withdrawn: undefined });
    placing = submitter.textContent;
    submitter.textContent = words.placing;
    if (collector?.state !== 'granted') return;
    event.preventDefault();
    collector.event('order');
    collector.flush().finally(() => form.submit());
  };

  /** Back by the history: the page is as it was left, but what was agreed to may have changed since. */
  const back = ({ persisted }) => {
    if (!persisted) return;
    if (placing) $('order').textContent = placing;
    placing = '';
    apply(load());
  };

  const digits = (text) => text.replace(/[\s-]/g, '');

  /** The same check as the server's, before anything is sent. */
  const checkCard = () => {
    const card = $('card');
    const known = [...document.querySelectorAll('#card-hint code')].map((one) => digits(one.textContent));
    const byCard = $('method').value === 'card';
    $('card-part').hidden = $('card-hint').hidden = !byCard;
    card.setCustomValidity(byCard && !known.includes(digits(card.value)) ? words.wrong_card : '');
  };

  $('answers').addEventListener('submit', answered);
  $('consent').addEventListener('cancel', () => answered({}));
  $('open-consent').addEventListener('click', ask);
  $('withdraw').addEventListener('click', withdraw);
  $('open-sent').addEventListener('click', showSent);
  $('payment-form')?.addEventListener('submit', order);
  addEventListener('pageshow', back);
  $('payment-form')?.addEventListener('input', checkCard);
  if ($('payment-form')) checkCard();
  document.querySelector('.wrong')?.focus();

  const record = load();
  apply(record);
  if (!record && !signalled() && !after) ask();
})();
