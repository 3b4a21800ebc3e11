// Compiles dashboards against types.ts, and everything that mutations.json spoils in them: those must be refused.
//
//   tests/tools/node.sh run grafana tests/grafana/check.cjs DASHBOARD.json...
//
// A dashboard becomes a literal in TypeScript, so that the compiler refuses keys that nobody declares.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const ts = require('typescript');
const sdk = require('@grafana/grafana-foundation-sdk/dashboard');

// Sources live beside the packages, where the compiler finds these; nothing is written there.
const beside = path.dirname(process.env.NODE_PATH);
const sources = new Map([[path.join(beside, 'types.ts'), fs.readFileSync(path.join(__dirname, 'types.ts'), 'utf8')]]);

function add(name, dashboard) {
  const text = `import type { Dashboard } from './types';\nexport const dashboard: Dashboard = ${JSON.stringify(dashboard, null, 1)};\n`;
  const file = path.join(beside, `${name}.ts`);
  sources.set(file, text);
  return file;
}

// Where a mutation begins: a value whose `key` is `value`, anywhere in the dashboard.
function find(node, key, value) {
  if (node === null || typeof node !== 'object') return undefined;
  if (node[key] === value) return node;
  for (const child of Object.values(node)) {
    const found = find(child, key, value);
    if (found) return found;
  }
  return undefined;
}

function mutate(dashboard, { at, set, remove, to }) {
  const copy = structuredClone(dashboard);
  const keys = (remove ?? set).split('.');
  let node = at ? find(copy, ...Object.entries(at)[0]) : copy;
  for (const key of keys.slice(0, -1)) node = node?.[key];
  if (node === undefined) return undefined;
  const last = keys.at(-1);
  if (remove) delete node[last];
  else node[last] = to;
  return JSON.stringify(copy) === JSON.stringify(dashboard) ? undefined : copy;
}

const problems = [];
const wanted = new Map();
const mutations = JSON.parse(fs.readFileSync(path.join(__dirname, 'mutations.json'), 'utf8'));
const used = new Set();
for (const file of process.argv.slice(2)) {
  const dashboard = JSON.parse(fs.readFileSync(file, 'utf8'));
  const name = path.basename(file, '.json');
  wanted.set(add(name, dashboard), { name, isGood: true });
  const current = sdk.defaultDashboard().schemaVersion;
  if (dashboard.schemaVersion !== current) problems.push(`${name}: schemaVersion is not ${current}`);
  mutations.forEach((mutation, number) => {
    const mutant = mutate(dashboard, mutation);
    if (!mutant) return;
    used.add(number);
    wanted.set(add(`${name}-${number}`, mutant), { name: `${name} with ${mutation.what}`, isGood: false });
  });
}
mutations.forEach(({ what }, number) => used.has(number) || problems.push(`no dashboard has a place for: ${what}`));

const options = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  types: [],
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
};
const host = ts.createCompilerHost(options);
const { fileExists, readFile, getSourceFile } = host;
host.fileExists = (file) => sources.has(file) || fileExists(file);
host.readFile = (file) => sources.get(file) ?? readFile(file);
host.getSourceFile = (file, ...rest) =>
  sources.has(file) ? ts.createSourceFile(file, sources.get(file), options.target) : getSourceFile(file, ...rest);
const program = ts.createProgram([...sources.keys()], options, host);

const say = (diagnostic) => ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n');
const errors = (file) => {
  const source = program.getSourceFile(file);
  return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
};
problems.push(...program.getGlobalDiagnostics().map(say));
problems.push(...errors(path.join(beside, 'types.ts')).map((error) => `types.ts: ${say(error)}`));
let refused = 0;
for (const [file, { name, isGood }] of wanted) {
  const found = errors(file);
  if (isGood) {
    problems.push(...found.map((error) => {
      const { line } = error.file.getLineAndCharacterOfPosition(error.start);
      return `${name}: ${error.file.text.split('\n')[line].trim()}: ${say(error)}`;
    }));
  } else if (found.length === 0) problems.push(`not refused: ${name}`);
  else refused += 1;
}
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`${process.argv.length - 2} dashboards are as Grafana wants them, ${refused} spoilt ones were refused`);
