#!/usr/bin/env python3
"""Flow 1 over HTTP with a model on the loopback: it answers, is down, is slow, talks nonsense.

Usage: question_test.py BUILD        closes with `N passed, N failed`
"""
import json
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from model import Model, Reply
from stream_client import Served, run_tests, same

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
QUESTION = {"message": "What's on my calendar today?", "session_id": "s-1"}
NOTHING = "You have no appointments today."                # what the rules make of the empty list


def is_intent(request):
    return "find the intent" in request["messages"][0]["content"]


class World:
    def __init__(self, answer, **more):
        self.model = Model(answer)
        self.served = Served(BUILD, "flows/01_simple_query.flow", **dict(self.model.environment(), **more))
        self.anna = self.served.token("anna", "family-123", "calendar:read")

    def ask(self, question=None):
        connection, response = self.served.connect("POST", "/api/v1/chat", self.anna, question or QUESTION)
        body = json.loads(response.read())
        run = response.getheader("Flow-Run")
        connection.close()
        return response.status, body, run

    def trace(self, run):
        return self.served.flowd("trace", run, "--as", "anna@family-123").stdout

    def log(self):
        return self.served.log()

    def close(self):
        self.served.close()
        self.model.close()


def the_model_understands_and_tells(world_of):
    world = world_of(lambda prompt, request: '{"answer": "CALENDAR_QUERY"}' if is_intent(request) else "Nothing at all today!")
    status, body, run = world.ask({"message": "Anything I should know?"})
    same((status, body["text"], body["appointments"]), (200, "Nothing at all today!", []))
    same(len(world.model.requests), 2)
    same(world.trace(run).count("main: test-model, 7 + 3 tokens"), 2)


def a_model_that_is_down_leaves_the_rules(world_of):
    world = world_of(lambda prompt, request: Reply(status=503))
    status, body, run = world.ask()
    same((status, body["text"]), (200, NOTHING))
    trace = world.trace(run)
    assert "rules, instead of main (status 503)" in trace, trace
    asked = len(world.model.requests)
    same(world.ask()[1]["text"], NOTHING)
    same(len(world.model.requests), asked, "it is left alone for a while")


def nonsense_leaves_the_rules(world_of):
    world = world_of(lambda prompt, request: "DROP TABLE appointments" if is_intent(request) else Reply("x" * 300000))
    status, body, run = world.ask()
    same((status, body["text"]), (200, NOTHING))
    same(len(world.model.requests), 3)                     # the intent, its repair, the text


def a_model_that_is_too_slow_for_its_provider_leaves_the_rules(world_of):
    hold = threading.Event()
    world = world_of(lambda prompt, request: Reply("late", hold=hold), FLOW_LLM_TIMEOUT="300ms")
    same(world.ask()[1]["text"], NOTHING)
    hold.set()


def a_model_that_is_slow_meets_the_deadlines_of_the_program(world_of):
    """Two at once, since both wait for their deadline: that of the call, which has an `else`, and that of the flow."""
    hold = threading.Event()
    telling = world_of(lambda prompt, request: '{"answer": "CALENDAR_QUERY"}' if is_intent(request) else Reply("late", hold=hold))
    understanding = world_of(lambda prompt, request: Reply("late", hold=hold))
    found = {}
    threads = [threading.Thread(target=lambda name=name, world=world: found.update({name: world.ask()})) for name, world in (("telling", telling), ("understanding", understanding))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    same((found["telling"][0], found["telling"][1]["text"]), (200, NOTHING))
    same((found["understanding"][0], found["understanding"][1]["code"]), (504, "timeout"))
    asked = len(understanding.model.requests)
    hold.set()
    same(understanding.ask({"message": "Hello"})[0], 200)  # the model is not given up for our own haste
    same(len(understanding.model.requests) > asked, True)


TESTS = [the_model_understands_and_tells, a_model_that_is_down_leaves_the_rules, nonsense_leaves_the_rules, a_model_that_is_too_slow_for_its_provider_leaves_the_rules,
         a_model_that_is_slow_meets_the_deadlines_of_the_program]


if __name__ == "__main__":
    sys.exit(run_tests(TESTS, World))
