/** Pages of a small shop. `?sdk=off` loads no script, `?auto` grants at once. */

const CONSENT = {
  id: 'c-1',
  policyVersion: '2026-10',
  purposes: { behavior: true, device: true, motion: true, location: true },
};

export const BOOT = `
  window.make = (more) => riskgraph.createCollector({
    endpoint: location.origin, merchantKey: 'pk_test', consent: { policyVersion: '2026-10' },
    zones: ['search', 'policy', 'address', 'name', 'phone', 'card'], locale: document.documentElement.lang,
    addons: [riskgraph.behavior, riskgraph.device({ offsets: [480], language: 'zh' }), riskgraph.frames,
      riskgraph.motion, riskgraph.location], ...more });
  window.record = (more) => ({ ...${JSON.stringify(CONSENT)}, at: new Date().toISOString(), ...more });
  window.collector = make();
  if (location.search.includes('auto')) collector.grant(record());`;

const ADDRESS = `
  <form onsubmit="return false" data-rg="address">
    <input data-rg="name" id="name" required><input data-rg="phone" id="phone" type="tel" required>
    <input id="province" required><input id="city" required><input id="street" required><input id="note">
    <label data-rg="consignee"><input type="radio" name="to" id="self">self</label>
    <label data-rg="consignee"><input type="radio" name="to" id="other">other</label>
    <button type="button" id="saved" data-rg="address-saved">saved</button>
  </form>`;

const PAYMENT = `
  <div data-rg="payment">
    <select id="method" data-rg="pay-method"><option>card<option>wallet<option>transfer</select>
    <select id="cards" data-rg="pay-card"><option>one<option>two</select>
    <input data-rg="card" id="card" inputmode="numeric"><iframe id="hosted" srcdoc="<input id=pan>"></iframe>
    <input type="password" id="secret">
  </div>
  <button id="order" data-rg="order" type="button" onclick="window.pressed = (window.pressed || 0) + 1">order</button>`;

const BODIES = {
  home: '<form data-rg="search" onsubmit="return false"><input id="q" type="search"><button id="go">go</button></form>',
  list: '<p>list</p>',
  product:
    '<section data-rg="review" style="height:700px">reviews</section><div style="height:3000px"></div>' +
    '<button id="add" data-rg="cart-edit" type="button">add</button>',
  policy: '<section data-rg="policy" style="height:700px">returns</section>',
  cart: '<button id="plus" data-rg="cart-edit" type="button">+</button>',
  checkout: ADDRESS + PAYMENT,
};

const LINKS = ['home', 'list', 'product', 'policy', 'cart', 'checkout'];

/** A page that runs only scripts of the given hashes. */
const strictPage = (search) => {
  const scripts = ['full', 'device', 'frames', 'motion', 'location']
    .map((name) => {
      const integrity = search.get(name);
      return `<script src="/sdk/riskgraph-${name}.min.js" integrity="${integrity}" crossorigin="anonymous"></script>`;
    })
    .join('');
  return `<!doctype html><html lang="en"><head><title>strict</title></head>
<body data-rg-page="checkout">${PAYMENT.replace(/ onclick="[^"]*"/, '')}${scripts}<script src="/boot.js"></script></body></html>`;
};

export const pageOf = (url) => {
  if (url.pathname === '/strict') return strictPage(url.searchParams);
  const [, kind = 'home', stage, name = ''] = /^\/(\w+)(?:-(\w+))?(?:\/(\w+))?/.exec(url.pathname) || [];
  const { searchParams } = url;
  const head =
    searchParams.get('sdk') === 'off'
      ? ''
      : '<script src="/sdk/riskgraph-full.min.js"></script>' +
        ['device', 'frames', 'motion', 'location', 'pipl', 'tcf', 'gpp']
          .map((addon) => `<script src="/sdk/riskgraph-${addon}.min.js"></script>`)
          .join('') +
        `<script>${BOOT}</script>`;
  const links = LINKS.map((to) => `<a id="to-${to}" href="/${to}?auto">${to}</a>`).join(' ');
  return `<!doctype html><html lang="${searchParams.get('lang') || 'en'}"><head><meta charset="utf-8"><title>${kind}</title>
<link rel="icon" href="data:,"></head>
<body data-rg-page="${kind}"${stage ? ` data-rg-stage="${stage}"` : ''} data-rg-category="${name}">${links}
${BODIES[kind] || ''}
${head}</body></html>`;
};
