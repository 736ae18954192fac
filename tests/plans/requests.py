#!/usr/bin/env python3
"""Requests as people make them, over HTTP with tokens, planned by a model on the loopback that is now right and now wrong.

A good plan runs; a wrong one goes back with the report and is repaired; one that stays wrong is a problem document with the code. What a plan did is seen in
the tables, not in what it says. At the end: how often a report with each code led to a plan that was accepted.
Usage: requests.py BUILD [SERVICES]        closes with `N passed, N failed`; with SERVICES (a folder of services.sh) also on PostgreSQL and Redis
"""
import collections
import json
import os
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "gateway"))
from model import Model  # noqa: E402
from served import World, same, token, until  # noqa: E402

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
SCOPES = ["finance:read", "finance:write", "travel:read", "travel:write", "calendar:read", "calendar:write", "mail:write"]
TRIES = 4                                                  # an answer, and LLM_PLAN_REPAIRS_MAX repairs


# ---- plans, in short ---------------------------------------------------------------------------------------------------

def plan(*flow, strategy="SEQUENTIAL", **more):
    return dict({"strategy": strategy, "flow": list(flow)}, **more)


def step(tool, params=None, **more):
    agent, action = tool.split(".")
    made = dict({"agent": agent, "action": action}, **more)
    if params is not None:
        made["params"] = params
    return made


def ref(path):
    return {"$ref": path}


def text(template):
    return {"$text": template}


def tell(message, **more):
    return dict({"action": "notify_user", "message": message}, **more)


BUDGET = step("finance.check_budget", {"category": "TRAVEL"})
HOTEL = step("travel.book_hotel", {"city": "Tokyo"})
DOCUMENTED = """{
  "strategy": "CONDITIONAL",
  "flow": [
    {"agent": "finance", "action": "check_budget"},
    {
      "condition": "budget_available >= 200",
      "then": [
        {"agent": "travel", "action": "book_hotel"},
        {"agent": "calendar", "action": "create_appointment"}
      ],
      "else": [
        {"action": "notify_user", "message": "Insufficient budget"}
      ]
    }
  ]
}"""
WISH = "Book a hotel in Tokyo if my budget allows, then add to my calendar as \"Hotel in Tokyo\""


class Case:
    """answers: of the model, in order. calls: the steps that were done. refused: the code of each answer that was not accepted. status: of HTTP, with the code
    of the problem. state: what is in the user's tables afterwards, as far as it says."""

    def __init__(self, name, answers, calls=None, refused=(), status=200, code=None, message=None, notices=None, state=None, budget=350, path="/requests", request=None, fill=None, scopes=SCOPES,
                 results=None, steps=None):
        self.name, self.answers, self.calls, self.refused, self.status, self.code = name, answers if isinstance(answers, list) else [answers], calls, list(refused), status, code
        self.message, self.notices, self.state, self.budget, self.path, self.fill, self.scopes, self.results, self.steps = message, notices, state or {}, budget, path, fill, scopes, results, steps
        self.request = request or "%s: a hotel in Tokyo" % name


