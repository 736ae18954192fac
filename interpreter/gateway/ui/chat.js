// chat.js - talk to a route of the served programs: progress and text as they come, questions as buttons, results as they end.
import { announce, element, field, freshId, option, showProblem, showValue } from "./dom.js";
import { follow, freshKey, openapi, post, problemOf, resolve, token } from "./api.js";
import { showQuestion } from "./question.js";

const FAVOURITES = ["/api/v1/chat/stream", "/api/v1/chat"];
const MESSAGE_NAMES = ["message", "text", "question", "request", "query", "prompt"];
const PLAIN = new Set(["string", "integer", "number", "boolean"]);

// ---- routes to talk to -------------------------------------------------------------------------------------------------------

function kindOf(schema) { return (Array.isArray(schema?.type) ? schema.type : [schema?.type]).find(type => type !== "null"); }

/** A POST of which all that must be given can be typed in, with a text for the message; else null. */
function routeOf(api, path, operation) {
    const body = resolve(api, resolve(api, operation.requestBody)?.content?.["application/json"]?.schema);
    if (path.includes("{") || !body?.properties) return null;
    const must = body.required || [];
    const kinds = Object.fromEntries(Object.entries(body.properties).map(([name, schema]) => [name, kindOf(resolve(api, schema))]));
    const message = MESSAGE_NAMES.find(name => kinds[name] === "string") || must.find(name => kinds[name] === "string");
    if (!message || !must.every(name => PLAIN.has(kinds[name]))) return null;
    const security = operation.security || [];
    const stream = Object.keys(operation.responses?.["200"]?.content || {}).includes("text/event-stream");
    return { path, message, stream, others: must.filter(name => name !== message), kinds, session: kinds.session_id === "string", open: !security.length, name: operation.operationId || path };
}

function routesOf(api) {
    const routes = Object.entries(api.paths || {}).filter(([path, item]) => item.post && !path.startsWith("/auth/"))
        .map(([path, item]) => routeOf(api, path, item.post)).filter(Boolean);
    const rank = route => FAVOURITES.includes(route.path) ? FAVOURITES.indexOf(route.path) : FAVOURITES.length;
    return routes.sort((a, b) => rank(a) - rank(b) || a.path.localeCompare(b.path));
}

// ---- one answer, as it grows ---------------------------------------------------------------------------------------------------

function showResult(value) {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return [showValue(value)];
    const { text, ...rest } = value;
    if (typeof text !== "string") return [showValue(value)];
    const more = Object.fromEntries(Object.entries(rest).filter(([name, item]) => name !== "session_id" && item !== null && !(Array.isArray(item) && !item.length)));
    return [element("p", { class: "text" }, text), Object.keys(more).length ? element("details", {}, element("summary", {}, "More"), showValue(more)) : null];
}

function messageField() { return document.querySelector(".composer textarea"); }
/** Somebody writes: the focus is not taken away. */
function isBusy() { return document.activeElement !== document.body && (document.activeElement !== messageField() || messageField().value !== ""); }

class Answer {
    constructor() {
        this.parts = new Map();
        this.requests = new Set();                       // questions that stand here
        this.bar = element("progress", { max: 100, "aria-label": "Progress" });
        this.step = element("p", { class: "quiet" }, "Working …");
        this.working = element("div", { class: "working" }, this.bar, this.step);
        this.texts = element("div", { "aria-busy": "true" });
        this.asked = element("div");
        this.result = element("div");
        this.foot = element("footer");
        this.node = element("article", { class: "message theirs", "aria-label": "Answer" }, this.texts, this.asked, this.working, this.result, this.foot);
    }

    link(run) {
        this.run = run;
        this.foot.replaceChildren(element("a", { href: `#/runs/${encodeURIComponent(run)}` }, "How this came about"));
    }

    progress({ text, percent }) {
        if (percent !== undefined) this.bar.value = percent;
        if (text) this.step.textContent = text;
        else if (percent !== undefined) this.step.textContent = `${percent} %`;
    }

    piece({ part, text, replace }) {
        if (!this.parts.has(part)) {
            this.parts.set(part, element("p", { class: "text" }));
            this.texts.append(this.parts.get(part));
        }
        const paragraph = this.parts.get(part);
        paragraph.textContent = replace ? text : paragraph.textContent + text;
    }

    async question({ questions }) {
        const fresh = (questions ?? []).filter(question => !this.requests.has(question.request));
        for (const question of fresh) this.requests.add(question.request);
        if (!fresh.length) return;
        this.working.hidden = true;
        const boxes = await Promise.all(fresh.map(question => showQuestion(this.run, question, () => this.goOn())));
        this.asked.append(...boxes);
        announce(fresh[0].text);
        if (!isBusy() && fresh[0].kind !== "approve") boxes[0].querySelector("button, input, select")?.focus({ preventScroll: true });
        boxes[0].scrollIntoView({ block: "nearest" });
    }

