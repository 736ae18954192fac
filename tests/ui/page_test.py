#!/usr/bin/env python3
"""The page for people, in a headless Chromium, served by `flowd serve` on the embedded store.

Usage: page_test.py BUILD        closes with `N passed, N failed`; pictures of what it saw are in BUILD/ui
"""
import http.client
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "gateway")]
from browser import ENTER, TAB, Browser
from looks import nameless, outline, pale
from model import Model, Reply
from stream_client import Served, same, until

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
PICTURES = os.path.join(BUILD, "ui")
PROGRAMS = ["flows/01_simple_query.flow", os.path.join(HERE, "page.flow")]
HOSTILE = '<img src=x onerror="window.caught=1"><script>window.caught=2</script>'
SCOPES = "calendar:read,kitchen:use"
PAGE_RUNS = 60                                             # more than RUNS_PAGE


class World:
    """One server, one browser; the tests come one after the other and leave no token behind."""

    def __init__(self):
        self.hold = threading.Event()
        self.model = Model(self.model_says)
        with ThreadPoolExecutor(1) as pool:
            browser = pool.submit(Browser)                 # takes seconds to come up, as does the server
            self.served = Served(BUILD, *PROGRAMS, **self.model.environment())
            self.browser = browser.result()
        self.home = "http://127.0.0.1:%d/ui" % self.served.port
        self.anna = self.served.token("anna", "family-123", SCOPES)
        self.begun = False

    def model_says(self, prompt, request):
        if "find the intent" in prompt:
            return '{"answer": "CALENDAR_QUERY"}'
        return Reply("Hello there, dear " + HOSTILE, hold=self.hold) if "Say hello" in prompt else "Nothing at all today!"

    def begin(self, token):
        """The page afresh, with this token in its tab."""
        if not self.begun:
            self.browser.open(self.home)
        self.begun = True
        self.browser.run("sessionStorage.clear(); if (arguments[0]) sessionStorage.setItem('fidus-flow-token', arguments[0])", token)
        self.browser.open(self.home)

    def enter(self, token=None):
        self.begin(token or self.anna)
        self.browser.find("textarea")

    def leave(self):
        self.begin(None)
        self.browser.says("Access token")

    def choose(self, flow):
        self.browser.find(".composer select")
        self.browser.run("""const s = document.querySelector('.composer select');
            s.value = [...s.options].find(o => o.text.startsWith(arguments[0] + ' ')).value; s.dispatchEvent(new Event('change'));""", flow)

    def say(self, flow, text):
        self.choose(flow)
        self.browser.type(".composer textarea", text + ENTER)

    def start(self, path, body, token=None, wait=False):
        status, answer = self.served.ask("POST", path, token or self.anna, body, {} if wait else {"Prefer": "respond-async"})
        same(status, 202)
        return answer["run"]

    def state(self, run):
        return self.served.ask("GET", "/runs/" + run, self.anna)[1]

    def asks(self, run):
        return until(lambda: self.state(run).get("questions"), "a question")

    def show(self, run):
        self.browser.run("location.hash = '#/runs/' + arguments[0]", run)
        self.browser.says("Run " + run)

    def picture(self, name):
        os.makedirs(PICTURES, exist_ok=True)
        self.browser.picture(os.path.join(PICTURES, name + ".png"))

    def whole_picture(self, name):
        self.browser.size(1200, max(900, self.browser.run("return document.documentElement.scrollHeight")))
        self.picture(name)
        self.browser.size(1200, 900)

    def close(self):
        self.browser.close()
        self.served.close()
        self.model.close()


# ---- who may, and what the page may ---------------------------------------------------------------------------------------


def files_are_fenced_in(world):
    connection = http.client.HTTPConnection("127.0.0.1", world.served.port, timeout=20)
    seen = {}
    for method, path in (("GET", "/ui"), ("GET", "/ui/page.js"), ("GET", "/ui/page.css"), ("GET", "/ui/none.js"), ("POST", "/ui")):
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
        seen[method, path] = response.status, (response.getheader("Content-Type") or "").split(";")[0]
        if response.status != 200:
            continue
        policy = response.getheader("Content-Security-Policy")
        for part in ("default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"):
            assert part in policy.split("; "), policy
        assert "unsafe" not in policy and b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"") and b"https://" not in body, path
    connection.close()
    same(seen, {("GET", "/ui"): (200, "text/html"), ("GET", "/ui/page.js"): (200, "text/javascript"), ("GET", "/ui/page.css"): (200, "text/css"),
                ("GET", "/ui/none.js"): (404, "application/problem+json"), ("POST", "/ui"): (405, "application/problem+json")})