GOOD = [
    Case("as documented, with budget", DOCUMENTED, ["finance.check_budget", "travel.book_hotel", "calendar.create_appointment"], request=WISH,
         fill={"category": "TRAVEL", "city": "Tokyo", "title": "Hotel in Tokyo"}, state={"appointments": ["Hotel in Tokyo"], "cities": ["Tokyo"]}, notices=[]),
    Case("as documented, without", DOCUMENTED, ["finance.check_budget", "notify_user"], request=WISH + ", please", budget=150, fill={"category": "TRAVEL", "city": "Tokyo", "title": "Hotel in Tokyo"},
         state={"appointments": [], "cities": []}, notices=["Insufficient budget"]),
    Case("a result for the next step", plan(HOTEL, step("calendar.create_appointment", {"title": "Stay", "booking_id": ref("book_hotel.booking_id")})), ["travel.book_hotel", "calendar.create_appointment"],
         state={"appointments": ["Stay"], "cities": ["Tokyo"]}),
    Case("three questions at once", plan(BUDGET, step("weather.forecast", {"city": "Oslo"}), step("travel.find_hotel", {"city": "Oslo"}), strategy="PARALLEL"),
         ["finance.check_budget", "weather.forecast", "travel.find_hotel"]),
    Case("groups in groups", plan(plan(step("travel.find_hotel", {"city": "Tokyo"}, id="a"), step("travel.find_hotel", {"city": "Oslo"}, id="b"), strategy="PARALLEL"),
                                  {"condition": "a.price > b.price", "then": [step("travel.book_hotel", {"city": "Oslo"})], "else": [HOTEL]}),
         ["travel.find_hotel", "travel.find_hotel", "travel.book_hotel"], state={"cities": ["Oslo"]}),
    Case("a step with a condition of its own", plan(BUDGET, dict(HOTEL, condition="check_budget.available < 0"), tell("Looked.")), ["finance.check_budget", "notify_user"], state={"cities": []}, notices=["Looked."]),
    Case("what may fail", plan(step("weather.forecast", {"city": "Nowhere"}, on_error="CONTINUE"), {"condition": "forecast == null", "then": [tell("No forecast.")]}), ["notify_user"], notices=["No forecast."]),
    Case("a text of results", plan(step("weather.forecast", {"city": "Oslo"}), message=text("${forecast.text}: ${forecast.degrees} degrees")), ["weather.forecast"], message="Sunny in Oslo: 21 degrees"),
    Case("what the request says, found by the model", plan(step("weather.forecast")), ["weather.forecast"], request="Is it warm where the opera house is?", fill={"city": "Oslo"},
         results=[{"text": "Sunny in Oslo", "degrees": 21, "rain": False}]),
    Case("one blank for two steps", plan(step("weather.forecast"), step("travel.find_hotel")), ["weather.forecast", "travel.find_hotel"], request="Weather and a room in Oslo", fill={"city": "Oslo"}),
    Case("JSON between fences", "```json\n%s\n```" % json.dumps(plan(BUDGET)), ["finance.check_budget"]),
    Case("decimals as they are", plan(step("travel.book_hotel", {"city": "Tokyo", "nights": 3}), step("finance.record_expense", {"amount": ref("book_hotel.cost"), "what": "hotel"})),
         ["travel.book_hotel", "finance.record_expense"], state={"expenses": ["750.3"]}),
    Case("methods of JavaScript", plan(step("weather.forecast", {"city": "Oslo"}), {"condition": "forecast.text.toLowerCase().includes('sunny') && !forecast.rain && forecast.text.length > 3",
                                                                                  "then": [tell("Go out.")]}), ["weather.forecast", "notify_user"], notices=["Go out."]),
    Case("arithmetic and a choice", plan(BUDGET, {"condition": "(budget_available - 50) * 2 / 4 > 100 ? true : false", "then": [tell("Rich.")], "else": [tell("Poor.")]}), ["finance.check_budget", "notify_user"],
         notices=["Rich."]),
    Case("an optional field", plan(step("travel.find_hotel", {"city": "Oslo"}), {"condition": "(find_hotel.stars ?? 0) >= 3", "then": [tell("Stars.")], "else": [tell("No stars.")]}),
         ["travel.find_hotel", "notify_user"], notices=["No stars."]),
    Case("steps by number", plan(BUDGET, step("weather.forecast", {"city": "Oslo"}), {"condition": "steps[0].available > steps[1].degrees", "then": [tell("Yes.")]}), ["finance.check_budget", "weather.forecast", "notify_user"],
         notices=["Yes."]),
    Case("a deadline for a step", plan(dict(BUDGET, timeout_ms=5000), timeout_ms=10000), ["finance.check_budget"]),
    Case("what fails late is undone", plan(HOTEL, step("finance.record_expense", {"amount": ref("book_hotel.cost")}), step("calendar.create_appointment", {"title": "Impossible"})), status=422,
         state={"cities": [], "expenses": [], "appointments": []}),
    Case("a retry that does not help", plan(step("travel.find_hotel", {"city": "Atlantis"}, on_error="RETRY", retry_count=1)), status=404),
    Case("nothing to do", '{"strategy": "SEQUENTIAL", "flow": []}', status=404),
]
REPAIRED = [
    Case("words before a plan", ["Here is a plan: go!", plan(BUDGET)], ["finance.check_budget"], ["E0720"]),
    Case("a tool that is not there", [plan(step("travel.reserve_hotel", {"city": "Tokyo"})), plan(HOTEL)], ["travel.book_hotel"], ["E0724"]),
    Case("an agent that is not there", [plan(step("hotels.book_hotel", {"city": "Tokyo"})), plan(HOTEL)], ["travel.book_hotel"], ["E0724"]),
    Case("a parameter that is not there", [plan(step("travel.book_hotel", {"city": "Tokyo", "stars": 5})), plan(HOTEL)], ["travel.book_hotel"], ["E0727"]),
    Case("a parameter of the wrong type", [plan(step("travel.book_hotel", {"city": "Tokyo", "nights": "three"})), plan(step("travel.book_hotel", {"city": "Tokyo", "nights": 3}))], ["travel.book_hotel"], ["E0728"]),
    Case("a condition that ends too early", [plan(BUDGET, dict(HOTEL, condition="budget_available >=")), plan(BUDGET, dict(HOTEL, condition="budget_available >= 1"))], ["finance.check_budget", "travel.book_hotel"], ["E0730"]),
    Case("a condition that calls", [plan(BUDGET, dict(HOTEL, condition="fetch('http://x').ok")), plan(BUDGET, HOTEL)], ["finance.check_budget", "travel.book_hotel"], ["E0731"]),
    Case("a condition that compares apples", [plan(BUDGET, dict(HOTEL, condition="budget_available === 'much'")), plan(BUDGET, HOTEL)], ["finance.check_budget", "travel.book_hotel"], ["E0732"]),
    Case("a name that is not there", [plan(BUDGET, dict(HOTEL, condition="wallet.available > 1")), plan(BUDGET, dict(HOTEL, condition="finance.available > 1"))], ["finance.check_budget", "travel.book_hotel"], ["E0733"]),
    Case("a result before its time", [plan(dict(HOTEL, condition="check_budget.available > 1"), BUDGET), plan(BUDGET, dict(HOTEL, condition="check_budget.available > 1"))],
         ["finance.check_budget", "travel.book_hotel"], ["E0734"]),
    Case("a field that is not there", [plan(BUDGET, dict(HOTEL, condition="check_budget.amount > 1")), plan(BUDGET, dict(HOTEL, condition="check_budget.available > 1"))], ["finance.check_budget", "travel.book_hotel"],
         ["E0735"]),
    Case("a retry of what may not be repeated", [plan(dict(HOTEL, on_error="RETRY")), plan(HOTEL)], ["travel.book_hotel"], ["E0739"]),
    Case("a key twice", ['{"strategy": "SEQUENTIAL", "strategy": "PARALLEL", "flow": [{"agent": "finance", "action": "check_budget", "params": {"category": "TRAVEL"}}]}', plan(BUDGET)], ["finance.check_budget"],
         ["E0722"]),
    Case("a strategy that is not there", [plan(BUDGET, strategy="RECURSIVE"), plan(BUDGET)], ["finance.check_budget"], ["E0723"]),
    Case("characters that deceive", [plan(tell("safe\u202etxt.exe"), BUDGET), plan(tell("safe"), BUDGET)], ["notify_user", "finance.check_budget"], ["E0740"], notices=["safe"]),
    Case("three times wrong", ["no", plan(step("finance.check", {})), plan(BUDGET, dict(HOTEL, condition="finance.left > 0")), plan(BUDGET, HOTEL)], ["finance.check_budget", "travel.book_hotel"],
         ["E0720", "E0724", "E0735"]),
]
HOPELESS = [
    Case("a model that insists", plan(step("travel.reserve", {"city": "Tokyo"})), refused=["E0724"] * TRIES, status=400, code="E0724", state={"cities": []}),
    Case("a bomb of steps", plan(*[BUDGET] * 300), refused=["E0721"] * TRIES, status=400, code="E0721"),
    Case("a bomb of groups", plan(json.loads('{"strategy":"PARALLEL","flow":[' * 40 + json.dumps(BUDGET) + "]}" * 40)), refused=["E0721"] * TRIES, status=400, code="E0721"),
    Case("another tenant", plan(step("travel.book_hotel", {"city": "Tokyo", "tenant": "family-2"})), refused=["E0727"] * TRIES, status=400, code="E0727", state={"cities": []}),
    Case("a loop", plan(step("travel.find_hotel", {"city": ref("find_hotel.hotel")})), refused=["E0734"] * TRIES, status=400, code="E0734"),
    Case("a tool that was not granted", plan(step("finance.close_account", {})), status=403, code="E0725", state={"budgets": 1}),
    Case("scopes that the caller has not", plan(HOTEL), status=403, code="E0726", scopes=["finance:read"], state={"cities": []}),
    Case("more calls than allowed", plan(*[BUDGET] * 8), status=422, code="E0738", path="/unattended"),
    Case("nobody to approve", plan(step("finance.transfer", {"receiver": "Bob", "amount": 5})), status=403, code="E0737", path="/unattended", state={"transfers": []}),
    Case("a letter gives orders", plan(step("mail.newest_letter"), step("finance.transfer", {"receiver": ref("newest_letter.sender"), "amount": 1000})), refused=["E0736"] * TRIES, status=400, code="E0736",
         state={"transfers": []}),
    Case("what nobody says", plan(step("weather.forecast")), status=400, code="E0729", request="How is the weather?", fill={}),
]


