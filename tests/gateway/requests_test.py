#!/usr/bin/env python3
"""The gateway over real HTTP, on both stores: flows 1 and 12, answers and problems, runs, streams, keys, several processes, the end of a process.

Usage: requests_test.py BUILD [SERVICES]      closes with `N passed, N failed`
SERVICES: a folder of scripts/services.sh; without it the embedded store alone.
"""
import concurrent.futures
import datetime
import hashlib
import json
import os
import re
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from served import HERE, STRIPE_SECRET, World, b64, same, stripe_signature, token, until

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
SERVICES = sys.argv[2] if len(sys.argv) > 2 else None
FLOWS = os.path.join(HERE, "..", "..", "flows")
FILES = [os.path.join(FLOWS, "01_simple_query.flow"), os.path.join(FLOWS, "12_webhook.flow"), os.path.join(HERE, "served.flow")]
READ = ["calendar:read", "calendar:write"]
QUESTION = {"message": "What's on my calendar today?", "session_id": "sess-1"}


def reader(user="anna", tenant="family-1", **claims):
    return token(user, tenant, READ, **claims)


def problem(answer, status, code=None):
    same(answer.status, status)
    same(answer.headers["content-type"], "application/problem+json")
    told = answer.json
    same(told["status"], status)
    same(told["instance"], answer.headers["x-request-id"])
    if code:
        same(told["code"], code)
    return told


def appoint(server, user, *titles):
    """Today's appointments of a user; they all begin at noon, so that the test may run at any time of the day."""
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    for number, title in enumerate(titles):
        server.ask("POST", "/test/appointments", {"title": title, "start": "%sT%02d:00:00Z" % (today, (10, 12, 15)[number])}, user, want=200)


# ---- flow 1 ------------------------------------------------------------------------------------------------------------

def question_of_the_documents(world):
    user = reader("flow1")
    appoint(world.server, user, "Team meeting", "Lunch with Sarah", "Doctor's appointment")
    answer = world.server.ask("POST", "/api/v1/chat", QUESTION, user, want=200)
    same(answer.json["text"], "You have 3 appointments today:\n1. Team meeting at 10am\n2. Lunch with Sarah at 12pm\n3. Doctor's appointment at 3pm")
    same([a["title"] for a in answer.json["appointments"]], ["Team meeting", "Lunch with Sarah", "Doctor's appointment"])
    run = answer.headers["flow-run"]
    trace = world.server.ask("GET", "/runs/%s/trace?format=mermaid" % run, token=user, want=200).body.decode()
    for arrow in ("User->>Web_UI", "Web_UI->>API_Gateway: POST /api/v1/chat", "API_Gateway->>API_Gateway: Validate JWT", "Orchestrator->>LLM_Service", "Orchestrator->>Calendar_Agent",
                  "Calendar_Agent->>Database", "API_Gateway-->>Web_UI: HTTP 200"):
        assert arrow in trace, "no %s in %s" % (arrow, trace)
    same(world.server.ask("POST", "/api/v1/chat", QUESTION, reader("flow1", "family-2"), want=200).json["appointments"], [], "another tenant")
    same(world.server.ask("POST", "/api/v1/chat", QUESTION, reader("empty"), want=200).json["text"], "You have no appointments today.")


def tokens_that_are_none(world):
    ask = lambda t, **h: world.server.ask("POST", "/api/v1/chat", QUESTION, t, h)
    now = int(time.time())
    same(problem(ask(None), 401, "token_missing")["title"], "Who are you?")
    same(ask(None).headers["www-authenticate"], "Bearer")
    problem(ask(reader(exp=now - 3600, iat=now - 7200, nbf=now - 7200)), 401, "token_expired")
    forged = {
        "another key": reader(secret=b64(b"somebody else's key, as long as it")), "no algorithm": reader(head={"alg": "none"}), "another algorithm": reader(head={"alg": "HS512"}),
        "another audience": reader(aud="somebody-else"), "another issuer": reader(iss="https://elsewhere"), "not yet": reader(nbf=now + 3600), "no expiry": reader(exp=None),
        "no tenant": reader(tenant_id=None), "tampered": re.sub(r"\.[^.]*\.", "." + b64(json.dumps({"tenant_id": "family-9", "user_id": "root"}).encode()) + ".", reader()), "garbage": "abc",
    }
    for what, text in forged.items():
        answer = ask(text)
        assert answer.status == 401, "%s: %d %s" % (what, answer.status, answer.body)
        assert answer.headers["www-authenticate"].startswith("Bearer"), what
    denied = world.server.ask("POST", "/api/v1/chat", QUESTION, token(scopes=["calendar:write"]))
    problem(denied, 403, "insufficient_scope")
    same(denied.headers["www-authenticate"], 'Bearer error="insufficient_scope", scope="calendar:read"')


