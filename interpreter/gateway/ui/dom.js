// dom.js - elements from names, attributes and children. Texts become text nodes: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        if (value === null || value === undefined || value === false) continue;
        if (typeof value === "function") node.addEventListener(name, value);
        else if (value === true) node.setAttribute(name, "");
        else node.setAttribute(name, String(value));
    }
    node.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
    return node;
}

export function element(tag, attributes = {}, ...children) { return fill(document.createElement(tag), attributes, children); }
export function drawing(tag, attributes = {}, ...children) { return fill(document.createElementNS(SVG, tag), attributes, children); }

let serial = 0;
export function freshId(prefix) { return `${prefix}-${++serial}`; }

/** A label and its control, tied together. */
export function field(label, control, hint) {
    if (!control.id) control.id = freshId("field");
    const note = hint && element("small", { id: `${control.id}-hint` }, hint);
    if (note) control.setAttribute("aria-describedby", note.id);
    return element("div", { class: "field" }, element("label", { for: control.id }, label), control, note);
}

export function option(value, text, selected) { return element("option", { value, selected }, text); }

/** Says something to whoever looks, and to whoever listens. */
export function announce(text) { document.getElementById("status").textContent = text; }

const SHORT = 60;

function isRecord(value) { return value !== null && typeof value === "object" && !Array.isArray(value); }

function showTable(rows) {
    const columns = [...new Set(rows.flatMap(row => Object.keys(row)))];
    return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" },
        element("table", {},
            element("thead", {}, element("tr", {}, columns.map(name => element("th", { scope: "col" }, name)))),
            element("tbody", {}, rows.map(row => element("tr", {}, columns.map(name => element("td", {}, name in row ? showValue(row[name]) : "")))))));
}

/** Any JSON value, as people read it. */
export function showValue(value) {
    if (value === null || value === undefined) return element("span", { class: "quiet" }, "none");
    if (typeof value === "boolean") return element("span", {}, value ? "yes" : "no");
    if (typeof value === "string" && value.length > SHORT) return element("p", { class: "text" }, value);
    if (typeof value !== "object") return element("span", {}, String(value));
    if (Array.isArray(value)) {
        if (!value.length) return element("span", { class: "quiet" }, "empty");
        if (value.every(isRecord)) return showTable(value);
        return element("ul", {}, value.map(item => element("li", {}, showValue(item))));
    }
    return element("dl", {}, Object.entries(value).map(([name, item]) => [element("dt", {}, name), element("dd", {}, showValue(item))]));
}

export function showJson(value) { return element("pre", {}, JSON.stringify(value, null, 2)); }

const DECEIVERS = /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\udb40[\udc00-\udc7f]/g;

/** Any JSON value to be judged: letters that hide, or turn others around, stand as \uXXXX. */
export function showPlain(value) {
    const escaped = text => [...Array(text.length).keys()].map(i => `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`).join("");
    return element("code", { dir: "ltr" }, (typeof value === "string" ? value : JSON.stringify(value, null, 1)).replace(DECEIVERS, escaped));
}

export function showTime(text) {
    const time = new Date(text);
    if (!text || Number.isNaN(time.getTime())) return element("span", { class: "quiet" }, "–");
    return element("time", { datetime: text, title: text }, time.toLocaleString());
}

export function durationText(ms) {
    if (ms < 1) return "<1 ms";
    if (ms < 1000) return `${Math.round(ms)} ms`;
    if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
    if (ms < 3600000) return `${Math.floor(ms / 60000)} min ${Math.round(ms / 1000) % 60} s`;
    return `${Math.floor(ms / 3600000)} h ${Math.round(ms / 60000) % 60} min`;
}

export function statusBadge(status) { return element("span", { class: `badge ${status}` }, status); }

/** A problem (RFC 9457) as a message. */
export function showProblem(problem) {
    const errors = Array.isArray(problem.errors) ? problem.errors : [];
    return element("div", { class: "problem", role: "alert" },
        element("strong", {}, problem.title || "That did not work"),
        problem.detail ? element("p", {}, problem.detail) : null,
        errors.length ? element("ul", {}, errors.map(error => element("li", {}, `${error.pointer || "/"}: ${error.detail}`))) : null,
        problem.instance ? element("small", {}, `Request ${problem.instance}`) : null);
}