# ---- the model ------------------------------------------------------------------------------------------------------------

class Planner:
    """Answers by the request, which is the message after the instructions; keeps what it was told about each answer."""

    def __init__(self, cases):
        self.lock = threading.Lock()
        self.cases = {case.request: case for case in cases}
        assert len(self.cases) == len(cases), "two cases with the same request"
        self.asked = collections.defaultdict(int)
        self.reports = collections.defaultdict(list)
        self.filled = collections.defaultdict(list)
        self.model = Model(self.answer)

    def answer(self, prompt, body):
        instructions, request = body["messages"][0]["content"], body["messages"][1]["content"]
        case = self.cases[request]
        if "parameters of actions" in instructions:
            wanted = json.loads(instructions[instructions.index("{\"type\""):])["required"]
            with self.lock:
                self.filled[request].append(wanted)
            return json.dumps({name: (case.fill or {}).get(name) for name in wanted})
        with self.lock:
            count, self.asked[request] = self.asked[request], self.asked[request] + 1
        if count:
            self.reports[request].append(json.loads(prompt[prompt.index("{\"version\""):]))
        answer = case.answers[min(count, len(case.answers) - 1)]
        return answer if isinstance(answer, str) else json.dumps(answer)


# ---- one case ---------------------------------------------------------------------------------------------------------------