# ---- flow 12 -------------------------------------------------------------------------------------------------------------

def event(number, tenant="family-1", amount=4999, **more):
    return json.dumps(dict({"id": "evt_%s" % number, "type": "charge.succeeded", "data": {"object": {"amount": amount, "metadata": {"tenant_id": tenant} if tenant else {}}}}, **more)).encode()


def recorded(world, number):
    return [row for row in world.store.rows("t_finance_transactions") if row["c_external_id"] == "evt_%s" % number]


def send(server, body, signature=None, name="Stripe-Signature"):
    return server.ask("POST", "/webhooks/stripe", body, headers={name: stripe_signature(body) if signature is None else signature})


def webhook_is_taken_once(world):
    body = event("once")
    same(send(world.server, body).json, {"received": True})
    until("the transaction is recorded", lambda: recorded(world, "once"))
    row = recorded(world, "once")[0]
    same((float(row["c_amount"]), row["c_category"], row["c_source"], row["tenant_id"]), (49.99, "SUBSCRIPTION", "stripe", "family-1"))
    same(send(world.server, body, name="X-Stripe-Signature").json, {"received": True, "duplicate": True})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(world.server, event("many")), range(16)))
    same([a.status for a in answers], [200] * 16)
    same(sum("duplicate" not in a.json for a in answers), 1)
    until("the transaction is recorded", lambda: recorded(world, "many"))
    same(len(recorded(world, "many")), 1)


def webhook_refuses(world):
    body, now = event("refused"), int(time.time())
    same(world.server.ask("POST", "/webhooks/stripe", body).status, 401)
    bad = {
        "another secret": stripe_signature(body, "whsec_of_somebody_else"), "too old": stripe_signature(body, at=now - 3600), "of tomorrow": stripe_signature(body, at=now + 3600),
        "another body": stripe_signature(body + b" "), "no timestamp": "v1=" + "0" * 64, "no v1": "t=%d,v0=%s" % (now, "0" * 64), "short": "t=%d,v1=00" % now, "empty": "", "two times": "t=1," + stripe_signature(body),
    }
    for what, signature in bad.items():
        answer = world.server.ask("POST", "/webhooks/stripe", body, headers={"Stripe-Signature": signature})
        assert answer.status == 401, "%s: %d" % (what, answer.status)
    problem(send(world.server, event("nobody", None)), 400)
    problem(send(world.server, b"{"), 400)
    same(send(world.server, event("big", note="x" * (1 << 20))).status, 413)
    same(recorded(world, "refused") + recorded(world, "nobody"), [])


def webhook_with_two_secrets(world):
    server = world.start(STRIPE_WEBHOOK_SECRET="whsec_the_one_to_come, " + STRIPE_SECRET)
    for number, secret in (("old", STRIPE_SECRET), ("new", "whsec_the_one_to_come")):
        body = event("secret_" + number)
        same(send(server, body, stripe_signature(body, secret)).status, 200)
    body = event("both")
    both = stripe_signature(body, "whsec_of_somebody_else") + "," + stripe_signature(body).split(",")[1]
    same(send(server, body, both).status, 200)
    same(server.stop(), 0)


# ---- answers and problems ---------------------------------------------------------------------------------------------------

