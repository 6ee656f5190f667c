// What TypeScript's compiler says of the given sources; and what the hub's client has, beside what
// its declarations say that it has. As JSON.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename } from 'node:path';

const ts = createRequire(`${process.env.CLIENT_MODULES}/`)('typescript');
const [client, ...sources] = process.argv.slice(2);
const declarations = client.replace(/\.js$/, '.d.ts');
const program = ts.createProgram([declarations, ...sources], {
  strict: true,
  noEmit: true,
  types: [],
  lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
});
const said = ts.getPreEmitDiagnostics(program).map(({ file, start, code, messageText }) => ({
  file: file && basename(file.fileName),
  line: file && file.getLineAndCharacterOfPosition(start).line + 1,
  code,
  text: ts.flattenDiagnosticMessageText(messageText, ' '),
}));

const checker = program.getTypeChecker();
const exported = checker.getExportsOfModule(
  checker.getSymbolAtLocation(program.getSourceFile(declarations)),
);
const members = (name) => {
  const symbol = exported.find((one) => one.name === name);
  return checker.getDeclaredTypeOfSymbol(symbol).getProperties().map((one) => one.name);
};
const declared = {
  names: exported.filter((one) => one.flags & ts.SymbolFlags.Value).map((one) => one.name),
  methods: members('Bellpull'),
  options: members('Options'),
};

const text = readFileSync(client, 'utf8');
// Not by its path: what kind of module a `.js` is, Node asks a package that is not there.
const module = await import(`data:text/javascript;base64,${Buffer.from(text).toString('base64')}`);
const hub = module.connect({ token: 'none', url: 'http://hub.invalid/' });
hub.close();
const has = {
  names: Object.keys(module),
  methods: Object.getOwnPropertyNames(Object.getPrototypeOf(hub)).filter((one) => one !== 'constructor'),
  options: [...new Set([...text.matchAll(/\boptions\.(\w+)/g)].map((found) => found[1]))],
};
console.log(JSON.stringify({ said, declared, has }));