class Suite:
    def __init__(self, postgres, services, cases):
        self.planner = Planner(cases)
        env = dict(self.planner.model.environment(), FLOW_LLM_FALLBACK="none")
        self.world = World(BUILD, services, postgres, [os.path.join(HERE, "requests.flow")], **env)
        self.server = self.world.server

    def user(self, name, tenant="family-1", scopes=SCOPES):
        return token(user=name, tenant=tenant, scopes=scopes)

    def state(self, who):
        found = self.server.ask("GET", "/state", token=who, want=200).json
        found["cities"] = [b["city"] for b in found["bookings"] if not b["cancelled"]]
        found["expenses"] = [str(e) for e in found["expenses"]]
        return found

    def run(self, number, case):
        who = self.user("user-%d" % number, scopes=case.scopes)
        self.server.ask("POST", "/seed", {"available": case.budget}, token=who, want=200)
        answer = self.server.ask("POST", case.path, {"message": case.request}, token=who)
        body = answer.json
        reports = self.planner.reports[case.request]
        codes = [report["diagnostics"][0]["code"] for report in reports]
        if case.refused and len(case.refused) == TRIES:
            codes.append(body.get("code"))                 # the last report goes to the caller
        same(codes, case.refused, "%s: codes of %s" % (case.name, json.dumps(reports) if reports else answer.body))
        same(answer.status, case.status, "%s: %s" % (case.name, answer.body.decode()))
        for report in reports:
            first = report["diagnostics"][0]
            assert report["version"] == 1 and not report["ok"] and first["message"] and (first["pointer"] == "" or first["pointer"].startswith("/")), report
        if case.status != 200:
            same(body.get("code"), case.code or body.get("code"), case.name)
            assert "Bearer" not in answer.body.decode() and "sk-of-the-test" not in answer.body.decode()
            if case.code:
                same(json.loads(body["detail"])["diagnostics"][0]["code"], case.code, "the detail of a problem is the report")
        else:
            done = [".".join(filter(None, [s.get("agent"), s["action"]])) for s in body["steps"] if s["status"] == "DONE"]
            same(sorted(done) if "at once" in case.name else done, sorted(case.calls) if "at once" in case.name else case.calls, case.name)
            for name, wanted in (("message", case.message), ("notices", case.notices)):
                assert wanted is None or body[name] == wanted, "%s: %s is %r" % (case.name, name, body[name])
            if case.results:
                same([s["result"] for s in body["steps"]], case.results, case.name)
        state = self.state(self.user("user-%d" % number)) if case.state else {}
        for name, wanted in case.state.items():
            same(state[name], wanted, "%s: %s" % (case.name, name))

    def close(self):
        self.world.close()
        self.planner.model.close()