    goOn() {
        this.working.hidden = false;
        this.step.textContent = "Going on …";
        messageField()?.focus({ preventScroll: true });  // the control that had the focus is gone
    }

    end(...nodes) {
        this.working.remove();
        this.texts.setAttribute("aria-busy", "false");
        this.texts.replaceChildren();                    // the result says it again, and is what counts
        this.result.replaceChildren(...nodes.filter(Boolean));
        for (const control of this.asked.querySelectorAll("button, input, select")) control.disabled = true;
    }

    take(event) {
        if (event.name === "progress" || event.name === "notice") this.progress(event.data);
        else if (event.name === "text") this.piece(event.data);
        else if (event.name === "question") this.question(event.data);
        else if (event.name === "complete") this.end(...showResult(event.data.data));
        else if (event.name === "failed") this.end(showProblem(event.data.error));
    }
}

async function ask(route, body, answer, signal) {
    const headers = { "Idempotency-Key": freshKey() };
    if (!route.stream && !route.open) headers.Prefer = "respond-async";
    const response = await post(route.path, body, { headers, signal });
    const run = response.headers.get("Flow-Run");
    if (run && !route.open) answer.link(run);
    if (response.headers.get("Content-Type")?.startsWith("text/event-stream")) return follow(run, event => answer.take(event), { response, signal });
    const said = await response.json();
    if (response.status !== 202) return answer.end(...showResult(said));
    answer.link(said.run);
    return follow(said.run, event => answer.take(event), { signal });
}

// ---- the view ----------------------------------------------------------------------------------------------------------------------

const memory = { log: null, owner: null, session: freshKey() };      // a look at a run and back keeps what was said, for the same user

function readOther(kind, control) {
    if (kind === "boolean") return control.checked;
    return kind === "integer" || kind === "number" ? Number(control.value) : control.value;
}

function inputFor(kind) {
    if (kind === "boolean") return element("input", { type: "checkbox" });
    if (kind === "integer") return element("input", { type: "number", step: 1, required: true });
    return element("input", { type: "text", required: true, autocomplete: "off", inputmode: kind === "number" ? "decimal" : null });
}

export async function showChat(view, signal) {
    const routes = routesOf(await openapi());
    if (signal.aborted) return;
    if (memory.owner !== token()) Object.assign(memory, { log: null, owner: token(), session: freshKey() });
    memory.log ??= element("div", { class: "log", role: "log", "aria-label": "Conversation", "aria-live": "polite", tabindex: 0 },
        element("p", { class: "quiet empty" }, "Nothing was said yet."));
    view.append(element("h1", { tabindex: -1 }, "Chat"));
    if (!routes.length) {
        view.append(element("p", {}, "No served program has a route that takes a message. A flow with ", element("code", {}, "on POST \"/api/v1/chat\""), " and a parameter ", element("code", {}, "message: string"), " has one."));
        return;
    }
    view.append(memory.log, composer(routes));
    memory.log.scrollTop = memory.log.scrollHeight;
}

function composer(routes) {
    const others = element("div", { class: "others" });
    const message = element("textarea", { rows: 2, required: true, id: freshId("message"), placeholder: "Type a message" });
    const pick = element("select", { change: () => change() }, routes.map((route, i) => option(i, `${route.name} (${route.path})`)));
    let route, controls;
    const change = () => {
        route = routes[Number(pick.value) || 0];
        controls = Object.fromEntries(route.others.map(name => [name, inputFor(route.kinds[name])]));
        others.replaceChildren(...Object.entries(controls).map(([name, control]) => field(name, control)));
    };
    change();
    const form = element("form", { class: "composer", submit: event => { event.preventDefault(); send(); } },
        element("div", { class: "choice" }, field("Send to", pick), others),
        element("div", { class: "line" }, field("Message", message), element("button", { type: "submit", class: "main" }, "Send")));
    message.addEventListener("keydown", event => {
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
    });
    const send = () => {
        const body = { [route.message]: message.value };
        for (const [name, control] of Object.entries(controls)) body[name] = readOther(route.kinds[name], control);
        if (route.session && !("session_id" in body)) body.session_id = memory.session;
        say(route, body, message.value);
        message.value = "";
        message.focus();
    };
    return form;
}

function say(route, body, text) {
    const answer = new Answer(), log = memory.log;
    log.querySelector(".empty")?.remove();
    log.append(element("article", { class: "message mine", "aria-label": "You" }, element("p", { class: "text" }, text)), answer.node);
    const down = new MutationObserver(() => { log.scrollTop = log.scrollHeight; });
    down.observe(answer.node, { childList: true, subtree: true, characterData: true });
    log.scrollTop = log.scrollHeight;
    ask(route, body, answer).catch(error => answer.end(showProblem(problemOf(error)))).finally(() => down.disconnect());
}
