// page.js - which view is shown, and who looks.
import { announce, element, field, showProblem } from "./dom.js";
import { claims, forgetToken, get, hasLogin, keepToken, onSignedOut, post, problemOf, token } from "./api.js";
import { showChat } from "./chat.js";
import { showRun } from "./run.js";
import { showRuns } from "./runs.js";

const main = document.getElementById("main");
let shown = new AbortController();
let signedIn = false, refused = null;

// ---- signing in ----------------------------------------------------------------------------------------------------------------

async function isWelcome() {
    try {
        await get("/runs?limit=1");
        return true;
    } catch (error) {
        const problem = problemOf(error);
        if (problem.status === 401) return false;
        throw error;
    }
}

async function showSignIn(view) {
    const input = element("input", { type: "password", required: true, autocomplete: "off", spellcheck: "false" });
    const form = element("form", { class: "sign-in", submit: event => { event.preventDefault(); keepToken(input.value.trim()); refused = null; start(); } },
        field("Access token", input, "Kept in this tab alone, until it is closed. For development: flowd token --user anna --tenant family-123 --scopes …"),
        element("button", { type: "submit", class: "main" }, "Sign in"));
    view.append(element("h1", { tabindex: -1 }, "Sign in"), refused ? showProblem(refused) : "");
    if (await hasLogin()) view.append(element("p", {}, element("a", { class: "button main", href: "/auth/login" }, "Sign in with your account")), element("p", { class: "quiet" }, "or with a token:"));
    view.append(form);
}

async function signOut() {
    try {
        await post("/auth/logout", {});
    } catch { /* a token of no session has none to end; it is forgotten all the same */ }
    forgetToken();
    refused = null;
    signedIn = false;
    show();
}

function showWho() {
    const who = claims();
    document.getElementById("pages").hidden = !signedIn;
    document.getElementById("who").replaceChildren(...(signedIn ? [
        element("span", { class: "quiet" }, who ? `${who.user_id || who.sub || ""} · ${who.tenant_id || ""}` : "Signed in"),
        element("button", { type: "button", class: "small", click: signOut }, "Sign out")] : []));
}

onSignedOut(problem => {
    if (!signedIn) return;
    signedIn = false;
    refused = problem;
    forgetToken();
    show();
});

// ---- views -----------------------------------------------------------------------------------------------------------------------

const VIEWS = [
    [/^#\/runs\/([^/?]+)$/, "Run", "to-runs", (view, signal, found) => showRun(view, signal, decodeURIComponent(found[1]))],
    [/^#\/runs(?:\?(.*))?$/, "Runs", "to-runs", (view, signal, found) => showRuns(view, signal, new URLSearchParams(found[1] || ""))],
    [/^/, "Chat", "to-chat", (view, signal) => showChat(view, signal)],
];

function viewOf(hash) {
    if (!signedIn) return ["Sign in", null, view => showSignIn(view)];
    for (const [pattern, title, link, open] of VIEWS) {
        const found = pattern.exec(hash);
        if (found) return [title, link, (view, signal) => open(view, signal, found)];
    }
    return null;
}

async function show() {
    shown.abort();
    shown = new AbortController();
    const { signal } = shown, view = element("div", { class: "view" });
    const [title, link, open] = viewOf(location.hash);
    document.title = `${title} – Fidus Flow`;
    for (const id of ["to-chat", "to-runs"]) {
        if (id === link) document.getElementById(id).setAttribute("aria-current", "page");
        else document.getElementById(id).removeAttribute("aria-current");
    }
    showWho();
    announce("");
    main.replaceChildren(view);
    try {
        await open(view, signal);
    } catch (error) {
        if (!signal.aborted) view.append(showProblem(problemOf(error)));
    }
    if (!signal.aborted) (view.querySelector("textarea, input[type=password]") || view.querySelector("h1"))?.focus({ preventScroll: true });
}

async function start() {
    try {
        signedIn = await isWelcome();
        if (!signedIn && token()) {
            forgetToken();
            refused = { title: "This token is not taken", detail: "It is malformed, expired, ended, or of another deployment." };
        }
    } catch (error) { refused = problemOf(error); }
    show();
}

document.querySelector(".skip").addEventListener("click", event => { event.preventDefault(); main.focus(); });
window.addEventListener("hashchange", show);
start();