def inputs_are_typed(world):
    user, ask = reader(), world.server.ask
    same(ask("GET", "/test/types/7?ratio=1.50&flag=true&tag=a&tag=b&day=2025-11-03", token=user, want=200).json, {"id": 7, "ratio": 1.50, "flag": True, "tag": ["a", "b"], "day": "2025-11-03"})
    for query, pointer in (("ratio=1&flag=true&tag=a", None), ("ratio=1&flag=maybe&tag=a", "/flag"), ("flag=true&tag=a", "/ratio"), ("ratio=1&ratio=2&flag=true&tag=a", "/ratio"),
                           ("ratio=1&flag=true&tag=a&colour=red", "/colour"), ("ratio=1&flag=true&tag=a&id=8", "/id"), ("ratio=1&flag=true&tag=a&day=never", "/day")):
        answer = ask("GET", "/test/types/7?" + query, token=user)
        if pointer is None:
            same(answer.status, 200)
        else:
            same(problem(answer, 400, "invalid")["errors"][0]["pointer"], pointer, query)
    same(problem(ask("GET", "/test/types/seven?ratio=1&flag=true&tag=a", token=user), 400)["errors"][0]["pointer"], "/id")
    wishes = [{"color": "RED", "sizes": [1, 2], "note": None}, {"color": "GREEN", "sizes": [3]}]
    same(ask("POST", "/test/people/eva/wishes", {"wishes": wishes}, user, want=200).json, 6)
    wishes[1]["sizes"] = [3, "four"]
    same(problem(ask("POST", "/test/people/eva/wishes", {"wishes": wishes}, user), 400)["errors"][0]["pointer"], "/wishes/1/sizes/1")
    problem(ask("POST", "/test/people/eva/wishes", {"wishes": [], "name": "max"}, user), 400)
    problem(ask("POST", "/test/people/eva/wishes", b"{", user), 400)
    problem(ask("POST", "/test/people/eva/wishes", b"[]", user), 400)
    problem(ask("POST", "/test/people/eva/wishes", b"a=b", user, {"Content-Type": "text/plain"}), 415)
    same(problem(ask("PUT", "/api/v1/chat", QUESTION, user), 405) and ask("PUT", "/api/v1/chat", QUESTION, user).headers["allow"], "POST")
    problem(ask("GET", "/nowhere", token=user), 404)
    same(ask("GET", "/test/open").json, "come in, public")
    away = ask("GET", "/test/away?to=here")
    same((away.status, away.headers["location"], away.json), (303, "/test/open?from=here", {"why": "you asked"}))


def failures_are_problems(world):
    user = reader()
    for kind, status, code in (("invalid", 400, "invalid"), ("denied", 403, "denied"), ("not_found", 404, "not_found"), ("conflict", 409, "conflict"), ("unavailable", 503, "unavailable"),
                               ("rate_limited", 429, "SLOW"), ("rejected", 422, "rejected"), ("internal", 500, "internal"), ("divide", 400, "invalid")):
        answer = world.server.ask("POST", "/test/refuse", {"kind": kind}, user)
        told = problem(answer, status, code)
        assert told["run"] == answer.headers["flow-run"], kind
        if kind == "internal":
            assert "detail" not in told and b"secret of the house" not in answer.body
        if kind in ("unavailable", "rate_limited"):
            same(answer.headers["retry-after"], "7" if kind == "unavailable" else "3")
    problem(world.server.ask("POST", "/test/late", {"pause": "1h"}, user), 504, "timeout")
    same(world.server.ask("POST", "/test/rare", {}, reader("rare"), want=200).json, 1)
    assert 3000 < int(world.server.ask("POST", "/test/rare", {}, reader("rare"), want=429).headers["retry-after"]) <= 3600


# ---- runs --------------------------------------------------------------------------------------------------------------------------