def a_wrong_token_is_refused(world):
    world.leave()
    world.picture("sign_in")
    world.browser.type("input[type=password]", "no.such.token" + ENTER)
    world.browser.says("This token is not taken")
    same(world.browser.run("return sessionStorage.length"), 0)
    world.browser.type("input[type=password]", world.anna + ENTER)
    world.browser.says("Send to")


def nothing_is_parsed_as_html(world):
    world.enter()
    same(world.browser.run("try { document.body.insertAdjacentHTML('beforeend', '<b>x</b>'); return 'taken' } catch (e) { return e.name }"), "TypeError")
    same(["TrustedHTML" in line for line in world.browser.complaints() if "Failed to load resource" not in line], [True])


def a_cookie_signs_in_and_signing_out_ends_it(world):
    token = world.served.flowd("token", "--user", "bea", "--tenant", "family-123", "--scopes", SCOPES).stdout.strip()
    world.leave()
    world.browser.ask("POST", "/cookie", {"cookie": {"name": "fidus_session", "value": token, "path": "/", "httpOnly": True}})
    world.browser.open(world.home + "?")
    world.say("echo", "by cookie")
    world.browser.says("You said: by cookie")
    world.browser.click("button", "Sign out")
    world.browser.says("Access token")
    same(until(lambda: world.served.ask("GET", "/runs", token)[0] == 401, "a token that is ended"), True)
    world.browser.ask("DELETE", "/cookie")


# ---- chat ---------------------------------------------------------------------------------------------------------------------


def a_question_to_flow_1_is_answered(world):
    world.enter()
    world.say("answer_question", "What is on my calendar today?")
    world.browser.says("Nothing at all today!")
    world.picture("chat")


def text_comes_as_it_is_written(world):
    world.enter()
    world.say("tell", "please")
    world.browser.says("Hello")
    world.browser.says("Listening")
    same("dear" in world.browser.text(), False)
    world.picture("chat_streaming")
    world.hold.set()
    world.browser.says("dear " + HOSTILE)
    same(world.browser.run("return window.caught ?? null"), None)


def hostile_text_stays_text(world):
    world.enter()
    world.say("echo", HOSTILE)
    world.browser.says("You said: " + HOSTILE)
    same(world.browser.run("return [window.caught ?? null, document.querySelectorAll('main img, main script').length]"), [None, 0])
    run = world.start("/api/v1/meals", {"message": HOSTILE})
    world.asks(run)
    world.show(run)
    world.browser.says("Shall I cook %s?" % HOSTILE)
    world.browser.find("svg.sequence .arrow")
    same(world.browser.run("return [window.caught ?? null, document.querySelectorAll('main img, main script').length]"), [None, 0])
    world.picture("hostile")


def questions_are_answered_by_button_field_and_choice(world):
    world.enter()
    world.say("cook", "pasta")
    world.browser.says("Shall I cook pasta?")
    world.picture("question_buttons")
    world.browser.click(".question button", "Yes")
    world.browser.says("For how many guests?")
    world.browser.type(".question input[type=number]", "4")
    world.picture("question_field")
    world.browser.press(ENTER)
    world.browser.says("Where?")
    world.browser.click(".question button", "garden")
    world.browser.says("pasta for 4 in the garden.")
    world.picture("questions_answered")


def a_call_is_allowed_by_who_was_shown_it(world):
    """Text of somebody else stands in the arguments as it is, and cannot hide or turn around."""
    world.enter()
    world.say("pay", "with card 4711")
    world.browser.says("Allow till.pay?")
    world.browser.says("4711 \\u202egnp.exe<img src=x")
    same(world.browser.run("return [...document.querySelectorAll('.question .arguments dt')].map(t => t.textContent)"), ["amount", "guest"])
    same(world.browser.run("return [...document.querySelectorAll('.question button')].map(t => t.textContent)"), ["Allow", "Refuse"])
    assert world.browser.run("return document.activeElement.textContent") != "Allow"       # no key that was meant for something else
    world.picture("approval")
    world.browser.click(".question button", "Allow")
    world.browser.says("Paid, 2 steps.")
    same(world.browser.run("return [window.caught ?? null, document.querySelectorAll('main img, main script').length]"), [None, 0])
    world.say("pay", "with card 4712")
    world.browser.wait(lambda: world.browser.run("return document.querySelectorAll('.question').length") == 2, "the second question")
    world.browser.run("[...document.querySelectorAll('.question button')].find(b => b.textContent === 'Refuse' && !b.disabled).click()")
    world.browser.says("till.pay was not approved")


def the_message_of_a_problem_is_shown(world):
    world.enter()
    world.choose("order")
    world.browser.type(".others input", "2")
    world.browser.type(".composer textarea", "stone soup" + ENTER)
    world.browser.says("There is no stone left.")
    world.picture("problem")
    world.browser.click(".message footer a")
    world.browser.says("failed")
    first = world.browser.run("return location.hash")
    world.browser.click("button", "Retry")
    world.browser.wait(lambda: world.browser.run("return location.hash") != first, "the view of the second try")
    world.browser.says("There is no stone left.")


