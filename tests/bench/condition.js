// condition.js - the conditions of bench_condition.c in an engine of JavaScript: node, duk, mujs or QuickJS (quickjs/run.mjs).
// Prints "NAME compile_ns evaluate_ns run_ns result", the best of many short rounds, as their clock runs on while
// another process has the core: a function made of the text, called in a loop;
// in Node also a vm.Script that is run in a context, which is how a host would evaluate it. JavaScript of 2009.
var out = typeof console === 'object' && console.log ? function (s) { console.log(s); } : print;
var node = typeof process === 'object' && typeof require === 'function' ? require('vm') : null;
var names = ['budget_available', 'city', 'tags', 'hotel'];
var env = { budget_available: 350.50, city: 'Tokyo', tags: ['hotel', 'travel'], hotel: { cost: 250, status: 'CONFIRMED' } };
var conditions = [
  ['short', 'budget_available >= 200'],
  ['long', 'budget_available >= 200 && city.indexOf("To") === 0 && hotel.status === "CONFIRMED" && (hotel.cost + 20) * 1.19 <= budget_available && tags.indexOf("travel") >= 0']
];
function clock() { return typeof performance === 'object' ? performance.now() : Date.now(); }
function least(best, ns) { return best === 0 || ns < best ? ns : best; }
function compiled(text) { return new Function(names[0], names[1], names[2], names[3], 'return ' + text); }
for (var i = 0; i < conditions.length; i++) {
  var text = conditions[i][1], compile = 0, evaluate = 0, run = 0, f = compiled(text), holds = 0, began, k;
  var n = node ? 300000 : 30000, c = typeof performance === 'object' ? 300 : 3000;      // a clock of milliseconds needs more
  var script = node ? new node.Script(text) : null, context = node ? node.createContext(env) : null;
  for (var round = 0; round < 30; round++) {
    began = clock();
    for (k = 0; k < c; k++) compiled(text + ' || ' + (round * c + k) + ' < 0');      // never the same text: nothing is found in a cache
    compile = least(compile, (clock() - began) * 1e6 / c);
    began = clock();
    for (k = 0, holds = 0; k < n; k++) if (f(env.budget_available, env.city, env.tags, env.hotel)) holds++;
    evaluate = least(evaluate, (clock() - began) * 1e6 / n);
    if (!node) continue;
    began = clock();
    for (k = 0; k < 3000; k++) if (!script.runInContext(context)) holds = 0;
    run = least(run, (clock() - began) * 1e6 / 3000);
  }
  out(conditions[i][0] + ' ' + Math.round(compile) + ' ' + evaluate.toFixed(1) + ' ' + Math.round(run) + ' ' + (holds === n));
}