# ---- more than one request -----------------------------------------------------------------------------------------------------

def asked(suite, who, request):
    """A request that waits for its user: the run, and what it asks."""
    answer = suite.server.ask("POST", "/requests", {"message": request}, token=who, want=202)
    run = answer.headers["flow-run"]
    questions = suite.server.ask("GET", "/runs/" + run, token=who, want=200).json["questions"]
    same(len(questions), 1, json.dumps(questions))
    return run, questions[0]


TRANSFER = Case("pay Bob", plan(step("finance.transfer", {"receiver": "Bob", "amount": 12.50}, id="paid")), request="Send 12.50 to Bob")
REFUSED_TRANSFER = Case("do not pay Bob", plan(step("finance.transfer", {"receiver": "Bob", "amount": 99})), request="Send 99 to Bob, or not")
DEAR = Case("a lot", plan(*[BUDGET] * 35), request="Check the budget, again and again")
DEAR_NO = Case("too much", plan(*[BUDGET] * 35), request="Check the budget, again and again, or not")
TOLD = Case("told as it happens", plan(BUDGET, tell("Looking."), tell(text("There are ${check_budget.available}."))), request="Tell me about the budget")
ALONE = Case("a model that is of no use", "I cannot do that.", request="Check the budget for a trip", fill={"category": "TRAVEL"})