def a_question_survives_a_restart_of_the_server(world):
    """The page comes back by itself, and what it shows goes on."""
    world.enter()
    world.say("cook", "leftovers")
    world.browser.says("Shall I cook leftovers?")
    world.served.stop()
    world.served.start("log-of-the-second", world.served.port)
    world.browser.click(".question button", "No")
    world.browser.says("As you wish, nothing was cooked.")


# ---- runs -----------------------------------------------------------------------------------------------------------------------


def a_run_is_drawn_and_goes_on(world):
    world.enter()
    run = world.start("/api/v1/meals", {"message": "soup"})
    world.asks(run)
    world.show(run)
    world.browser.says("Shall I cook soup?")
    participants = world.browser.run("return [...document.querySelectorAll('svg .participant text')].map(t => t.lastChild.data)")
    same(participants, ["User", "API Gateway", "Orchestrator"])
    before = world.browser.run("return document.querySelectorAll('.waterfall tbody tr').length")
    same(before, world.state(run)["entries"])
    world.browser.click(".question button", "Yes")
    world.browser.says("For how many guests?")
    world.served.ask("POST", "/runs/%s/answer" % run, world.anna, {"value": 3})        # by somebody else: the page hears of it
    world.browser.says("Where?")
    world.browser.click(".question button", "kitchen")
    world.browser.says("soup for 3 in the kitchen.")
    world.browser.find("svg .participant")
    world.browser.wait(lambda: "Kitchen Agent" in world.browser.run("return document.querySelector('svg.sequence').textContent"), "the agent in the drawing")
    same(world.browser.run("return document.querySelectorAll('.waterfall tbody tr').length"), world.state(run)["entries"])
    world.whole_picture("run")
    world.browser.colours("dark")
    world.whole_picture("run_dark")
    world.browser.colours("light")


def a_run_is_forked_from_a_step(world):
    world.enter()
    run = world.start("/api/v1/meals", {"message": "stew"})
    world.asks(run)
    same(world.served.ask("POST", "/runs/%s/answer" % run, world.anna, {"value": False})[1]["text"], "As you wish, nothing was cooked.")
    world.show(run)
    world.browser.says("As you wish")
    world.browser.click("button[aria-label='Fork after entry 2']")
    world.browser.wait(lambda: run not in world.browser.run("return location.hash"), "the view of the fork")
    world.browser.says("Shall I cook stew?")
    fork = world.browser.run("return location.hash").split("/")[-1]
    same((world.state(fork)["status"], world.state(run)["status"]), ("parked", "completed"))


def flow_2_goes_on_by_a_button(world):
    """Begun at a terminal without a route, answered in the page, finished by the server with all its agents."""
    rules = {name: value for name, value in world.served.environment.items() if not name.startswith("FLOW_LLM")}
    begun = subprocess.run([os.path.join(BUILD, "flowd"), "run", "--as", "anna@family-123", "--fixture", "berlin", "--input", '{"request":"Book a flight to Berlin on 2025-11-03 and add to my calendar"}',
                            "flows/02_multi_agent_command.flow"], env=rules, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, universal_newlines=True)
    same(begun.returncode, 3, begun.stdout)                # parked
    world.enter()
    world.browser.run("location.hash = '#/runs?flow=multi_agent_command&status=parked'")
    world.browser.says("asks you")
    world.browser.click("td a", "multi_agent_command")
    world.browser.says("Flight LH123 departs 10:00 for €150. Book it?")
    world.browser.click(".question button", "Yes")
    world.browser.says("Flight booked and added to calendar!")
    drawn = world.browser.wait(lambda: world.browser.run("""const s = document.querySelector('svg.sequence');
        return s.textContent.includes('Finance Agent') && [s.querySelectorAll('.participant').length, s.querySelectorAll('.frame').length]"""), "the agents in the drawing")
    same(drawn, [6, 1])
    world.whole_picture("flow_2")


def a_run_is_cancelled(world):
    world.enter()
    run = world.start("/api/v1/meals", {"message": "rice"})
    world.asks(run)
    world.show(run)
    world.browser.click("button", "Cancel")
    world.browser.says("The run was cancelled")
    same(world.state(run)["status"], "cancelled")
    world.picture("cancelled")


