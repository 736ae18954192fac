// api.js - the server's API with the user's token or cookie: requests, problems, event-streams that survive a broken connection.

const TOKEN = "fidus-flow-token";
const AGAIN_MS = 1000;

let signedOut = () => {};
export function onSignedOut(callback) { signedOut = callback; }

export function token() { return sessionStorage.getItem(TOKEN); }
export function keepToken(text) { sessionStorage.setItem(TOKEN, text); }
export function forgetToken() { sessionStorage.removeItem(TOKEN); }

/** What the token says of its user: for show alone, the server checks it. */
export function claims() {
    try {
        const part = token().split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
        return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), c => c.charCodeAt(0))));
    } catch { return null; }
}

export class Problem extends Error {
    constructor(problem) {
        super(problem.detail || problem.title || "That did not work");
        this.problem = problem;
    }
}

export function problemOf(error) {
    if (error instanceof Problem) return error.problem;
    return { title: "The server cannot be reached", detail: "What was acknowledged is not lost. Try again." };
}

function headersFor(extra) {
    const headers = { Accept: "application/json, text/event-stream, text/plain", ...extra };
    if (token()) headers.Authorization = `Bearer ${token()}`;
    return headers;
}

async function readProblem(response) {
    try {
        return await response.json();
    } catch { return { title: `The server said ${response.status}` }; }
}

async function request(method, path, { body, headers, signal } = {}) {
    const extra = { ...headers };
    if (body !== undefined) extra["Content-Type"] = "application/json";
    const response = await fetch(path, { method, headers: headersFor(extra), body: body === undefined ? undefined : JSON.stringify(body), signal, redirect: "error", credentials: "same-origin" });
    if (response.ok) return response;
    const problem = await readProblem(response);
    if (response.status === 401) signedOut(problem);
    throw new Problem(problem);
}

export async function get(path, options) { return (await request("GET", path, options)).json(); }
export async function getText(path, options) { return (await request("GET", path, options)).text(); }
export async function post(path, body, options) { return request("POST", path, { body, ...options }); }

/** A key for requests that must not be done twice. (randomUUID is not there on plain HTTP.) */
export function freshKey() { return [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, "0")).join(""); }

export function runPath(run, rest = "") { return `/runs/${encodeURIComponent(run)}${rest}`; }

// ---- event-streams: fetch, because EventSource sends no Authorization header ------------------------------------------------

function parseEvent(block) {
    const event = { id: "", name: "message", data: "" };
    const data = [];
    for (const line of block.split("\n")) {
        if (!line || line.startsWith(":")) continue;
        const colon = line.indexOf(":");
        const name = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (name === "id") event.id = value;
        else if (name === "event") event.name = value;
        else if (name === "data") data.push(value);
    }
    if (!data.length) return null;
    try {
        event.data = JSON.parse(data.join("\n"));
    } catch { return null; }
    return event;
}

/** Calls onEvent for each event until the stream ends. */
async function readEvents(response, onEvent) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        rest = (rest + value).replaceAll("\r\n", "\n");
        for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
            const event = parseEvent(rest.slice(0, end));
            rest = rest.slice(end + 2);
            if (event) onEvent(event);
        }
    }
}

function pause(ms, signal) {
    return new Promise(resolve => {
        const timer = setTimeout(resolve, ms);
        signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
    });
}

const isEnd = event => event.name === "complete" || event.name === "failed";

/**
 * Follows a run to its end; onEvent gets { id, name, data }. `response`: a stream that a request began already, else it is asked for.
 * After a broken connection it goes on behind the last event. Ends early when `signal` aborts.
 */
export async function follow(run, onEvent, { response = null, signal } = {}) {
    let last = "", ended = false;
    const take = event => {
        if (event.id) last = event.id;
        ended ||= isEnd(event);
        onEvent(event);
    };
    while (!ended && !signal?.aborted) {
        try {
            response ??= await request("GET", runPath(run, "/events"), { headers: last ? { "Last-Event-ID": last } : {}, signal });
            if (response.status === 204) return;
            await readEvents(response, take);
        } catch (error) {
            if (signal?.aborted) return;
            if (error instanceof Problem && error.problem.status < 500) throw error;
        }
        response = null;
        if (!ended) await pause(AGAIN_MS, signal);
    }
}

// ---- what the served programs offer --------------------------------------------------------------------------------------------

let document_;
export async function openapi() { return document_ ??= await get("/openapi.json"); }

export function resolve(api, schema) {
    const path = schema?.$ref?.split("/").slice(1);
    return path ? path.reduce((node, name) => node?.[name], api) : schema;
}

export async function hasLogin() { return Boolean((await openapi()).paths?.["/auth/login"]?.get); }