def questions_are_answered(world):
    user, other, admin = reader("cook"), reader("guest"), token("boss", scopes=["admin:all"])
    ask = world.server.ask
    parked = ask("POST", "/test/dinner", {"guests": 4}, user, want=202)
    url, run = parked.json["url"], parked.json["run"]
    same((parked.headers["location"], parked.json["status"], parked.json["questions"][0]["text"]), (url, "parked", "Dinner for 4?"))
    same(ask("GET", url, token=user, want=200).json["questions"][0]["type"], "bool")
    for stranger in (other, reader("cook", "family-2")):
        for method, path, body in (("GET", "", None), ("GET", "/journal", None), ("GET", "/trace", None), ("GET", "/events", None), ("POST", "/answer", {"value": True}), ("POST", "/cancel", {}), ("POST", "/fork", {"at": 1})):
            problem(ask(method, url + path, body, stranger), 404)
        assert run not in ask("GET", "/runs?limit=200", token=stranger, want=200).body.decode()
    same(ask("GET", url, token=admin, want=200).json["user"], "cook")
    same(problem(ask("POST", url + "/answer", {"value": "perhaps"}, user), 400)["errors"][0]["pointer"], "/value")
    same(problem(ask("POST", url + "/answer", {}, user), 400)["errors"][0]["pointer"], "/value")
    second = ask("POST", url + "/answer", {"value": True}, user, want=202)
    same((second.json["questions"][0]["text"], second.json["questions"][0]["choices"]), ("What?", ["fish", "rice"]))
    same(ask("POST", url + "/answer", {"value": "fish"}, user, want=200).json, {"text": "fish for 4, true"})
    problem(ask("POST", url + "/answer", {"value": "fish"}, user), 409)
    shown = ask("GET", url, token=user, want=200).json
    same((shown["status"], shown["result"], shown["cause"]), ("completed", {"text": "fish for 4, true"}, "POST /test/dinner"))
    journal = ask("GET", url + "/journal?limit=3", token=user, want=200).json
    same([e["seq"] for e in journal["entries"]], [1, 2, 3])
    rest = ask("GET", journal["next"].replace("limit=3", "limit=1000"), token=user, want=200).json["entries"]
    same(rest[0]["seq"], 4)
    answered = [e["seq"] for e in journal["entries"] + rest if e.get("effect") == "ask"][0]
    forked = ask("POST", url + "/fork", {"at": answered - 1}, user, want=201).json
    again = until("the copy asks", lambda: ask("GET", forked["url"], token=user, want=200).json.get("questions"))
    same(again[0]["text"], "Dinner for 4?")
    same(ask("POST", forked["url"] + "/answer", {"value": False}, user, want=200).json, {"text": "No dinner."})
    problem(ask("POST", url + "/fork", {"at": 9999}, user), 404)
    problem(ask("POST", url + "/retry", {}, user), 409)


def one_of_several_questions_is_answered(world):
    user, ask = reader("host"), world.server.ask
    parked = ask("POST", "/test/party", {"guests": 3}, user, want=202).json
    url, (cake, games) = parked["url"], parked["questions"]
    same((cake["text"], games["text"]), ("Cake for 3?", "Games?"))
    same(problem(ask("POST", url + "/answer", {"value": "chess", "request": "x"}, user), 400)["errors"][0]["pointer"], "/request")
    same(problem(ask("POST", url + "/answer", {"value": "chess", "hash": 7}, user), 400)["errors"][0]["pointer"], "/hash")
    problem(ask("POST", url + "/answer", {"value": "chess", "request": 99}, user), 409)
    assert "no hash" in problem(ask("POST", url + "/answer", {"value": "chess", "request": games["request"], "hash": "0" * 64}, user), 409)["detail"]
    left = ask("POST", url + "/answer", {"value": "chess", "request": games["request"]}, user, want=202).json
    same([q["text"] for q in left["questions"]], ["Cake for 3?"])
    problem(ask("POST", url + "/answer", {"value": "cards", "request": games["request"]}, user), 409)
    same(ask("POST", url + "/answer", {"value": True}, user, want=200).json, {"text": "true, chess"})


