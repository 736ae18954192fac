// diagram.js - a run's trace (Mermaid's sequenceDiagram, in the few kinds of lines that the server writes) as a drawing and as a list.
import { drawing, element } from "./dom.js";

const WIDE = 1080, COLUMN_MIN = 160, COLUMN_MAX = 320, ROW = 42, TOP = 56, MARGIN = 20, LOOP_ROOM = 90, LINE = 15, CHAR = 6.9;
const ENTITIES = { "#59;": ";", "#35;": "#", "#lt;": "<", "#gt;": ">", "<br/>": "\n" };

function plain(text) { return text.replace(/#59;|#35;|#lt;|#gt;|<br\/>/g, entity => ENTITIES[entity]); }

const LINES = [
    [/^participant (\S+) as (.*)$/, (found, out) => { out.participants.push({ alias: found[1], title: plain(found[2]) }); }],
    [/^par ?(.*)$/, (found, out) => { out.steps.push({ kind: "par", text: plain(found[1]) }); }],
    [/^end$/, (found, out) => { out.steps.push({ kind: "end" }); }],
    [/^Note over (\w+): (.*)$/, (found, out) => { out.steps.push({ kind: "note", from: found[1], to: found[1], text: plain(found[2]) }); }],
    [/^(\w+?)(-->>|->>)(\w+): ?(.*)$/, (found, out) => { out.steps.push({ kind: found[2] === "-->>" ? "reply" : "call", from: found[1], to: found[3], text: plain(found[4]) }); }],
];

export function parseTrace(text) {
    const out = { participants: [], steps: [] };
    for (const line of text.split("\n")) {
        for (const [pattern, take] of LINES) {
            const found = pattern.exec(line.trim());
            if (!found) continue;
            take(found, out);
            break;
        }
    }
    for (const { from, to } of out.steps)
        for (const alias of [from, to])
            if (alias && !out.participants.some(one => one.alias === alias)) out.participants.push({ alias, title: alias });
    return out;
}

// ---- the drawing ---------------------------------------------------------------------------------------------------------------

function cut(text, chars) {
    const line = text.replaceAll("\n", " ");
    return line.length > chars ? `${line.slice(0, chars - 1)}…` : line;
}

function label(x, y, text, chars, more = {}) { return drawing("text", { x, y, "text-anchor": "middle", ...more }, drawing("title", {}, text), cut(text, chars)); }

function arrow(step, x1, x2, y, column) {
    const dashed = step.kind === "reply" ? "dashed" : "";
    const group = drawing("g", { class: `arrow ${dashed}` });
    if (x1 === x2) {
        group.append(drawing("path", { d: `M${x1} ${y - 8} h34 v16 h-28`, "marker-end": "url(#tip)" }), drawing("text", { x: x1 + 42, y: y + 4 }, drawing("title", {}, step.text), cut(step.text, Math.floor((column - 50) / CHAR))));
        return group;
    }
    const tip = x2 > x1 ? -2 : 2;
    group.append(drawing("line", { x1, y1: y, x2: x2 + tip, y2: y, "marker-end": "url(#tip)" }), label((x1 + x2) / 2, y - 6, step.text, Math.floor((Math.abs(x2 - x1) - 16) / CHAR)));
    return group;
}

function note(step, x, y, column) {
    const width = column - 20;
    return drawing("g", { class: "note" }, drawing("rect", { x: x - width / 2, y: y - 13, width, height: 24, rx: 4 }), label(x, y + 4, step.text, Math.floor((width - 12) / CHAR)));
}

function frame(from, to, y1, y2, text) {
    return drawing("g", { class: "frame" }, drawing("rect", { x: from, y: y1, width: to - from, height: y2 - y1, rx: 4 }), drawing("text", { x: from + 8, y: y1 + LINE }, cut(text || "in parallel", 60)));
}

function head(participant, x, height, column) {
    const width = column - 24;
    return drawing("g", { class: "participant" }, drawing("line", { x1: x, y1: TOP - 12, x2: x, y2: height - 8, class: "life" }),
        drawing("rect", { x: x - width / 2, y: 8, width, height: 34, rx: 6 }), label(x, 30, participant.title, Math.floor((width - 12) / CHAR)));
}

export function drawTrace(trace) {
    const count = Math.max(trace.participants.length, 1), column = Math.max(COLUMN_MIN, Math.min(COLUMN_MAX, (WIDE - LOOP_ROOM) / count));
    const columns = new Map(trace.participants.map((one, i) => [one.alias, MARGIN + column * (i + 0.5)]));
    const width = MARGIN * 2 + column * count + LOOP_ROOM, height = TOP + ROW * (trace.steps.length + 0.5);
    const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "sequence", role: "img", "aria-label": `Sequence of ${trace.steps.length} steps between ${trace.participants.length} participants` },
        drawing("defs", {}, drawing("marker", { id: "tip", viewBox: "0 0 10 10", refX: 9, refY: 5, markerWidth: 8, markerHeight: 8, orient: "auto-start-reverse" }, drawing("path", { d: "M0 0 L10 5 L0 10 z", class: "tip" }))));
    const frames = [], open = [], steps = [];
    trace.steps.forEach((step, i) => {
        const y = TOP + ROW * (i + 0.5);
        if (step.kind === "par") open.push({ y, text: step.text });
        else if (step.kind === "end") {
            const begun = open.pop();
            if (begun) frames.push(frame(MARGIN / 2 + open.length * 6, width - MARGIN / 2 - open.length * 6, begun.y - 14, y + 10, begun.text));
        } else if (step.kind === "note") steps.push(note(step, columns.get(step.from), y, column));
        else steps.push(arrow(step, columns.get(step.from), columns.get(step.to), y, column));
    });
    svg.append(...frames, ...trace.participants.map(one => head(one, columns.get(one.alias), height, column)), ...steps);
    return svg;
}

/** The same to be read, or heard. */
export function listTrace(trace) {
    const titles = new Map(trace.participants.map(one => [one.alias, one.title]));
    const words = { call: "to", reply: "answers" };
    return element("ol", {}, trace.steps.filter(step => step.kind !== "end").map(step => {
        if (step.kind === "par") return element("li", {}, `In parallel: ${step.text}`);
        if (step.kind === "note") return element("li", {}, `${titles.get(step.from)}: ${step.text}`);
        if (step.from === step.to) return element("li", {}, `${titles.get(step.from)} itself: ${step.text}`);
        return element("li", {}, `${titles.get(step.from)} ${words[step.kind]} ${titles.get(step.to)}: ${step.text}`);
    }));
}
