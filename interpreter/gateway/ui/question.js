// question.js - what a run asks, as buttons where there are few answers, else as a field of the right kind; what it asks leave for, with the very arguments.
import { element, field, showPlain, showProblem, showTime } from "./dom.js";
import { openapi, post, problemOf, resolve, runPath } from "./api.js";

const BUTTONS_MAX = 8;
const ANSWERS = {
    bool: { buttons: [["Yes", true], ["No", false]] },
    int: { input: { type: "number", step: 1 }, read: text => Number.isSafeInteger(Number(text)) ? Number(text) : text },
    decimal: { input: { type: "text", inputmode: "decimal" }, read: text => text.trim() },
    date: { input: { type: "date" }, read: text => text },
    timestamp: { input: { type: "datetime-local", step: 1 }, read: text => new Date(text).toISOString() },
    string: { input: { type: "text" }, read: text => text },
};

/** Names of an enum, when a route's types know it. */
async function enumNames(type) {
    try {
        const api = await openapi();
        return resolve(api, api.components?.schemas?.[type])?.enum || null;
    } catch { return null; }
}

async function buttonsOf(question) {
    if (question.kind === "approve") return [["Allow", true], ["Refuse", false]];
    const choices = question.choices || (ANSWERS[question.type] ? null : await enumNames(question.type));
    if (choices && choices.length <= BUTTONS_MAX) return choices.map(choice => [String(choice), choice]);
    return ANSWERS[question.type]?.buttons || null;
}

function pickFrom(choices) {
    return element("select", { required: true }, choices.map(choice => element("option", { value: choice }, String(choice))));
}

function answerForm(question, send) {
    const kind = ANSWERS[question.type] || ANSWERS.string;
    const control = question.choices ? pickFrom(question.choices) : element("input", { ...kind.input, required: true, autocomplete: "off" });
    return element("form", { class: "answer", submit: event => { event.preventDefault(); send(kind.read(control.value), control.value); } },
        field("Your answer", control), element("button", { type: "submit", class: "main" }, "Answer"));
}

/** All that is allowed is what stands here: the hash that goes back with the answer is of these arguments. */
function argumentsOf(question) {
    if (question.kind !== "approve") return null;
    return element("dl", { class: "arguments" }, Object.entries(question.arguments ?? {}).map(([name, value]) => [element("dt", {}, showPlain(name)), element("dd", {}, showPlain(value))]));
}

/**
 * A question of a run. `answered(text, response)` is called when the server has taken the answer; the run goes on then.
 */
export async function showQuestion(run, question, answered) {
    const controls = element("div", { class: "controls" });
    const trouble = element("div"), until = question.due ? element("small", { class: "quiet" }, "Until ", showTime(question.due)) : null;
    const box = element("section", { class: "question", "aria-label": "Question" }, element("p", { class: "text" }, question.text), argumentsOf(question), controls,
        until, trouble);
    const send = async (value, text) => {
        for (const control of box.querySelectorAll("button, input, select")) control.disabled = true;
        try {
            await post(runPath(run, "/answer"), { value, request: question.request, hash: question.hash }, { headers: { Prefer: "respond-async" } });
            controls.replaceChildren(element("p", {}, element("strong", {}, "Answered: "), text));
            trouble.replaceChildren();
            until?.remove();
            answered(text);
        } catch (error) {
            for (const control of box.querySelectorAll("button, input, select")) control.disabled = false;
            trouble.replaceChildren(showProblem(problemOf(error)));
        }
    };
    const buttons = await buttonsOf(question);
    if (buttons) controls.append(...buttons.map(([text, value]) => element("button", { type: "button", click: () => send(value, text) }, text)));
    else controls.append(answerForm(question, send));
    return box;
}