def canonical(tool, arguments):
    return hashlib.sha256(json.dumps({"arguments": arguments, "tool": tool}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def a_call_is_allowed_by_the_hash_of_what_was_shown(world):
    user, ask = reader("shopper"), world.server.ask
    plan = {"strategy": "SEQUENTIAL", "flow": [{"agent": "till", "action": "enter", "params": {"name": "milk"}},
                                               {"agent": "till", "action": "pay", "params": {"amount": 7, "guest": "Anna", "pin": "1234"}}]}
    parked = ask("POST", "/test/shop", {"plan": plan}, user, want=202).json
    url, question = parked["url"], parked["questions"][0]
    shown = {"amount": 7, "guest": "Anna", "pin": "***"}
    same([question[name] for name in ("kind", "text", "tool", "arguments", "type")], ["approve", "Allow till.pay?", "till.pay", shown, "bool"])
    same(question["hash"], canonical("till.pay", dict(shown, pin="1234")))
    same(ask("GET", url, token=user, want=200).json["questions"], [question])
    stream = world.server.stream("GET", url + "/events", token=user)
    same(stream.next()[2]["questions"], [question])
    stream.close()
    for answer in ({"value": True}, {"value": "yes, Allow till.pay?"}, {"value": True, "hash": "0" * 64}, {"value": True, "hash": ""}, {"value": True, "request": question["request"]},
                   {"value": True, "hash": canonical("till.pay", shown)}):
        told = problem(ask("POST", url + "/answer", answer, user), 409)
        assert "till.pay" in told["detail"] and "`hash`" in told["detail"] and question["hash"] not in told["detail"], told
    problem(ask("POST", url + "/answer", {"value": "maybe", "hash": question["hash"]}, user), 400)
    same(ask("POST", url + "/answer", {"value": True, "hash": question["hash"]}, user, want=200).json, {"steps": 2})
    problem(ask("POST", url + "/answer", {"value": True, "hash": question["hash"]}, user), 409)
    journal = ask("GET", url + "/journal?limit=1000", token=user, want=200)
    assert "1234" not in journal.body.decode()
    loaded = [e for e in journal.json["entries"] if e.get("effect") == "plan_load"]
    same((len(loaded), loaded[0]["args"]["allow"], loaded[0]["args"]["scopes"]), (1, ["till.*"], READ))
    same(loaded[0]["args"]["plan"]["flow"][1]["params"], {"amount": 7, "guest": "Anna", "pin": "***"})


def a_plan_may_what_the_token_may(world):
    ask = world.server.ask
    plan = {"strategy": "SEQUENTIAL", "flow": [{"agent": "till", "action": "look", "params": {"name": "milk"}}, {"agent": "till", "action": "enter", "params": {"name": "milk"}}]}
    same(ask("POST", "/test/shop", {"plan": plan}, reader("two"), want=200).json, {"steps": 2})
    same(ask("POST", "/test/shop", {"plan": plan}, token("boss", scopes=["admin:all"]), want=200).json, {"steps": 2})
    problem(ask("POST", "/test/shop", {"plan": plan}, token("less", scopes=["calendar:read"])), 403, "E0726")
    problem(ask("POST", "/test/shop", {"plan": {"strategy": "SEQUENTIAL", "flow": [{"agent": "calendar", "action": "create_appointment", "params": {"title": "x"}}]}}, reader("more")), 403, "E0725")


def runs_are_listed_cancelled_and_tried_again(world):
    user, ask = reader("lister"), world.server.ask
    waiting = [ask("POST", "/test/dinner", {"guests": n}, user, want=202).json["url"] for n in range(5)]
    problem(ask("POST", "/test/refuse", {"kind": "not_found"}, user), 404)
    seen, page = [], "/runs?limit=2"
    while page:
        told = ask("GET", page, token=user, want=200).json
        assert len(told["runs"]) <= 2
        seen += [r["url"] for r in told["runs"]]
        page = told.get("next")
    same(len(seen), 6)
    same(seen[1:], list(reversed(waiting)))
    same(len(ask("GET", "/runs?status=failed", token=user, want=200).json["runs"]), 1)
    same([r["input"] for r in ask("GET", "/runs?flow=dinner&q=%22guests%22:3", token=user, want=200).json["runs"]], [{"guests": 3}])
    problem(ask("GET", "/runs?status=lost", token=user), 400)
    ask("POST", waiting[0] + "/cancel", {}, user, want=202)
    until("the run is cancelled", lambda: ask("GET", waiting[0], token=user, want=200).json["status"] == "cancelled")
    problem(ask("POST", waiting[0] + "/cancel", {}, user), 409)
    again = ask("POST", seen[0] + "/retry", {}, user, want=201).json["url"]
    until("the second try fails, too", lambda: ask("GET", again, token=user, want=200).json["status"] == "failed")


def keys_make_one_run(world):
    user, key = reader("keyed"), {"Idempotency-Key": "k-1"}
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: world.server.ask("POST", "/test/dinner", {"guests": 2}, user, key), range(12)))
    same({a.status for a in answers}, {202})
    same(len({a.json["run"] for a in answers}), 1)
    problem(world.server.ask("POST", "/test/dinner", {"guests": 3}, user, key), 422)
    assert world.server.ask("POST", "/test/dinner", {"guests": 2}, reader("other"), key, want=202).json["run"] != answers[0].json["run"]
    problem(world.server.ask("POST", "/test/dinner", {"guests": 2}, user, {"Idempotency-Key": "x" * 256}), 400)
    same(world.server.ask("POST", "/test/steps", {"count": 1, "pause": "1h"}, user, {"Prefer": "respond-async"}, want=202).json["status"], "running")
    same(world.server.ask("POST", "/test/steps", {"count": 1, "pause": "1h"}, user, {"Prefer": "wait=1"}, want=202).json["status"], "parked")


