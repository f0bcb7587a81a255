/**
 * Write what follows from the table of signals: the JSON Schema of a flush and the map to nodes (both for
 * servers), and the data inventory. With --check nothing is written and a stale file fails.
 */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

process.chdir(new URL('..', import.meta.url).pathname);
const DATA = '../riskgraph/core/data';
const MOST = 10_000_000;

export const loadTable = async () => {
  const outfile = join(mkdtempSync(join(tmpdir(), 'table-')), 'table.mjs');
  const contents = `export * from './src/signals/table'; export * from './src/signals/nodes';`;
  await build({ stdin: { contents, resolveDir: '.', loader: 'ts' }, outfile, bundle: true, format: 'esm' });
  return import(pathToFileURL(outfile));
};

const closed = (properties, required = []) => ({ type: 'object', additionalProperties: false, properties, required });

const schemaOf = ({ HISTOGRAMS, COUNTERS, WORDS }) => {
  const zones = {};
  for (const { key } of HISTOGRAMS) {
    const [zone, name] = key.split('.');
    (zones[zone] ||= closed({})).properties[name] = { $ref: '#/$defs/histogram' };
  }
  const counters = Object.fromEntries(
    COUNTERS.map(({ key, unit, signed }) => [
      key,
      { type: unit === 'n' ? 'integer' : 'number', minimum: signed ? -1e9 : 0, maximum: 1e9 },
    ]),
  );
  const opaque = { type: 'string', minLength: 1, maxLength: 200 };
  const words = Object.fromEntries(Object.entries(WORDS).map(([name, list]) => [name, { enum: [...list] }]));
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:riskgraph:behavior-1',
    title: 'One flush of the behavior SDK: deltas since the flush before',
    ...closed(
      {
        v: { const: 1 },
        session: opaque,
        nonce: opaque,
        seq: { type: 'integer', minimum: 0, maximum: 1e9 },
        consent_id: opaque,
        ...words,
        zones: closed(zones),
        counters: closed(counters),
      },
      ['v', 'session', 'nonce', 'seq', 'consent_id', 'zones', 'counters'],
    ),
    $defs: {
      histogram: closed(
        {
          n: { type: 'integer', minimum: 1, maximum: MOST },
          h: { type: 'array', minItems: 16, maxItems: 16, items: { type: 'integer', minimum: 0, maximum: MOST } },
        },
        ['n', 'h'],
      ),
    },
  };
};

const mapOf = ({ SIGNALS, HISTOGRAMS, COUNTERS, WORDS, NODES, LIMITS }) => {
  const purpose = Object.fromEntries(SIGNALS.map(({ name, purpose }) => [name, purpose]));
  const histograms = HISTOGRAMS.map(({ key, signal, bins }) => [key, { signal, purpose: purpose[signal], bins }]);
  const counters = COUNTERS.map(({ key, signal, unit, signed }) => [
    key,
    { signal, purpose: purpose[signal], unit, signed: !!signed },
  ]);
  return {
    v: 1,
    histograms: Object.fromEntries(histograms),
    counters: Object.fromEntries(counters),
    words: WORDS,
    nodes: NODES,
    limits: LIMITS,
  };
};

const nodesOf = ({ NODES }, key) =>
  Object.entries(NODES)
    .filter(([, rule]) => JSON.stringify(rule).includes(`"${key}"`))
    .map(([id]) => id)
    .join(' ');

const PURPOSES = { behavior: '行为', motion: '运动', location: '定位', device: '设备' };

const inventoryOf = (table) => {
  const { SIGNALS, HISTOGRAMS, COUNTERS, LIMITS } = table;
  const rows = SIGNALS.flatMap(({ name, purpose, bundle }) =>
    [...HISTOGRAMS, ...COUNTERS]
      .filter(({ signal }) => signal === name)
      .map(({ key, bins, unit, en, zh }) => {
        const what = bins ? `16 bins, ${bins.replaceAll('|', ' ')}` : `sum, ${unit}`;
        return `| \`${key}\` | ${zh} | ${en} | ${what} | ${PURPOSES[purpose]} ${purpose} | ${bundle} | ${nodesOf(table, key)} |`;
      }),
  );
  return `# 数据清单 · Data inventory

由 \`src/signals/table.ts\` 生成，请勿手工修改。Made from \`src/signals/table.ts\` by \`npm run generate\`; do not edit.

仅在同意对应目的之后采集；只发送计数、合计与 16 格直方图的增量。
Only after consent to the purpose; only deltas of counts, sums and 16-bin histograms are sent.

- 从不读取 · Never read: 输入值、剪贴板文本、本页网址的参数与片段、Cookie。Values of fields, clipboard text, query and fragment of the
  page's address, cookies.
- 读取后即弃，从不发送 · Read and dropped, never sent: 按键（区分退格、删除、Tab 与修饰键，并配对按下与松开）、指针坐标、事件时间、选项序号；
  来源网址（仅用其域名归类）；经设备同意：UA、客户端提示、时区、语言；经运动同意：传感器读数。Keys (Backspace, Delete, Tab and modifiers are
  told apart, and a press is paired with its release), coordinates of the pointer, times of events, numbers of options; the referrer (its
  host is classed); with consent to the purpose device: user agent, client hints, time zone, language; motion: samples of the sensors.
  内存中仅留最近一个事件或一段移动，用于与下一个比较。No more than the last event, way or choice stays in the page's memory, to be
  compared with the next.
- 仅以带随机密钥的 24 位标记保留 · Kept as 24-bit marks keyed by a random number, never sent: 页面路径与类目。Paths of pages and categories.

随每次发送 · With each flush: \`v\`, \`session\`, \`nonce\`, \`seq\`（不小于访问开始以来的毫秒数 at least the milliseconds since the visit
began）, \`consent_id\`, \`modality\` (行为 behavior), \`device_class\` (设备 device).

本标签页内 · In this tab: 一个 \`sessionStorage\` 条目：会话、随机数（nonce）及其过期时间、本标签页此前各会话的随机数（撤回时用于全部删除）、同意编号与目的、访问开始时间、标记及其随机密钥、各信号的小状态
（如上一页面类型、已计入的时长）。One \`sessionStorage\` entry: session, nonce and their expiry, the nonces of this tab's
sessions before (a withdrawal erases them all), id and purposes of the consent, when the visit began, the marks and their key, and small state of signals (kind of the last page, spans told so far). 下单或撤回时删除；过期后于下次运行时仅留随机数。
Deleted at the order and at withdrawal; after expiry only the nonces stay when the SDK next runs.

| 字段 field | 内容 | what | 形式 form | 目的 purpose | 模块 bundle | 节点 nodes |
|---|---|---|---|---|---|---|
${rows.join('\n')}

## 限制 · Limits

${Object.entries(LIMITS)
  .map(([id, { zh, en }]) => `- ${id}: ${zh} ${en}`)
  .join('\n')}
`;
};

const json = (value) => `${JSON.stringify(value, null, 1)}\n`;

const main = async () => {
  const table = await loadTable();
  const made = {
    [`${DATA}/behavior-1.schema.json`]: json(schemaOf(table)),
    [`${DATA}/behavior-map.json`]: json(mapOf(table)),
    'INVENTORY.md': inventoryOf(table),
  };
  const check = process.argv.includes('--check');
  for (const [path, text] of Object.entries(made)) {
    if (!check) writeFileSync(path, text);
    else if (readFileSync(path, 'utf8') !== text) throw new Error(`${path} is stale: npm run generate`);
  }
};

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main();
