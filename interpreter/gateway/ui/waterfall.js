// waterfall.js - the journal of a run: what it did when, how long, with what; each entry is a checkpoint to fork from.
import { durationText, element, showJson } from "./dom.js";

const NARROWEST = 0.4;                       // per cent of the width
const LONGEST = 12;                          // times the middle pause: longer ones are drawn shorter, else a wait of a day hides everything else

/** Milliseconds with their fraction, which Date drops: steps take less than one. */
function time(text) {
    const [, seconds, fraction] = /^([^.Z]*)(\.\d+)?/.exec(text);
    return Date.parse(`${seconds}Z`) + Number(`0${fraction || ""}`) * 1000;
}

/** Moments to places from 0 to 100. `even` is false when long pauses were shortened. */
export function scaleOf(entries) {
    const moments = [...new Set(entries.flatMap(entry => [time(entry.started), time(entry.ended)]))].sort((a, b) => a - b);
    const gaps = moments.slice(1).map((moment, i) => moment - moments[i]);
    const middle = [...gaps].sort((a, b) => a - b)[Math.floor(gaps.length / 2)] || 1;
    const most = middle * LONGEST;
    const shown = gaps.map(gap => Math.min(gap, most));
    const whole = shown.reduce((sum, gap) => sum + gap, 0) || 1;
    const places = new Map([[moments[0], 0]]);
    let at = 0;
    shown.forEach((gap, i) => places.set(moments[i + 1], (at += gap) / whole * 100));
    return { place: text => places.get(time(text)) ?? 0, even: shown.every((gap, i) => gap === gaps[i]) };
}

function titleOf(entry) {
    const name = [entry.agent, entry.name].filter(Boolean).join(".");
    return name || entry.effect || entry.entry;
}

function barOf(entry, scale) {
    const bar = element("div", { class: `bar ${entry.entry}`, "aria-hidden": "true" });
    const from = Math.min(scale.place(entry.started), 100 - NARROWEST), to = scale.place(entry.ended);
    bar.style.insetInlineStart = `${from}%`;             // by the object model: the page's policy allows no style in markup
    bar.style.width = `${Math.max(to - from, NARROWEST)}%`;
    return element("div", { class: "track" }, bar);
}

function detailsOf(entry) {
    const has = name => entry[name] !== undefined && !(Array.isArray(entry[name]) && !entry[name].length);
    if (!has("args") && !has("result")) return null;
    return element("details", {}, element("summary", {}, "Details"),
        has("args") ? [element("h4", {}, "Arguments"), showJson(entry.args)] : null, has("result") ? [element("h4", {}, "Result"), showJson(entry.result)] : null);
}

function rowOf(entry, scale, fork) {
    const took = time(entry.ended) - time(entry.started);
    return element("tr", { class: `entry ${entry.entry}` },
        element("th", { scope: "row" }, String(entry.seq)),
        element("td", {}, element("div", {}, titleOf(entry), " ", titleOf(entry) === entry.entry ? null : element("span", { class: `badge ${entry.entry}` }, entry.entry)), entry.effect && titleOf(entry) !== entry.effect ? element("div", { class: "quiet small" }, entry.effect) : null, detailsOf(entry)),
        element("td", { class: "time" }, barOf(entry, scale)),
        element("td", { class: "number" }, took >= 0.001 ? durationText(took) : ""),
        element("td", {}, element("button", { type: "button", class: "small", "aria-label": `Fork after entry ${entry.seq}`, click: event => fork(entry.seq, event.target) }, "Fork here")));
}

export function drawJournal(entries, fork) {
    if (!entries.length) return element("p", { class: "quiet" }, "Nothing was written yet.");
    const scale = scaleOf(entries);
    const head = ["No.", "Step", "When", "Took", "Checkpoint"];
    return element("div", {},
        element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Journal" },
            element("table", { class: "waterfall" }, element("thead", {}, element("tr", {}, head.map(name => element("th", { scope: "col" }, name)))), element("tbody", {}, entries.map(entry => rowOf(entry, scale, fork))))),
        scale.even ? null : element("p", { class: "quiet small" }, "Long pauses are drawn shorter than they were."));
}
