// run.mjs - condition.js in QuickJS and in QuickJS-NG, which are WebAssembly here that Node runs: `qjs-wasm` and `qjsng-wasm` before each line.
// Started where the packages are. The loops are inside QuickJS; run_ns is one call of the compiled function by Node, through the border of the WebAssembly.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const { newQuickJSWASMModuleFromVariant } = require("quickjs-emscripten-core");
const source = readFileSync(new URL("../condition.js", import.meta.url), "utf8");
const engines = { "qjs-wasm": "@jitl/quickjs-wasmfile-release-sync", "qjsng-wasm": "@jitl/quickjs-ng-wasmfile-release-sync" };
const ROUNDS = 30, RUNS = 3000;

for (const [name, variant] of Object.entries(engines)) {
  const engine = (await newQuickJSWASMModuleFromVariant(require(variant).default)).newContext();
  const value = (text) => engine.unwrapResult(engine.evalCode(text));
  const give = (object, member, f) => engine.newFunction(member, f).consume((handle) => engine.setProp(object, member, handle));
  const lines = [];
  give(engine.global, "print", (line) => { lines.push(engine.getString(line).split(" ")); });
  engine.newObject().consume((clock) => {
    give(clock, "now", () => engine.newNumber(performance.now()));
    engine.setProp(engine.global, "performance", clock);
  });
  value(source).dispose();
  const env = ["budget_available", "city", "tags", "hotel"].map((member) => value("env." + member));
  lines.forEach(([condition, compile, evaluate, , result], i) => {
    const f = value(`compiled(conditions[${i}][1])`);
    let best = Infinity, holds = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const began = performance.now();
      for (let k = 0; k < RUNS; k++) {
        const answer = engine.unwrapResult(engine.callFunction(f, engine.undefined, ...env));
        if (engine.getNumber(answer) === 1) holds++;                   // QuickJS-NG here has nothing that compares; true is 1
        answer.dispose();
      }
      best = Math.min(best, (performance.now() - began) * 1e6 / RUNS);
    }
    console.log(name, condition, compile, evaluate, Math.round(best), result === "true" && holds === ROUNDS * RUNS);
  });
}