def runs_are_filtered_searched_and_paged(world):
    carl = world.served.token("carl", "family-9", SCOPES)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda i: world.served.ask("POST", "/api/v1/echo", carl, {"message": "number %d" % i}), range(PAGE_RUNS)))
    world.start("/api/v1/meals", {"message": "needle"}, carl)
    world.enter(carl)
    world.browser.click("#to-runs")
    rows = lambda: world.browser.run("return document.querySelectorAll('.runs tbody tr').length")
    world.browser.wait(lambda: rows() == 50, "a first page")
    world.picture("runs")
    world.browser.click("button", "Show more")
    world.browser.wait(lambda: rows() == PAGE_RUNS + 1, "all of them")
    world.browser.says("That is all.")
    world.browser.type("input[name=q]", "needle" + ENTER)
    world.browser.wait(lambda: rows() == 1, "the one that was searched for")
    world.browser.says("parked")
    world.browser.run("location.hash = '#/runs?status=completed&flow=cook'")
    world.browser.says("No run is like that.")


def runs_of_others_are_not_found(world):
    run = world.start("/api/v1/meals", {"message": "secret sauce"})
    world.asks(run)
    world.enter(world.served.token("dora", "family-123", SCOPES))
    world.show(run)
    world.browser.says("no such run")
    same("secret sauce" in world.browser.text(), False)


# ---- for everybody ----------------------------------------------------------------------------------------------------------------


def views(world):
    """Every view, one after the other, by its name."""
    world.leave()
    yield "sign_in"
    world.enter()
    world.say("cook", "bread")
    world.browser.says("Shall I cook bread?")
    world.choose("order")
    yield "chat"
    world.browser.click("#to-runs")
    world.browser.says("That is all.")
    yield "runs"
    world.browser.click("td a", "cook")
    world.browser.find(".waterfall tr")
    world.browser.says("Shall I cook bread?")
    world.browser.run("for (const d of document.querySelectorAll('details')) d.open = true")
    yield "run"


def controls_have_names_and_texts_contrast(world):
    for name in views(world):
        same(nameless(world.browser), [], name)
        for scheme in ("light", "dark"):
            world.browser.colours(scheme)
            same(pale(world.browser), [], "%s, %s" % (name, scheme))
            world.picture("%s_%s" % (name, scheme))
        world.browser.colours("light")


def narrow_screens_do_not_scroll_sideways(world):
    for name in views(world):
        world.browser.size(360, 740)
        world.picture(name + "_narrow")
        same(world.browser.run("return document.documentElement.scrollWidth <= innerWidth"), True, name)
        world.browser.size(1200, 900)


def the_keyboard_is_enough(world):
    world.leave()
    world.browser.press(world.anna + ENTER)                # the field has the focus
    world.browser.find("textarea")
    world.choose("cook")
    world.browser.press("toast" + ENTER)
    world.browser.says("Shall I cook toast?")
    same(world.browser.wait(lambda: world.browser.run("return document.activeElement.textContent"), "a focus"), "Yes")
    assert outline(world.browser) >= 2
    world.browser.press(TAB + ENTER)
    world.browser.says("As you wish, nothing was cooked.")
    world.browser.run("document.querySelector('.skip').focus()")
    seen = []
    for _ in range(5):
        assert outline(world.browser) >= 2, seen
        seen.append(world.browser.run("return document.activeElement.textContent.trim()"))
        world.browser.press(TAB)
    same(seen, ["Skip to the content", "Fidus Flow", "Chat", "Runs", "Sign out"])


def the_console_is_silent(world):
    """But for what a browser says of refused requests by itself."""
    same([line for line in world.browser.complaints() if "Failed to load resource" not in line], [])


TESTS = [files_are_fenced_in, a_wrong_token_is_refused, nothing_is_parsed_as_html, a_question_to_flow_1_is_answered, text_comes_as_it_is_written, hostile_text_stays_text,
         questions_are_answered_by_button_field_and_choice, a_call_is_allowed_by_who_was_shown_it, a_question_survives_a_restart_of_the_server, the_message_of_a_problem_is_shown, a_run_is_drawn_and_goes_on, a_run_is_forked_from_a_step, flow_2_goes_on_by_a_button, a_run_is_cancelled,
         runs_are_filtered_searched_and_paged, runs_of_others_are_not_found, a_cookie_signs_in_and_signing_out_ends_it, controls_have_names_and_texts_contrast,
         narrow_screens_do_not_scroll_sideways, the_keyboard_is_enough, the_console_is_silent]


def main():
    failed = 0
    world = World()
    try:
        for test in TESTS:
            try:
                test(world)
                print("  ok " + test.__name__)
            except (AssertionError, OSError, KeyError, ValueError, http.client.HTTPException) as problem:
                failed += 1
                print("!! %s: %r" % (test.__name__, problem))
                ended = world.served.process.poll()
                if ended is not None:
                    print("   the server has ended (%s): %s" % (ended, world.served.log()[-2000:]))
    finally:
        world.close()
    print("%d passed, %d failed" % (len(TESTS) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
