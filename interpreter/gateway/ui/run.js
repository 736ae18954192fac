// run.js - one run: how it stands, what it asks, who called whom, its journal; and what can be done with it.
import { announce, element, showJson, showProblem, showTime, showValue, statusBadge } from "./dom.js";
import { follow, get, getText, post, problemOf, runPath } from "./api.js";
import { drawJournal } from "./waterfall.js";
import { drawTrace, listTrace, parseTrace } from "./diagram.js";
import { showQuestion } from "./question.js";

const ENDED = new Set(["completed", "failed", "cancelled"]);
const IS_RUN = /^[A-Z]-\w+$/;                 // else it is what was asked for, or an event
const REFRESH_MS = 2000, SOON_MS = 150, JOURNAL_MAX = 2000;

export function showRun(view, signal, id) { return new RunView(view, signal, id).open(); }

class RunView {
    constructor(view, signal, id) {
        Object.assign(this, { view, signal, id, drawn: "", asked: null, refreshing: false });
        this.status = element("span");
        this.commands = element("div", { class: "controls" });
        this.trouble = element("div");
        this.question = element("div");
        this.live = element("div", { "aria-live": "polite" });
        this.facts = element("div");
        this.sequence = element("div");
        this.journal = element("div");
        this.texts = new Map();
    }

    async open() {
        this.view.append(
            element("p", {}, element("a", { href: "#/runs" }, "All runs")),
            element("h1", { tabindex: -1 }, "Run ", element("span", { class: "mono" }, this.id), " ", this.status),
            this.commands, this.trouble, this.question, this.live, this.facts,
            element("section", { "aria-labelledby": "sequence-title" }, element("h2", { id: "sequence-title" }, "Sequence"), this.sequence),
            element("section", { "aria-labelledby": "journal-title" }, element("h2", { id: "journal-title" }, "Journal"), this.journal));
        await this.refresh();
        if (!this.run || ENDED.has(this.run.status)) return;
        follow(this.id, event => this.take(event), { signal: this.signal }).catch(error => this.fail(error)).finally(() => this.soon());
        this.again();
    }

    /** Not every step is an event: while it lives it is looked at now and then, too. */
    again() {
        setTimeout(async () => {
            if (this.signal.aborted || ENDED.has(this.run?.status)) return;
            await this.refresh();
            this.again();
        }, REFRESH_MS);
    }