def approvals_are_bound_to_what_they_show(suite):
    who = suite.user("payer")
    run, question = asked(suite, who, TRANSFER.request)
    assert "finance.transfer" in json.dumps(question) and "Bob" in json.dumps(question) and "12.5" in json.dumps(question), question
    same(suite.state(who)["transfers"], [])
    for wrong in ({"value": True}, {"value": True, "hash": "0" * 64}):
        same(suite.server.ask("POST", "/runs/%s/answer" % run, wrong, token=who).status, 409)
    same(suite.state(who)["transfers"], [])
    stranger = suite.server.ask("POST", "/runs/%s/answer" % run, {"value": True, "hash": question["hash"]}, token=suite.user("payer", "family-2"))
    same(stranger.status, 404)
    suite.server.ask("POST", "/runs/%s/answer" % run, {"value": True, "hash": question["hash"]}, token=who)
    until("it is paid", lambda: suite.state(who)["transfers"] == ["Bob 12.5"] or suite.state(who)["transfers"] == ["Bob 12.50"])


def what_is_not_approved_is_not_done(suite):
    who = suite.user("saver")
    run, question = asked(suite, who, REFUSED_TRANSFER.request)
    suite.server.ask("POST", "/runs/%s/answer" % run, {"value": False, "hash": question["hash"]}, token=who)
    until("it has ended", lambda: suite.server.ask("GET", "/runs/" + run, token=who, want=200).json["status"] == "failed")
    same(suite.state(who)["transfers"], [])


def rows_of_others_are_out_of_reach(suite):
    anna, mallory = suite.user("anna", "family-1"), suite.user("mallory", "family-2")
    suite.server.ask("POST", "/seed", {"available": 1000}, token=anna, want=200)
    suite.server.ask("POST", "/plans", {"plan": plan(HOTEL)}, token=anna, want=200)
    booking = suite.state(anna)["bookings"][0]["id"]
    answer = suite.server.ask("POST", "/plans", {"plan": plan(step("travel.cancel_hotel", {"booking_id": booking}))}, token=mallory, want=200).json
    same(answer["steps"][0]["result"], {"cancelled": False})
    same(suite.state(anna)["cities"], ["Tokyo"])
    for wrong, code in ((plan(step("travel.find_hotel", {"city": "Tokyo", "user_id": "anna"})), "E0727"), (plan(HOTEL, tenant="family-1"), "E0722")):
        refused = suite.server.ask("POST", "/plans", {"plan": wrong}, token=mallory)
        same((refused.status, refused.json["code"]), (400, code))


def who_wrote_a_plan_is_journalled(suite):
    who = suite.user("user-historian")
    case = REPAIRED[1]
    suite.server.ask("POST", "/seed", {"available": 350}, token=who, want=200)
    suite.planner.asked[case.request] = 0
    answer = suite.server.ask("POST", case.path, {"message": case.request}, token=who, want=200)
    run = answer.headers["flow-run"]
    code, out, err = suite.world.flowd("trace", run, "--as", "user-historian@family-1")
    assert "plan refused: E0724 at /flow/0/action" in out, out + err
    assert "tokens" in out and "book_hotel" in out, out
    code, out, err = suite.world.flowd("plans", run, "--as", "user-historian@family-1")
    lines = [json.loads(line) for line in out.splitlines()]
    same([line["what"] for line in lines], ["refused", "model", "planned", "filled", "checked", "loaded"], out + err)
    same(lines[0]["answer"], plan(step("travel.reserve_hotel", {"city": "***"})), "what a tool that is not there is told may be personal")
    same(lines[0]["report"]["diagnostics"][0]["allowed"], ["find_hotel", "book_hotel", "cancel_hotel"])
    same(lines[2]["plan"], case.answers[1])


