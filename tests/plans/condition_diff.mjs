// condition_diff.mjs EVAL [CASES] [SEED] - the conditions of plans against JavaScript itself: random well-typed conditions over random environments, evaluated by
// the machine (EVAL, condition_eval.c) and by Node. The value, or that there is none, must be the same. A difference prints the seed that shows it again.
//
// Both read the same text. Only json is told apart for Node: where the machine checks at run time what a value is, the text for Node has a call ($n, $s …) that does so.
// Three answers are the machine's own and documented: slice() within a surrogate pair raises, upper and lower case raise where the answer is not for sure, objects have
// no prototype.
import { spawn } from 'node:child_process';
import vm from 'node:vm';

const [evalPath, casesWord = '100000', seedWord = String(Date.now() % 1000000)] = process.argv.slice(2);
const ENVS = 5, CONDITIONS = 60, DEPTH = 4;
const seed = Number(seedWord), wanted = Number(casesWord);

// ---- random ----
let state = (seed * 2654435761 + 1) >>> 0;
function random() {                                        // mulberry32
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const chance = (p) => random() < p;
const pick = (list) => list[below(list.length)];
function weighted(choices) {
  let at = random() * choices.reduce((sum, [w]) => sum + w, 0);
  for (const [w, make] of choices) if ((at -= w) < 0) return make();
  return choices[choices.length - 1][1]();
}

// ---- values, as the JSON text both sides read ----
const doubles = new DataView(new ArrayBuffer(8));
function anyDouble() {
  for (;;) {
    doubles.setUint32(0, below(2 ** 32));
    doubles.setUint32(4, below(2 ** 32));
    const d = doubles.getFloat64(0);
    if (Number.isFinite(d)) return d;
  }
}
const edges = [0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 0.1, 0.2, 0.3, 200, 350, 350.5, 1e21, 1e-7, 123456789012345680000, 5e-324, 1.7976931348623157e308, 9007199254740991,
  9007199254740993, 4294967296, 0.49999999999999994, -0.49999999999999994, 2 ** 52 + 0.5, 1 / 3, 1e300, 1e-300, 0.000001, 0.0000001, 100, 7, -7, 3, 2, 1e5];
const someDouble = () => weighted([[5, () => pick(edges)], [2, () => anyDouble()], [3, () => below(2000) - 1000], [2, () => (below(200000) - 100000) / 100]]);
const floatText = (d) => (Object.is(d, -0) ? '-0.0' : Number.isInteger(d) && Math.abs(d) > 1e15 ? d.toExponential() : String(d));
const intText = () => weighted([[5, () => String(below(20) - 10)], [2, () => pick(['9007199254740993', '-9223372036854775808', '9223372036854775807', '200', '0', '4294967297'])], [2, () => String(below(2 ** 31) - 2 ** 30)]]);
const decimalText = () => weighted([[4, () => (below(100000) / 100 - 500).toFixed(2)], [2, () => pick(['0.1', '0.30', '1.10', '123456789.123456789123456789', '0.000000123', '-0.05', '99999999999999999.5', '350.00', '0.49999999999999994'])], [2, () => String(below(1000))]]);
const pieces = ['a', 'b', 'A', 'Z', ' ', 'to', 'Tokyo', 'x', '1', '', 'é', 'ß', 'Ä', 'ж', 'Ω', 'ς', 'Σ', '\u{1F600}', '\u{1F468}\u200d\u{1F469}', 'e\u0301', '\uFFFD', '\uD7FF', '\uE000', '\u{10FFFF}', '\u00a0', '\ufeff',
  '\u2028', '"', '\'', '\\', '`', '$', '${', '\n', '\t', 'null', '0', 'true', '漢', '-'];
const someString = () => Array.from({ length: below(5) }, () => pick(pieces)).join('');

// ---- types: k num str bool list map rec json; null: may be null ----
const scalars = [['num', 'int'], ['num', 'float'], ['num', 'decimal'], ['str', 'string'], ['str', 'string'], ['str', 'date'], ['str', 'Color'], ['str', 'timestamp'], ['bool', 'bool']];
const scalarType = (nullable) => { const [k, flow] = pick(scalars); return { k, flow, null: nullable }; };
let records;
function someType(depth) {
  const nullable = chance(0.35);
  return weighted([
    [6, () => scalarType(nullable)],
    [depth > 0 ? 2 : 0, () => { const of = chance(0.7) ? scalarType(chance(0.3)) : someType(depth - 1); return { k: 'list', of, null: nullable }; }],
    [depth > 0 ? 1 : 0, () => ({ k: 'map', of: scalarType(chance(0.3)), null: nullable })],
    [depth > 0 ? 3 : 0, () => recordType(depth - 1, nullable)],
    [1, () => ({ k: 'json', null: true })],
  ]);
}
const fieldNames = ['a', 'b', 'cost', 'name', 'length', 'tags', 'in_', 'constructor', 'toString', 'sub', 'x', 'y'];
function recordType(depth, nullable) {
  const fields = {};
  for (let i = 1 + below(4); i > 0; i--) fields[pick(fieldNames)] = someType(depth);
  records.push(fields);
  return { k: 'rec', name: `R${records.length}`, fields, null: nullable };
}
const flowOf = (t) => { const bare = t.k === 'list' ? `list<${flowOf(t.of)}>` : t.k === 'map' ? `map<${flowOf(t.of)}>` : t.k === 'rec' ? t.name : t.k === 'json' ? 'json' : t.flow; return t.null && t.k !== 'json' ? `${bare}?` : bare; };
const declared = (name, fields) => `type ${name} {\n${Object.entries(fields).map(([f, t]) => `    ${f}: ${flowOf(t)}`).join('\n')}\n}\n`;

const quoted = JSON.stringify;
function someJson(depth) {
  return weighted([[2, () => floatText(someDouble()).replace(/^-0\.0$/, '0')], [2, () => quoted(someString())], [1, () => pick(['true', 'false'])], [1, () => 'null'],
    [depth > 0 ? 1.5 : 0, () => `[${Array.from({ length: below(4) }, () => someJson(depth - 1)).join(',')}]`],
    [depth > 0 ? 3 : 0, () => `{${[...new Set(Array.from({ length: below(5) }, () => pick(fieldNames)))].map((k) => `${quoted(k)}:${someJson(depth - 1)}`).join(',')}}`]]);
}
function valueText(t) {
  if (t.null && t.k !== 'json' && chance(0.35)) return 'null';
  switch (t.k) {
    case 'num': return t.flow === 'int' ? intText() : t.flow === 'decimal' ? decimalText() : floatText(chance(0.05) ? -0 : someDouble());
    case 'bool': return pick(['true', 'false']);
    case 'str': return t.flow === 'date' ? quoted(pick(['2025-11-10', '2024-02-29', '0001-01-01', '2026-01-31'])) : t.flow === 'Color' ? quoted(pick(['RED', 'GREEN', 'BLUE']))
      : t.flow === 'timestamp' ? quoted(pick(['2025-11-10T10:00:00Z', '2025-11-10T10:00:00.5Z', '1969-12-31T23:59:59Z'])) : quoted(someString());
    case 'list': return `[${Array.from({ length: below(5) }, () => valueText(t.of)).join(',')}]`;
    case 'map': return `{${[...new Set(Array.from({ length: below(4) }, () => pick(fieldNames)))].map((k) => `${quoted(k)}:${valueText(t.of)}`).join(',')}}`;
    case 'rec': return recordText(t.fields);
    default: return someJson(2);
  }
}
const recordText = (fields) => `{${Object.entries(fields).map(([f, t]) => `${quoted(f)}:${valueText(t)}`).join(',')}}`;

// ---- expressions: {t: text of the condition, j: text for Node, p: precedence} ----
const P = { or: 3, and: 4, coalesce: 3.5, eq: 8, rel: 9, add: 11, mul: 12, unary: 14, post: 17, prim: 18, cond: 2 };
const spaces = () => (chance(0.9) ? ' ' : pick(['', '  ', '\n', '\t']));
const word = (op) => (/[a-z]/.test(op) ? ` ${op} ` : `${spaces()}${op}${spaces()}`);
const paren = (e) => ({ t: `(${e.t})`, j: `(${e.j})`, p: P.prim });
const at = (e, level) => (e.p < level || chance(0.05) ? paren(e) : e);
const wrap = (f, e) => ({ t: e.t, j: `${f}(${e.j})`, p: e.p, dyn: true });
// Of json, made one sort for both sides by what JavaScript itself has for it.
function firm(e, k) {
  if (!e.dyn) return e;
  if (k === 'str') return { t: `\`\${${e.t}}\``, j: `\`\${${e.j.replace(/^\$[sq]s?\(/, '$t(')}}\``, p: P.prim };
  const u = at(e, P.unary), op = k === 'num' ? '+ ' : '!!';
  return { t: op + u.t, j: op + u.j, p: P.unary };
}
function binary(op, level, a, b) {
  const l = at(a, level), r = at(b, level + 0.01);
  let w = word(op);
  if (/^[-+]$/.test(op)) w = ` ${op} `;                   // not `--`
  return { t: l.t + w + r.t, j: l.j + w + r.j, p: level };
}
const replaced = (e, j) => ({ t: e.t, j, p: e.p });      // the text stays, Node calls
const choice = (c, a, b, k) => { if (a.dyn && b.dyn) a = firm(a, k); const q = at(c, P.cond + 0.01); return { t: `${q.t} ? ${a.t} : ${b.t}`, j: `${q.j} ? ${a.j} : ${b.j}`, p: P.cond }; };
const numberLiteral = (d) => {
  const text = weighted([[8, () => String(Math.abs(d))], [1, () => Math.abs(d).toExponential()], [Number.isInteger(d) && Math.abs(d) < 2 ** 40 ? 1 : 0, () => `0x${Math.abs(d).toString(16)}`]]);
  return d < 0 || Object.is(d, -0) ? { t: `-${text}`, j: `-${text}`, p: P.unary } : { t: text, j: text, p: P.prim };
};
function stringLiteral(s) {
  const quote = pick(['"', "'"]);
  let text = '';
  for (const c of s) {
    const code = c.codePointAt(0);
    if (c === quote || c === '\\') text += `\\${c}`;
    else if (c === '\n') text += '\\n';
    else if (code < 32 || (code >= 0x7f && code < 0xa0) || code === 0xfeff || chance(0.05)) text += code > 0xffff && chance(0.5) ? `\\u${c.charCodeAt(0).toString(16)}\\u${c.charCodeAt(1).toString(16)}` : `\\u{${code.toString(16)}}`;
    else text += c;
  }
  return { t: quote + text + quote, j: quote + text + quote, p: P.prim };
}

let env, known;                                            // names and types; texts of paths that are not null here
const isKnown = (e) => known.some((k) => k === e.t);

function rootPath() {
  const name = pick(Object.keys(env));
  const text = /^s\d$/.test(name) ? `steps[${name.slice(1)}]` : name;
  return { t: text, j: text, p: P.prim, type: env[name], simple: true, maybe: env[name].null && env[name].k !== 'json' };
}
// One link further; own: what the value itself may be, cut: a `?.` below.
function linkOf(path, depth) {
  const type = path.type, isNull = path.maybe && !isKnown(path), json = type.k === 'json';
  let dot = isNull || (json && chance(0.4)) || chance(0.03) ? '?.' : '.';
  const cut = (path.cut && !isKnown(path)) || (dot === '?.' && isNull);
  const step = (t, j, over, simple) => ({ t, j, p: P.post, type: over, simple: path.simple && simple, own: over.null, cut, maybe: (over.null || cut) && over.k !== 'json', undef: over.undef || cut });
  const name = (key) => {
    const dotted = /^[a-zA-Z_]\w*$/.test(key) && chance(0.8);
    const t = dotted ? dot + key : `${dot === '?.' ? '?.' : ''}[${stringLiteral(key).t}]`;
    return t;
  };
  switch (type.k) {
    case 'rec': { const key = pick(Object.keys(type.fields)); const t = name(key); return step(path.t + t, path.j + t, type.fields[key], true); }
    case 'map': {
      if (chance(0.3) && depth > 0) { const e = str(depth - 1); const open = dot === '?.' ? '?.[' : '['; return step(`${path.t}${open}${e.t}]`, `${path.j}${open}${e.j}]`, { ...type.of, null: true, undef: true }, false); }
      const key = pick(fieldNames), t = name(key);
      return step(path.t + t, path.j + t, { ...type.of, null: true, undef: true }, true);
    }
    case 'list': {
      const open = dot === '?.' ? '?.[' : '[', literal = chance(0.7) || depth <= 0, e = literal ? { t: String(below(4)), j: null } : num(depth - 1);
      return step(`${path.t}${open}${e.t}]`, `${path.j}${open}${e.j ?? e.t}]`, { ...type.of, null: true, undef: true }, literal);
    }
    case 'json': {
      if (dot === '.' && (path.cut || path.asked)) dot = '?.';              // Node's helper ends a chain at once; a later link must ask again
      const opt = dot === '?.' ? 'o' : '';
      if (chance(0.25)) { const i = below(3); return { ...step(`${path.t}${opt ? '?.[' : '['}${i}]`, `$i${opt}(${path.j}, ${i})`, { k: 'json', null: true, undef: true }, false), cut: false, asked: opt === 'o' }; }
      const key = pick(fieldNames), t = name(key);
      return { ...step(path.t + t, `$m${opt}(${path.j}, ${quoted(key)})`, { k: 'json', null: true, undef: true }, false), cut: false, asked: opt === 'o' };
    }
    default: return path;
  }
}
// A path to a value of sort k (or any); tries a few.
function path(k, depth) {
  for (let i = 0; i < 12; i++) {
    let p = rootPath();
    for (let n = 0; n < 4; n++) {
      const container = ['rec', 'map', 'list', 'json'].includes(p.type.k);
      if (p.type.k === k && (!container || chance(0.6))) break;
      if (!container) break;
      p = linkOf(p, depth);
    }
    if (p.type.k === k) return p;
  }
  return null;
}
const there = (p) => !p.maybe || isKnown(p);
const literalOf = (k) => (k === 'num' ? numberLiteral(someDouble()) : k === 'str' ? stringLiteral(someString()) : ((b) => ({ t: b, j: b, p: P.prim }))(pick(['true', 'false'])));
const valueOf = (k, depth) => (k === 'num' ? num(depth) : k === 'str' ? str(depth) : bool(depth));
const helper = { num: '$n', str: '$s', bool: '$b' };

// A value of sort k out of the environment, null settled in one of the ways there are.
function fromEnv(k, depth) {
  if (chance(0.15)) {
    const p = path('json', depth);
    if (p) return chance(0.5) ? { ...binary('??', P.coalesce, wrap(`$q${k[0]}`, at(p, P.post)), at(firm(valueOf(k, depth - 1), k), P.eq)), p: P.coalesce } : wrap(helper[k], p);
  }
  const p = path(k, depth);
  if (!p) return literalOf(k);
  if (there(p)) return p;
  if (p.simple && chance(0.3)) {
    const before = known, op = pick(['!=', p.undef ? '!=' : '!==']);
    known = [...known, p.t];
    const yes = valueOf(k, depth - 1);
    known = before;
    return choice(binary(op, P.eq, p, { t: 'null', j: 'null', p: P.prim }), yes, valueOf(k, depth - 1), k);
  }
  return binary('??', P.coalesce, p, at(valueOf(k, depth - 1), P.eq));
}
const args = (list) => `(${list.map((a) => a.t).join(', ')})`;
const argsJ = (list) => `(${list.map((a) => a.j).join(', ')})`;
const call = (o, m, list) => { const r = o.dyn ? paren(o) : at(o, P.post), f = /^\d/.test(r.t) ? paren(r) : r; return { t: `${f.t}.${m}${args(list)}`, j: `${f.j}.${m}${argsJ(list)}`, p: P.post }; };
const math = (m, list) => ({ t: `Math.${m}${args(list)}`, j: `Math.${m}${argsJ(list)}`, p: P.post });
function listOf(k, depth) {
  const p = path('list', depth);
  if (p && there(p) && p.type.of.k === k) return p;
  const items = Array.from({ length: 1 + below(4) }, () => (chance(0.8) ? literalOf(k) : firm(valueOf(k, depth - 1), k)));
  return { t: `[${items.map((i) => i.t).join(', ')}]`, j: `[${items.map((i) => i.j).join(', ')}]`, p: P.prim };
}

function num(depth) {
  if (depth <= 0) return chance(0.5) ? literalOf('num') : fromEnv('num', 0);
  return weighted([
    [4, () => fromEnv('num', depth)], [2, () => literalOf('num')],
    [4, () => { const op = pick(['+', '-', '*', '/', '%']); return binary(op, '+-'.includes(op) ? P.add : P.mul, op === '+' ? firm(num(depth - 1), 'num') : num(depth - 1), num(depth - 1)); }],
    [1, () => { const e = at(num(depth - 1), P.unary), op = pick(['-', '+']); return { t: `${op} ${e.t}`, j: `${op} ${e.j}`, p: P.unary }; }],
    [1, () => math(pick(['abs', 'floor', 'ceil', 'round']), [num(depth - 1)])],
    [1, () => math(pick(['min', 'max']), Array.from({ length: 1 + below(3) }, () => num(depth - 1)))],
    [1, () => { const e = at(firm(str(depth - 1), 'str'), P.post); return { t: `${e.t}.length`, j: `${e.j}.length`, p: P.post }; }],
    [1, () => call(firm(str(depth - 1), 'str'), 'indexOf', chance(0.5) ? [str(depth - 1)] : [str(depth - 1), num(depth - 1)])],
    [1, () => { const k = pick(['num', 'str', 'bool']); return call(listOf(k, depth - 1), 'indexOf', chance(0.7) ? [valueOf(k, depth - 1)] : [valueOf(k, depth - 1), num(depth - 1)]); }],
    [1, () => { const e = at(listOf(pick(['num', 'str']), depth - 1), P.post); return { t: `${e.t}.length`, j: `${e.j}.length`, p: P.post }; }],
    [1, () => choice(bool(depth - 1), num(depth - 1), num(depth - 1), 'num')],
  ]);
}
function template(depth) {
  const out = { t: '`', j: '`', p: P.prim };
  for (let i = below(4); i >= 0; i--) {
    if (chance(0.5)) { const s = someString().replace(/[\\`$\ufeff]/g, (c) => (c === '\ufeff' ? '' : `\\${c}`)); out.t += s; out.j += s; continue; }
    const k = pick(['num', 'str', 'bool', 'json']), p = k === 'json' ? path('json', depth) : null, kind = k === 'json' ? 'num' : k, e = p ? wrap('$t', p) : firm(valueOf(kind, depth - 1), kind);
    out.t += `\${${e.t}}`;
    out.j += `\${${e.j}}`;
  }
  out.t += '`';
  out.j += '`';
  return out;
}
function str(depth) {
  if (depth <= 0) return chance(0.5) ? literalOf('str') : fromEnv('str', 0);
  return weighted([
    [4, () => fromEnv('str', depth)], [2, () => literalOf('str')], [1, () => template(depth)],
    [2, () => { const other = pick(['str', 'num', 'bool']), s = firm(str(depth - 1), 'str'), o = firm(valueOf(other, depth - 1), other); return chance(0.5) ? binary('+', P.add, s, o) : binary('+', P.add, o, s); }],
    [1, () => call(firm(str(depth - 1), 'str'), 'trim', [])],
    [0.5, () => call(str(depth - 1), pick(['toLowerCase', 'toUpperCase']), [])],
    [2, () => call(str(depth - 1), 'slice', Array.from({ length: below(3) }, () => (chance(0.7) ? numberLiteral(below(9) - 4) : num(depth - 1))))],
    [1, () => call(listOf(pick(['num', 'str', 'bool']), depth - 1), 'join', chance(0.5) ? [] : [str(depth - 1)])],
    [1, () => choice(bool(depth - 1), str(depth - 1), str(depth - 1), 'str')],
  ]);
}
const NULL = { t: 'null', j: 'null', p: P.prim };
function nullTest(depth) {
  const p = path(pick(['num', 'str', 'bool', 'list', 'rec', 'map']), depth);
  if (!p) return literalOf('bool');
  const op = p.undef || (p.cut && !isKnown(p)) ? pick(['==', '!=']) : pick(['==', '!=', '===', '!==']);
  return chance(0.8) ? binary(op, P.eq, p, NULL) : binary(op, P.eq, NULL, p);
}
// `p != null && …` and its kin
function guarded(depth) {
  const p = path(pick(['num', 'str', 'bool', 'rec', 'list']), depth);
  if (!p || !p.simple || there(p)) return nullTest(depth);
  const object = ['rec', 'list', 'map'].includes(p.type.k), before = known, form = below(object ? 4 : 3);
  const test = form === 3 ? (depth === DEPTH ? p : { t: `!!${p.t}`, j: `!!${p.j}`, p: P.unary }) : binary(form === 1 ? '==' : '!=', P.eq, p, NULL);
  known = [...known, p.t];
  const rest = bool(depth - 1);
  known = before;
  if (form === 1) return binary('||', P.or, at(test, P.eq), at(rest, P.and));
  if (form === 2) return choice(test, rest, bool(depth - 1), 'bool');
  return binary('&&', P.and, at(test, P.eq), at(rest, P.eq));
}
function equality(depth) {
  const k = pick(['num', 'str', 'bool']), op = pick(['===', '!==', '==', '!=']);
  if (chance(0.25)) {                                        // with what may be null
    const p = path(k, depth);
    if (p) return binary(op, P.eq, p, firm(valueOf(k, depth - 1), k));
  }
  return binary(op, P.eq, firm(valueOf(k, depth - 1), k), firm(valueOf(k, depth - 1), k));
}
function jsonTest(depth) {
  const p = path('json', depth);
  if (!p) return literalOf('bool');
  const k = pick(['num', 'str', 'bool']), q = path('json', depth) ?? p;
  return weighted([
    [2, () => { return null; }],
    [2, () => binary(pick(['<', '<=', '>', '>=']), P.rel, wrap('$n', p), firm(num(depth - 1), 'num'))],
    [1, () => binary(pick(['<', '<=', '>', '>=']), P.rel, firm(str(depth - 1), 'str'), wrap('$s', p))],
    [1, () => binary('==', P.eq, p, NULL)],
    [1, () => { const e = binary('==', P.eq, p, q); return replaced(e, `$same(${p.j}, ${q.j})`); }],
    [1, () => { const e = binary('<', P.rel, p, q); return replaced(e, `$less(${p.j}, ${q.j})`); }],
    [1, () => { const key = stringLiteral(pick(fieldNames)), e = binary('in', P.rel, key, p); return replaced(e, `$has(${key.j}, ${p.j})`); }],
  ]) ?? sameAs(p, k, depth);
}
function sameAs(p, k, depth) {
  const v = firm(valueOf(k, depth - 1), k), r = at(v, P.rel), t = `${p.t} === ${r.t}`;
  return { t: `(${t})`, j: `$is${k[0]}(${p.j}, ${r.j})`, p: P.prim };
}
function bool(depth) {
  if (depth <= 0) return chance(0.5) ? literalOf('bool') : fromEnv('bool', 0);
  return weighted([
    [2, () => fromEnv('bool', depth)],
    [4, () => { const k = pick(['num', 'num', 'str']); return binary(pick(['<', '<=', '>', '>=']), P.rel, firm(valueOf(k, depth - 1), k), valueOf(k, depth - 1)); }],
    [4, () => equality(depth)], [3, () => nullTest(depth)], [4, () => guarded(depth)],
    [3, () => { const and = chance(0.5); return and ? binary('&&', P.and, at(bool(depth - 1), P.and), at(bool(depth - 1), P.eq)) : binary('||', P.or, mixed(bool(depth - 1)), at(bool(depth - 1), P.and)); }],
    [1, () => { const e = at(bool(depth - 1), P.unary); return { t: `!${e.t}`, j: `!${e.j}`, p: P.unary }; }],
    [2, () => call(firm(str(depth - 1), 'str'), pick(['includes', 'startsWith', 'endsWith']), chance(0.7) ? [str(depth - 1)] : [str(depth - 1), num(depth - 1)])],
    [2, () => { const k = pick(['num', 'str', 'bool']); return call(listOf(k, depth - 1), 'includes', chance(0.8) ? [valueOf(k, depth - 1)] : [valueOf(k, depth - 1), num(depth - 1)]); }],
    [1, () => choice(bool(depth - 1), bool(depth - 1), bool(depth - 1), 'bool')],
    [2, () => jsonTest(depth)],
    [0.5, () => { const p = path('map', depth); return p && there(p) ? binary('in', P.rel, str(depth - 1), p) : literalOf('bool'); }],
  ]);
}
const mixed = (e) => (e.p === P.coalesce ? paren(e) : e);     // `a ?? b || c` is no JavaScript

// ---- Node's side ----
const context = vm.createContext({});
vm.runInContext(`
  const fail = (m) => { throw new TypeError(m); };
  const sort = (v) => v === null || v === undefined ? 'null' : Array.isArray(v) ? 'object' : typeof v;
  const need = (k) => (v) => sort(v) === k ? v : fail('expects ' + k);
  globalThis.$n = need('number'); globalThis.$s = need('string'); globalThis.$b = need('boolean');
  const maybe = (f) => (v) => v === null || v === undefined ? v : f(v);
  globalThis.$qn = maybe($n); globalThis.$qs = maybe($s); globalThis.$qb = maybe($b);
  globalThis.$t = (v) => ['number', 'string', 'boolean'].includes(sort(v)) ? v : fail('text');
  globalThis.$m = (o, k) => { if (sort(o) === 'object' && !Array.isArray(o)) return o[k]; if (k === 'length' && (typeof o === 'string' || Array.isArray(o))) return o.length; fail('member'); };
  globalThis.$i = (o, i) => Array.isArray(o) ? o[i] : fail('place');
  globalThis.$mo = (o, k) => o === null || o === undefined ? undefined : $m(o, k);
  globalThis.$io = (o, i) => o === null || o === undefined ? undefined : $i(o, i);
  globalThis.$has = (k, o) => sort(o) === 'object' && !Array.isArray(o) ? k in o : fail('in');
  globalThis.$same = (a, b) => { const x = sort(a), y = sort(b); if (x === 'object' || y === 'object') fail('objects'); return x === 'null' || y === 'null' ? x === y : x === y ? a === b : fail('sorts'); };
  globalThis.$less = (a, b) => sort(a) === sort(b) && ['number', 'string'].includes(sort(a)) ? a < b : fail('order');
  const is = (f) => (a, b) => a === null || a === undefined ? false : f(a) === b;
  globalThis.$isn = is($n); globalThis.$iss = is($s); globalThis.$isb = is($b);
  const slice = String.prototype.slice, whole = /^(?:[^\\ud800-\\udfff]|[\\ud800-\\udbff][\\udc00-\\udfff])*$/;
  String.prototype.slice = function (...a) { const r = slice.apply(this, a); return whole.test(r) ? r : fail('slice'); };
`, context);
const NodeFunction = vm.runInContext('Function', context);
const bareObjects = (k, v) => (v !== null && typeof v === 'object' && !Array.isArray(v) ? Object.assign(Object.create(null), v) : v);
function compiled(j) {
  const names = Object.keys(env);
  const steps = names.filter((n) => /^s\d$/.test(n)), rest = names.filter((n) => !/^s\d$/.test(n));
  return NodeFunction('$env', `"use strict"; const {${rest.join(', ')}} = $env; const steps = []; ${steps.map((s) => `steps[${s.slice(1)}] = $env.${s};`).join(' ')} return (${j});`);
}
function evaluated(f, e) {
  try { return f(e); } catch (error) { return error; }
}
const threw = (v) => v instanceof Error || (v !== null && typeof v === 'object' && 'stack' in v && 'message' in v);

// ---- cases ----
const literalFor = (v) => (typeof v === 'number' ? (Number.isFinite(v) ? numberLiteral(v) : null) : typeof v === 'string' && !/[\ud800-\udfff]/.test(v.replace(/[\ud800-\udbff][\udc00-\udfff]/g, '')) && !v.includes('\0') ? stringLiteral(v) : null);
// An expression of any sort compared with what Node makes of it in the first environment: the value is compared, not only its truth.
function pinned(values) {
  const k = pick(['num', 'str']), e = firm(valueOf(k, DEPTH), k);
  let v;
  try { v = evaluated(compiled(e.j), values[0]); } catch { return null; }
  if (threw(v)) return binary('===', P.eq, e, k === 'num' ? numberLiteral(1) : stringLiteral('a'));
  if (Number.isNaN(v)) { const n = at(e, P.rel); return { t: `${n.t} !== ${n.t}`, j: `${n.j} !== ${n.j}`, p: P.eq }; }
  if (v === Infinity || v === -Infinity || Object.is(v, -0)) return binary('===', P.eq, { ...binary('/', P.mul, numberLiteral(1), e) }, v === Infinity ? numberLiteral(0) : v === 0 ? binary('/', P.mul, numberLiteral(-1), numberLiteral(0)) : numberLiteral(-0));
  const literal = literalFor(v);
  return literal ? binary('===', P.eq, e, literal) : null;
}
function printedCase() {
  const out = { t: '', j: '`', p: P.prim };
  for (let i = below(4); i >= 0; i--) {
    if (chance(0.4)) { const s = pick(['Booked ', ' — ', '$', '}', '\\ ', 'ok', '`', '\n']); out.t += s; out.j += s.replace(/[\\`$]/g, '\\$&'); continue; }
    let p = path(pick(['num', 'num', 'str', 'bool', 'json']), 0);
    if (!p || !there(p) || !/^[\w.?[\]"]+$/.test(p.t)) continue;
    out.t += `\${${p.t}}`;
    out.j += `\${${p.type.k === 'json' ? `$t(${p.j})` : p.j}}`;
  }
  out.j += '`';
  return out;
}
function batch() {
  records = [];
  env = {};
  known = [];
  for (const name of ['budget_available', 'city', 'check_budget', 'finance', 'a', 'count', 's0', 's1']) if (chance(0.8) || name === 'a') env[name] = someType(3);
  const declarations = `enum Color { RED, GREEN, BLUE }\n${records.map((f, i) => declared(`R${i + 1}`, f)).join('')}${declared('Env', env)}`;
  const texts = Array.from({ length: ENVS }, () => recordText(env)), values = texts.map((t) => JSON.parse(t, bareObjects));
  const conditions = [];
  for (let tries = 0; conditions.length < CONDITIONS && tries < 4 * CONDITIONS; tries++) {
    const print = chance(0.12), e = print ? printedCase() : chance(0.4) ? pinned(values) : bool(DEPTH);
    if (!e || Buffer.byteLength(e.t) > 3000) continue;
    let f;
    try { f = compiled(e.j); } catch (error) { throw new Error(`${error.message}: ${e.t}\n${e.j}`); }
    conditions.push({ text: e.t, j: e.j, print, f });
  }
  return { declarations, texts, values, conditions, names: env };
}
const lineOf = (b) => `{"declarations":${quoted(b.declarations)},"conditions":[${b.conditions.map((c) => `{"text":${quoted(c.text)},"print":${c.print}}`).join(',')}],"envs":[${b.texts.join(',')}]}\n`;

// Every character: what the two say of its cases.
function* caseBatches() {
  const all = [];
  for (let c = 1; c < 0x20000; c++) if (c < 0xd800 || c > 0xdfff) all.push(String.fromCodePoint(c));
  for (let i = 0; i < all.length; i += 8192) {
    const some = all.slice(i, i + 8192);
    const texts = some.map((s) => `{"a":${quoted(s)},"u":${quoted(s.toUpperCase())},"l":${quoted(s.toLowerCase())},"t":${quoted(s.trim())}}`);
    const texts2 = ['a.toUpperCase() === u', 'a.toLowerCase() === l', 'a.trim() === t'];
    yield { declarations: 'type Env {\n    a: string\n    u: string\n    l: string\n    t: string\n}\n', texts, values: texts, conditions: texts2.map((text) => ({ text, j: text, print: false, f: () => true })), letters: some };
  }
}

// ---- both ----
const child = spawn(evalPath, [], { stdio: ['pipe', 'pipe', 'inherit'] });
let buffered = '', failures = 0, cases = 0, raised = 0, unsure = 0, trues = 0, unsureLetters = 0, plainUnsure = 0;
const pending = [];
function differs(b, c, k, found, expected) {
  failures++;
  if (failures <= 10) console.log(`DIFFERENCE, seed ${seed}\n  condition    ${quoted(c.text)}\n  environment  ${b.texts[k]}\n  machine      ${quoted(found)}\n  node         ${threw(expected) ? `throws ${expected.message}` : quoted(expected)}\n  as asked     ${c.j}\n${b.letters ? '' : b.declarations}`);
}
const isCommon = (c) => c < '\u0530' && !/[\u0130\u0149\u019b\u01f0\u0264\u0390\u03b0\u03a3]/.test(c) && /\p{Assigned}/u.test(c) && (c.toUpperCase() !== c || c.toLowerCase() !== c);
function compare(b, answers) {
  b.conditions.forEach((c, i) => {
    for (let k = 0; k < b.texts.length; k++) {
      const found = typeof answers[i] === 'string' ? answers[i] : answers[i][k];
      cases++;
      const isUnsure = found !== null && typeof found === 'object' && /has no sure answer/.test(found.raise);
      if (isUnsure && b.letters) { unsureLetters++; if (isCommon(b.letters[k])) { plainUnsure++; console.log(`no sure case: U+${b.letters[k].codePointAt(0).toString(16)}`); } continue; }
      if (isUnsure) { unsure++; continue; }
      const expected = evaluated(c.f, b.values[k]);
      const raises = found !== null && typeof found === 'object';
      if (raises) raised++;
      if (found === true && !b.letters) trues++;
      if (typeof answers[i] === 'string' ? !(c.print && found === expected) && true : threw(expected) ? !(raises && found.kind === 'invalid') : c.print ? found !== expected : found !== Boolean(expected)) differs(b, c, k, found, expected);
    }
  });
}
const produced = (function* () { yield* caseBatches(); while (sent < wanted) { const b = batch(); sent += b.conditions.length * b.texts.length; yield b; } })();
let sent = 0, ended = false;
function feed() {
  while (pending.length < 4 && !ended) {
    const next = produced.next();
    if (next.done) { ended = true; child.stdin.end(); return; }
    pending.push(next.value);
    child.stdin.write(lineOf(next.value));
  }
}
child.stdin.on('error', () => {});                       // it has ended: said below
child.stdout.setEncoding('utf8');
child.stdout.on('data', (chunk) => {
  buffered += chunk;
  for (let end; (end = buffered.indexOf('\n')) >= 0; buffered = buffered.slice(end + 1)) {
    compare(pending.shift(), JSON.parse(buffered.slice(0, end)));
    feed();
  }
});
child.on('close', (code) => {
  const random = cases - 3 * (0x1ffff - 2048);
  if (code !== 0 || pending.length) { console.log(`condition_eval ended with ${code}, ${pending.length} batches unanswered`); failures++; }
  console.log(`seed ${seed}: ${random} conditions (${raised} raised, ${unsure} without a sure case, ${trues} true), ${unsureLetters} answers of ${3 * (0x1ffff - 2048)} characters not for sure`);
  if (plainUnsure) { console.log(`${plainUnsure} of the common letters have no sure case`); failures++; }
  if (random < wanted || raised * 2 > random || unsure * 20 > random) { console.log('too few of them say anything'); failures++; }
  console.log(`${failures ? 0 : 1} passed, ${failures ? 1 : 0} failed`);
  process.exit(failures ? 1 : 0);
});
feed();
