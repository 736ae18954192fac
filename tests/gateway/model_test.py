#!/usr/bin/env python3
"""flowd with a language model on the loopback: who answers, what is written down of it, and what happens when the model or flowd dies.

Usage: model_test.py BUILD        closes with `N passed, N failed`
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from model import Model, Reply
from stream_client import run_tests, same, until

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "model.flow")
KEY = "sk-of-the-test-0123456789"
UNDERSTOOD = {"intents": ["BOOK"], "city": "Oslo", "nights": 3, "said": "a model speaks"}


class Place:
    """A store of its own, and flowd on it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="flow_model_")
        self.store = "sqlite:" + os.path.join(self.folder, "flow.db")

    def environment(self, more):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("FLOW_") or k == "FLOW_STDLIB"}
        return dict(clean, FLOW_STORE=self.store, **more)

    def flowd(self, *args, **more):
        return subprocess.run([os.path.join(BUILD, "flowd")] + list(args), env=self.environment(more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, universal_newlines=True)

    def run(self, flow, text, *args, **more):
        return self.flowd("run", PROGRAM, flow, "--input", json.dumps({"text": text}), *args, **more)

    def begin(self, *args, **more):
        return subprocess.Popen([os.path.join(BUILD, "flowd")] + list(args), env=self.environment(more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def holds(self, text):
        return any(text.encode() in open(os.path.join(self.folder, name), "rb").read() for name in os.listdir(self.folder))

    def log(self):
        return ""

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def clever(prompt, request):
    """Answers by what it is asked; a schema is in the request or in the first message."""
    first = request["messages"][0]["content"]
    if "every intent" in first:
        return '{"answer": ["BOOK"]}'
    if "find the intent" in first:
        return '{"answer": "BOOK"}'
    if "`missing`" in first:
        return '{"answer": {"city": "Oslo", "nights": 3}, "missing": []}'
    return "a model speaks"


def a_model_answers(place, dialect):
    model = Model(clever)
    done = place.run("understand", "Book a flight to Rome", **model.environment(dialect))
    same(done.returncode, 0, done.stderr)
    same(json.loads(done.stdout), UNDERSTOOD)
    same(len(model.requests), 3)
    run = re.search(r"run (R-\w+)", done.stderr).group(1)
    trace = place.flowd("trace", run).stdout
    same(len(re.findall(r"main: test-model, 7 \+ 3 tokens", trace)), 3, trace)
    same(model.heads[0].get("Authorization"), "Bearer " + KEY)
    assert not place.holds(KEY), "the key is in the store"
    assert KEY not in done.stdout + done.stderr + trace
    schema = model.requests[1]["format"] if dialect == "ollama" else model.requests[1]["response_format"]["json_schema"]["schema"]
    same(sorted(schema["properties"]), ["answer", "missing"])
    model.close()


def openai(place_of):
    a_model_answers(place_of(), "openai")


def ollama(place_of):
    a_model_answers(place_of(), "ollama")


def without_a_model_the_rules_answer_and_it_is_said_once(place_of):
    place = place_of()
    done = place.run("understand", "Book a flight to Rome")
    same(json.loads(done.stdout), {"intents": ["BOOK"], "city": "Rome", "nights": None, "said": "Book a flight to Rome"})
    same(done.stderr.count("no language model is configured"), 1, done.stderr)
    quiet = place.run("understand", "Book a flight to Rome", "--quiet")
    same(quiet.stderr, "")


def a_model_that_is_down_is_replaced_by_the_rules(place_of):
    place = place_of()
    model = Model(clever)
    environment = model.environment()
    model.close()
    done = place.run("understand", "Book a flight to Rome", **environment)
    same(json.loads(done.stdout)["city"], "Rome")
    assert "`main` fails (ECONNREFUSED)" in done.stderr, done.stderr
    trace = place.flowd("trace", re.search(r"run (R-\w+)", done.stderr).group(1)).stdout
    assert "rules, instead of main (ECONNREFUSED)" in trace and "rules, instead of main (down)" in trace, trace


def the_next_in_the_chain_answers(place_of):
    place = place_of()
    first, second = Model(lambda prompt, request: Reply(status=401)), Model(clever)
    more = dict(first.environment(), FLOW_LLM_FALLBACK="near,none", FLOW_LLM_NEAR_PROVIDER="ollama", FLOW_LLM_NEAR_URL=second.url, FLOW_LLM_NEAR_MODEL="small")
    done = place.run("understand", "Book", **more)
    same(json.loads(done.stdout), UNDERSTOOD)
    same(len(first.requests), 1, "a refusal is not repeated, and the refused one is left alone")
    assert "Authorization" not in second.heads[0]
    trace = place.flowd("trace", re.search(r"run (R-\w+)", done.stderr).group(1)).stdout
    assert "near: small, 7 + 3 tokens, after main (status 401)" in trace, trace
    first.close(), second.close()


def a_model_that_is_slow_meets_the_deadline(place_of):
    place = place_of()
    hold = threading.Event()
    model = Model(lambda prompt, request: Reply("too late", hold=hold))
    done = place.run("in_time", "Hello", **model.environment())
    same(json.loads(done.stdout) if done.stdout.startswith('"') else done.stdout.strip(), "later", done.stderr)
    hold.set()
    model.close()


def nonsense_is_repaired_once_and_then_replaced(place_of):
    place = place_of()
    said = iter(["BOOK, I think", '{"answer": ["CANCEL"]}'])
    model = Model(lambda prompt, request: next(said, "nonsense") if "every intent" in request["messages"][0]["content"] else "never JSON")
    done = place.run("understand", "Book a flight to Rome", **model.environment())
    found = json.loads(done.stdout)
    same((found["intents"], found["city"], found["said"]), (["CANCEL"], "Rome", "never JSON"))
    same(len(model.requests), 2 + 2 + 1)
    model.close()


def a_crash_before_the_answer_asks_again_and_after_it_does_not(place_of):
    place = place_of()
    hold = threading.Event()
    model = Model(lambda prompt, request: Reply("first", hold=hold) if len(model.requests) == 1 else Reply("second"))
    flowd = place.begin("run", PROGRAM, "and_ask", "--input", '{"text": "x"}', **model.environment())
    until(lambda: model.requests, "the question")
    flowd.send_signal(signal.SIGKILL)
    flowd.communicate()
    hold.set()
    done = place.flowd("resume", **model.environment())
    same(len(model.requests), 2, done.stderr)
    parked = json.loads(place.flowd("ps", "--json").stdout.splitlines()[0])
    assert "second?" in json.dumps(parked), parked
    run = re.search(r"R-\w+", json.dumps(parked)).group(0)
    place.flowd("answer", run, "true", **model.environment())
    place.flowd("resume", **model.environment())
    same(len(model.requests), 2, "what is journalled is not asked again")
    assert "second true" in place.flowd("show", run).stdout


def many_runs_leave_a_dead_model_alone(place_of):
    place = place_of()
    model = Model(lambda prompt, request: Reply(status=503))
    for i in range(30):
        same(place.run("one", "book %d" % i, "--park", "--quiet").returncode, 3)
    worker = place.begin("worker", **model.environment())
    until(lambda: place.flowd("ps", "--json").stdout.strip() in ("", "[]"), "the end of all runs")
    worker.send_signal(signal.SIGTERM)
    log = worker.communicate(timeout=60)[1].decode()
    same(log.count('"event":"llm_down","provider":"main","why":"status 503"'), 1, log)
    assert len(model.requests) <= 30 * 3, "a provider that was given up was asked"
    before = len(model.requests)
    worker = place.begin("worker", **model.environment())
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    same(len(model.requests), before)
    assert KEY not in log
    model.close()


def wrong_settings_are_refused_without_the_key(place_of):
    place = place_of()
    for more in ({"FLOW_LLM_KEY": KEY}, {"FLOW_LLM_URL": "http://user:%s@x" % KEY, "FLOW_LLM_MODEL": "m"}, {"FLOW_LLM_URL": "http://x", "FLOW_LLM_MODEL": "m", "FLOW_LLM_KEY": KEY + "\n"}):
        done = place.run("one", "book", **more)
        same(done.returncode, 2)
        assert "FLOW_LLM_" in done.stderr and KEY not in done.stderr, done.stderr


def what_is_personal_is_in_no_trace(place_of):
    place = place_of()
    model = Model(lambda prompt, request: "About Anna Smith.")
    done = place.run("private", "Anna Smith", **model.environment())
    same(done.stdout.strip().strip('"'), "About Anna Smith.")
    run = re.search(r"run (R-\w+)", done.stderr).group(1)
    for form in ("text", "mermaid"):
        trace = place.flowd("trace", run, "--format", form).stdout
        assert "llm_complete" in trace and "***" in trace and "Anna Smith" not in trace, trace
    model.close()


def what_a_personal_request_makes_of_a_plan_is_in_no_trace(place_of):
    place = place_of()
    said = iter(["greets", "greet"])

    def answer(prompt, request):
        if "coordinator" not in request["messages"][0]["content"]:
            return "About Anna Smith."
        return json.dumps({"strategy": "SEQUENTIAL", "flow": [{"agent": "people", "action": next(said), "params": {"name": "Anna Smith"}}]})
    model = Model(answer)
    done = place.run("private_plan", "Say hello to Anna Smith", **model.environment())
    same(done.stdout.strip().strip('"'), "About Anna Smith.", done.stderr)
    same(len(model.requests), 3)
    assert "Hello Anna Smith" in model.requests[2]["messages"][0]["content"], "the model is told what was done"
    run = re.search(r"run (R-\w+)", done.stderr).group(1)
    told = [place.flowd("trace", run, "--format", form).stdout for form in ("text", "mermaid")] + [place.flowd("plans", run).stdout]
    assert "plan refused: E0724 at /flow/0/action" in told[0] and '"refused":"E0724"' in told[2], told
    for text in told:
        assert "***" in text and "Anna" not in text, text
    model.close()


TESTS = [openai, ollama, without_a_model_the_rules_answer_and_it_is_said_once, a_model_that_is_down_is_replaced_by_the_rules, the_next_in_the_chain_answers, a_model_that_is_slow_meets_the_deadline,
         nonsense_is_repaired_once_and_then_replaced, a_crash_before_the_answer_asks_again_and_after_it_does_not, many_runs_leave_a_dead_model_alone, wrong_settings_are_refused_without_the_key,
         what_is_personal_is_in_no_trace, what_a_personal_request_makes_of_a_plan_is_in_no_trace]


if __name__ == "__main__":
    sys.exit(run_tests(TESTS, Place))