def what_costs_too_much_is_put_to_the_user(suite):
    who = suite.user("spender")
    suite.server.ask("POST", "/seed", {"available": 350}, token=who, want=200)
    for case, yes in ((DEAR, True), (DEAR_NO, False)):
        run, question = asked(suite, who, case.request)
        same(question["type"], "bool", json.dumps(question))
        suite.server.ask("POST", "/runs/%s/answer" % run, {"value": yes}, token=who)
        ended = until("it has ended", lambda: (lambda r: r if r["status"] in ("completed", "failed") else None)(suite.server.ask("GET", "/runs/" + run, token=who, want=200).json))
        same(ended["status"], "completed" if yes else "failed", json.dumps(ended))
        same(len(ended["result"]["steps"]) if yes else ended["error"]["code"], 35 if yes else "rejected", json.dumps(ended))


def notices_are_told_as_they_come(suite):
    who = suite.user("listener")
    suite.server.ask("POST", "/seed", {"available": 350}, token=who, want=200)
    stream = suite.server.stream("POST", "/requests/stream", {"message": TOLD.request}, token=who)
    events = stream.rest()
    stream.close()
    same([(name, data.get("text")) for _, name, data in events[:-1]], [("notice", "Looking."), ("notice", "There are 350.")], json.dumps(events))
    same((events[-1][1], events[-1][2]["data"]["notices"]), ("complete", ["Looking.", "There are 350."]), json.dumps(events))


def behind_a_model_of_no_use_stand_the_rules(suite):
    other = World(BUILD, None, False, suite.world.files, **suite.planner.model.environment())
    try:
        who = suite.user("user-of-rules")
        other.server.ask("POST", "/seed", {"available": 350}, token=who, want=200)
        answer = other.server.ask("POST", "/requests", {"message": ALONE.request}, token=who, want=200).json
        same([(s["action"], s["status"]) for s in answer["steps"]], [("check_budget", "DONE")])
        same(suite.planner.asked[ALONE.request], TRIES)
    finally:
        other.close()


MORE = [approvals_are_bound_to_what_they_show, what_is_not_approved_is_not_done, what_costs_too_much_is_put_to_the_user, rows_of_others_are_out_of_reach, who_wrote_a_plan_is_journalled,
        notices_are_told_as_they_come, behind_a_model_of_no_use_stand_the_rules]


def report_repairs():
    """Of the models that try: after how many reports with a code the next answer had that fault no more, and how many requests ended well."""
    given, helped = collections.Counter(), collections.Counter()
    for case in REPAIRED:
        for i, code in enumerate(case.refused):
            given[code] += 1
            helped[code] += i + 1 == len(case.refused) or case.refused[i + 1] != code
    print("  reports that led to a repair: " + ", ".join("%s %d/%d" % (code, helped[code], given[code]) for code in sorted(given)))


def run_all(postgres, services, cases, more):
    suite = Suite(postgres, services, cases + [TRANSFER, REFUSED_TRANSFER, DEAR, DEAR_NO, TOLD, ALONE])
    passed, failed = 0, 0
    jobs = [(case.name, lambda n=n, case=case: suite.run(n, case)) for n, case in enumerate(cases)] + [(test.__name__.replace("_", " "), lambda test=test: test(suite)) for test in more]
    try:
        for name, job in jobs:
            try:
                job()
                passed += 1
                print("  ok %s%s" % (name, " (PostgreSQL)" if postgres else ""))
            except Exception as error:  # noqa: BLE001 - a test that breaks has failed
                failed += 1
                print("  FAIL %s%s: %s" % (name, " (PostgreSQL)" if postgres else "", error))
        if not postgres:
            report_repairs()
        if failed:
            print("".join(suite.server.lines[-10:]))
    finally:
        suite.close()
    return passed, failed


if __name__ == "__main__":
    services = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("FLOW_TEST_SERVICES")
    passed, failed = run_all(False, None, GOOD + REPAIRED + HOPELESS, MORE)
    if services:
        p, f = run_all(True, services, GOOD[:4] + GOOD[17:18] + REPAIRED[-1:] + REPAIRED[1:2] + HOPELESS[5:7], MORE[:-1])
        passed, failed = passed + p, failed + f
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0)
