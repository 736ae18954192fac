// runs.js - the list of runs: filters, search, pages.
import { announce, element, field, option, showProblem, showTime, statusBadge } from "./dom.js";
import { get, problemOf } from "./api.js";

const STATUSES = ["ready", "running", "parked", "completed", "failed", "cancelled"];

function queryOf(filter) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(filter)) if (value) query.set(name, value);
    const text = query.toString();
    return text ? `?${text}` : "";
}

function rowOf(run) {
    const asks = run.questions?.length;
    return element("tr", {},
        element("td", {}, element("a", { href: `#/runs/${encodeURIComponent(run.run)}` }, run.flow || run.run), element("div", { class: "quiet small" }, run.run)),
        element("td", {}, statusBadge(run.status), asks ? element("div", { class: "small" }, "asks you") : null),
        element("td", {}, showTime(run.created)),
        element("td", { class: "input" }, run.input === undefined ? "" : JSON.stringify(run.input)));
}

function tableOf(body) {
    const head = ["Flow", "Status", "Began", "Input"];
    return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "List of runs" },
        element("table", { class: "runs" }, element("thead", {}, element("tr", {}, head.map(name => element("th", { scope: "col" }, name)))), body));
}

/** query: the part of the address behind `#/runs?`; filters live there, so that a list can be kept and sent on. */
export async function showRuns(view, signal, query) {
    const filter = Object.fromEntries(["status", "flow", "q"].map(name => [name, query.get(name) || ""]));
    const status = element("select", { name: "status" }, option("", "any", !filter.status), STATUSES.map(name => option(name, name, filter.status === name)));
    const flow = element("input", { name: "flow", type: "text", value: filter.flow, autocomplete: "off", spellcheck: "false" });
    const search = element("input", { name: "q", type: "search", value: filter.q, autocomplete: "off" });
    const apply = event => {
        event.preventDefault();
        const to = `#/runs${queryOf({ status: status.value, flow: flow.value.trim(), q: search.value.trim() })}`;
        if (location.hash === to) window.dispatchEvent(new HashChangeEvent("hashchange"));
        else location.hash = to;
    };
    const form = element("form", { class: "filter", role: "search", submit: apply },
        field("Status", status), field("Flow", flow), field("Search in id, flow, input", search), element("button", { type: "submit", class: "main" }, "Show"));
    const body = element("tbody"), below = element("div", { class: "below" });
    status.addEventListener("change", apply);
    view.append(element("h1", { tabindex: -1 }, "Runs"), form, tableOf(body), below);
    await addPage(`/runs${queryOf(filter)}`, body, below, signal);
}

async function addPage(path, body, below, signal) {
    try {
        const page = await get(path, { signal });
        const first = body.children.length;
        body.append(...page.runs.map(rowOf));
        announce(`${body.children.length} runs`);
        if (page.next) {
            below.replaceChildren(element("button", { type: "button", click: event => { event.target.disabled = true; addPage(page.next, body, below, signal); } }, "Show more"));
        } else below.replaceChildren(element("p", { class: "quiet" }, body.children.length ? "That is all." : "No run is like that."));
        if (first) body.children[first]?.querySelector("a")?.focus();
    } catch (error) {
        if (!signal.aborted) below.replaceChildren(showProblem(problemOf(error)));
    }
}