# ---- streams ---------------------------------------------------------------------------------------------------------------------------

def percents(events):
    return [data["percent"] for _, name, data in events if name == "progress"]


def stream_tells_and_resumes(world):
    user = reader("streamer")
    stream = world.server.stream("POST", "/test/steps/stream", {"count": 20, "pause": "60ms"}, user)
    first = [stream.next() for _ in range(3)]
    same(first[0][1:], ("progress", {"type": "progress", "text": "step 1", "percent": 1}))
    stream.close()
    resumed = world.server.stream("GET", stream.location, token=user, headers={"Last-Event-ID": first[-1][0]})
    rest = resumed.rest()
    same(percents(first) + percents(rest), list(range(1, 21)))
    same(rest[-1][1:], ("complete", {"type": "complete", "data": {"done": 20}}))
    whole = world.server.stream("GET", stream.location, token=user).rest()
    same([e[0] for e in whole], [e[0] for e in first + rest], "the ids are those of the journal")
    same(world.server.ask("GET", stream.location, token=user, headers={"Last-Event-ID": rest[-1][0]}).status, 204)
    problem(world.server.ask("POST", "/test/steps/stream", {"count": "x"}, user), 400)
    problem(world.server.ask("POST", "/test/steps/stream", {"count": 1, "pause": "1s"}, user, {"Last-Event-ID": "3"}), 409)
    asked = world.server.ask("POST", "/test/dinner", {"guests": 4}, user, want=202).json["url"]
    stream = world.server.stream("GET", asked + "/events", token=user)
    same(stream.next()[2]["questions"][0]["text"], "Dinner for 4?")
    world.server.ask("POST", asked + "/answer", {"value": False}, user, want=200)
    same(stream.next()[2], {"type": "complete", "data": {"text": "No dinner."}})
    failed = world.server.ask("POST", "/test/refuse", {"kind": "internal"}, user).headers["flow-run"]
    end = world.server.stream("GET", "/runs/%s/events" % failed, token=user).rest()[-1]
    same((end[1], end[2]["error"]["code"]), ("failed", "internal"))


def stream_that_is_left_is_cancelled(world):
    user = reader("leaver")
    stream = world.server.stream("POST", "/test/steps/mine", {"count": 500, "pause": "100ms"}, user)
    stream.next()
    url = stream.location.replace("/events", "")
    stream.close()
    until("the run is cancelled", lambda: world.server.ask("GET", url, token=user, want=200).json["status"] == "cancelled")


# ---- several processes, and their ends ----------------------------------------------------------------------------------------------------

def another_process_goes_on(world):
    """A run that began in one process is followed in a second one, which takes it over when the first is killed."""
    user, first = reader("mover"), world.start("--lease", "1s")
    run = first.ask("POST", "/test/steps", {"count": 30, "pause": "70ms"}, user, {"Prefer": "respond-async"}, want=202).json
    stream = world.server.stream("GET", run["url"] + "/events", token=user)
    told = [stream.next() for _ in range(4)]
    first.kill()
    told += stream.rest()
    same(percents(told), list(range(1, 31)))
    same(told[-1][1], "complete")