    soon() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.refresh(), SOON_MS);
    }

    fail(error) { if (!this.signal.aborted) this.trouble.replaceChildren(showProblem(problemOf(error))); }

    take(event) {
        if (event.name === "progress" || event.name === "notice") this.live.replaceChildren(this.progressOf(event.data));
        else if (event.name === "text") this.addText(event.data);
        this.soon();
    }

    progressOf({ text, percent }) {
        return element("div", { class: "working" }, percent === undefined ? null : element("progress", { max: 100, value: percent, "aria-label": "Progress" }), element("p", { class: "quiet" }, text || `${percent} %`));
    }

    addText({ part, text, replace }) {
        const before = this.texts.get(part);
        const paragraph = before || element("p", { class: "text" });
        paragraph.textContent = replace ? text : paragraph.textContent + text;
        this.texts.set(part, paragraph);
        if (!before) this.live.append(paragraph);
    }

    async refresh() {
        if (this.refreshing || this.signal.aborted) return;
        this.refreshing = true;
        try {
            this.run = await get(runPath(this.id), { signal: this.signal });
            const state = `${this.run.status} ${this.run.entries} ${this.run.updated}`;
            if (state !== this.drawn) {
                await this.draw();
                this.drawn = state;
            }
        } catch (error) { this.fail(error); }
        this.refreshing = false;
    }

    async entries() {
        const all = [];
        let path = runPath(this.id, "/journal?limit=1000");
        while (path && all.length < JOURNAL_MAX) {
            const page = await get(path, { signal: this.signal });
            all.push(...page.entries);
            path = page.next;
        }
        return all;
    }

    async draw() {
        const [entries, trace] = await Promise.all([this.entries(), getText(runPath(this.id, "/trace?format=mermaid"), { signal: this.signal })]);
        if (this.signal.aborted) return;
        if (ENDED.has(this.run.status)) this.live.replaceChildren();
        this.status.replaceChildren(statusBadge(this.run.status));
        announce(`The run is ${this.run.status}`);
        this.drawCommands();
        this.drawFacts();
        this.drawSequence(parseTrace(trace));
        this.drawJournal(entries);
        await this.drawQuestion();
    }

    drawJournal(entries) {
        const opened = new Set([...this.journal.querySelectorAll("tr")].filter(row => row.querySelector("details[open]")).map(row => row.firstChild.textContent));
        const focused = this.journal.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
        this.journal.replaceChildren(drawJournal(entries, seq => this.command("fork", { at: seq })));
        for (const row of this.journal.querySelectorAll("tbody tr")) if (opened.has(row.firstChild.textContent)) row.querySelector("details").open = true;
        if (focused) this.journal.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    }

    drawSequence(trace) {
        const list = this.sequence.querySelector("details")?.open;
        const box = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Sequence diagram" }, drawTrace(trace));
        const left = this.sequence.querySelector(".scroll")?.scrollLeft || 0;
        this.sequence.replaceChildren(box, element("details", { open: list }, element("summary", {}, "As a list"), listTrace(trace)));
        box.scrollLeft = left;
    }

    drawFacts() {
        const run = this.run, cause = IS_RUN.test(run.cause) ? element("a", { href: `#/runs/${encodeURIComponent(run.cause)}` }, run.cause) : run.cause;
        const rows = [["Flow", run.flow], ["User", run.user], ["Began", showTime(run.created)], ["Ended", run.ended && showTime(run.ended)], ["Caused by", cause]];
        const waits = (run.waits || []).filter(wait => wait.kind !== "ask" && wait.kind !== "approve").map(wait => element("li", {}, `${wait.kind} ${wait.text || ""}`.trim(), wait.due ? [" until ", showTime(wait.due)] : null));
        this.facts.replaceChildren(
            element("dl", { class: "facts" }, rows.filter(([, value]) => value).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
            waits.length ? [element("h2", {}, "Waits for"), element("ul", {}, waits)].reduce((box, node) => (box.append(node), box), element("div")) : "",
            run.error ? showProblem(run.error) : "",
            run.result === undefined ? "" : element("details", { open: true }, element("summary", {}, "Result"), showValue(run.result)),
            run.input === undefined ? "" : element("details", {}, element("summary", {}, "Input"), showJson(run.input)));
    }

    drawCommands() {
        const ended = ENDED.has(this.run.status);
        const offers = [
            ["Cancel", !ended, () => this.command("cancel")],
            ["Retry", this.run.status === "failed" || this.run.status === "cancelled", () => this.command("retry")],
            ["Fork from the beginning", true, () => this.command("fork", { at: 0 })],
        ];
        this.commands.replaceChildren(...offers.filter(([, shown]) => shown).map(([name, , click]) => element("button", { type: "button", click }, name)));
    }

    async drawQuestion() {
        const questions = this.run.questions ?? [], asked = questions.map(question => question.request).join();
        if (asked && this.asked === asked) return;
        this.asked = asked;
        this.question.replaceChildren(...await Promise.all(questions.map(question => showQuestion(this.id, question, () => this.soon()))));
    }

    /** Retry and fork make another run: go there. */
    async command(name, body) {
        try {
            const done = await (await post(runPath(this.id, `/${name}`), body ?? {})).json();
            this.trouble.replaceChildren();
            if (done.run !== this.id) location.hash = `#/runs/${encodeURIComponent(done.run)}`;
            else this.soon();
        } catch (error) { this.fail(error); }
    }
}