def question_answered_elsewhere(world):
    user, second = reader("elsewhere"), world.start()
    url = world.server.ask("POST", "/test/dinner", {"guests": 2}, user, want=202).json["url"]
    stream = second.stream("GET", url + "/events", token=user)
    same(stream.next()[1], "question")
    world.server.ask("POST", url + "/answer", {"value": False}, user, want=200)
    same(stream.next()[1], "complete")
    key = {"Idempotency-Key": "two processes"}
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: (world.server, second)[n % 2].ask("POST", "/test/dinner", {"guests": 2}, user, key, want=202), range(12)))
    same(len({a.json["run"] for a in answers}), 1)
    same(second.stop(), 0)


def end_of_a_process_loses_nothing(world):
    user, server = reader("ender"), world.start("--drain", "1s")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        waiting = pool.submit(server.ask, "POST", "/test/steps", {"count": 4, "pause": "1s"}, user, {"Prefer": "wait=60"})
        quick = pool.submit(server.ask, "POST", "/test/steps", {"count": 8, "pause": "60ms"}, user, {"Prefer": "wait=60"})
        stream = server.stream("POST", "/test/steps/stream", {"count": 4, "pause": "1s"}, user)
        told = [stream.next()]
        until("all of them run", lambda: len(world.server.ask("GET", "/runs?flow=steps", token=user, want=200).json["runs"]) == 3)
        code = server.stop()
        same(code, 0)
        same(quick.result().json, {"done": 8}, "what ends in time is answered")
        same(waiting.result().status, 202)
        told += stream.rest()
    resumed = world.server.stream("GET", stream.location, token=user, headers={"Last-Event-ID": told[-1][0]})
    same(percents(told) + percents(resumed.rest()), list(range(1, 5)))
    until("the other run ends", lambda: world.server.ask("GET", waiting.result().json["url"], token=user, want=200).json.get("result") == {"done": 4})


def health_and_log(world):
    same(world.server.ask("GET", "/healthz", want=200).json, {"alive": True})
    same(world.server.ask("GET", "/readyz", want=200).json, {"ready": True})
    paths = world.server.ask("GET", "/openapi.json", want=200).json["paths"]
    assert "/api/v1/chat" in paths, sorted(paths)
    known = world.server.ask("GET", "/test/types/7?ratio=1&flag=true&tag=personal-tag", token=reader("personal-user"), want=200).headers["x-request-id"]
    line = until("it is logged", lambda: [l for l in world.server.log() if l.get("route") == "/test/types/{id}" and l["id"] == known])[-1]
    same((line["event"], line["method"], line["status"]), ("request", "GET", 200))
    assert "personal" not in "".join(world.server.lines)


TESTS = [question_of_the_documents, tokens_that_are_none, webhook_is_taken_once, webhook_refuses, webhook_with_two_secrets, inputs_are_typed, failures_are_problems,
         questions_are_answered, one_of_several_questions_is_answered, a_call_is_allowed_by_the_hash_of_what_was_shown, a_plan_may_what_the_token_may,
         runs_are_listed_cancelled_and_tried_again, keys_make_one_run, stream_tells_and_resumes, stream_that_is_left_is_cancelled, another_process_goes_on,
         question_answered_elsewhere, end_of_a_process_loses_nothing, health_and_log]


def main():
    passed = failed = 0
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    for postgres in (False, True) if SERVICES else (False,):
        world = World(BUILD, SERVICES, postgres, FILES)
        try:
            for test in TESTS:
                if only not in test.__name__:
                    continue
                began = time.monotonic()
                try:
                    test(world)
                    passed += 1
                    print("  ok %s %s (%.1f s)" % ("pg" if postgres else "sqlite", test.__name__.replace("_", " "), time.monotonic() - began), flush=True)
                except Exception:
                    failed += 1
                    print("FAIL %s %s\n%s" % ("pg" if postgres else "sqlite", test.__name__, traceback.format_exc()), flush=True)
        finally:
            world.close()
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
