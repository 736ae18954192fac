#!/usr/bin/env python3
"""Flow 3 over HTTP with a model on the loopback: progress, the answer while it is written, clients that go away, come back, are slow, or see the server die.

Usage: streams_test.py BUILD [--postgres]        closes with `N passed, N failed`; --postgres: on the servers of FLOW_TEST_POSTGRES and FLOW_TEST_REDIS
"""
import json
import os
import signal
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from model import Model, Reply
from stream_client import Events, Served, run_tests, same, servers, texts_of, until

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
SCOPES = "learning:read,learning:write"
PAPER = "\f".join("Page %d. %s\n\nFinding %d." % (page, "Ünd so on. " * 20, page) for page in range(1, 51))
PERCENTS = [0, 20, 40, 60, 80, 100]


def is_summary(request):
    return request["messages"][-1]["content"].startswith("Synthesize final summary")


class World:
    """The served flow, a model, a document."""

    def __init__(self, answer):
        self.model = Model(answer)
        self.served = Served(BUILD, "flows/03_streaming.flow", **dict(self.model.environment(), **(servers() if "--postgres" in sys.argv else {})))
        self.anna = self.served.token("anna", "family-123", SCOPES)
        status, body = self.served.ask("POST", "/api/v1/documents", self.anna, {"title": "On long papers", "text": PAPER})
        same((status, body["pages"]), (200, 50))
        self.document = body["document_id"]

    def chat(self, token=None, headers=None):
        return Events(*self.served.connect("POST", "/api/v1/chat/stream", token or self.anna, {"message": "Summarize this", "document_id": self.document}, headers))

    def follow(self, run, last_id=None, at=None):
        return Events(*(at or self.served).connect("GET", "/runs/%s/events" % run, self.anna, headers={"Last-Event-ID": last_id} if last_id else None))

    def status(self, run):
        return self.served.ask("GET", "/runs/%s" % run, self.anna)[1]["status"]

    def nothing_is_left(self):
        store = self.served.environment["FLOW_STORE"]
        assert not self.served.flowd("ps", "--json", "--as", "anna@family-123").stdout.strip().strip("[]"), "a run is left"
        same(self.served.flowd("fsck").returncode, 0, store)

    def log(self):
        return self.served.log()

    def close(self):
        self.served.close()
        self.model.close()


def notes_and(summary):
    """A model that sums up each part at once, and all of it with the reply that is given."""
    return lambda prompt, request: summary() if is_summary(request) else "a note"


def the_whole_way(world_of):
    world = world_of(notes_and(lambda: Reply(pieces=["Long ", "papers ", "are long: ", "5 € a pa", "ge 😀."])))
    stream = world.chat()
    events = stream.rest()
    same([d["percent"] for _, n, d in events if n == "progress"], PERCENTS)
    same(events[0][2], {"type": "progress", "text": "Reading document...", "percent": 0})
    same(texts_of(events), ["Long papers are long: 5 € a page 😀."])
    same(events[-1][1:], ("complete", {"type": "complete", "data": {"text": "Long papers are long: 5 € a page 😀.", "pages": 50, "parts": 5}}))
    same(len(world.model.requests), 6)
    same([r["messages"][-1]["content"].split("\n")[0] for r in world.model.requests[:5]], ["Chunk %d (pages %d-%d)" % (p // 10 + 1, p, p + 9) for p in (1, 11, 21, 31, 41)])
    entries = world.served.ask("GET", "/runs/%s/journal" % stream.run, world.anna)[1]["entries"]
    told = [e["result"] for e in entries if e["entry"] == "model"]
    same([(t["provider"], t["model"], t["prompt_tokens"], t["completion_tokens"]) for t in told], [("main", "test-model", 7, 3)] * 5 + [("main", "test-model", 7, 5)])
    shown = [e["args"][0] for e in entries if e["entry"] == "result" and e["name"] == "llm_complete"]
    assert len(shown) == 5 and all(len(text.encode()) <= 1003 and text.endswith("…") for text in shown), shown
    world.nothing_is_left()


def pieces_come_while_the_model_writes(world_of):
    hold = threading.Event()
    world = world_of(notes_and(lambda: Reply(pieces=["First", " and last"], hold=hold)))
    stream = world.chat()
    before = stream.until(lambda name, data: name == "text")
    same(before[-1][2]["text"], "First")                   # the model has not said the rest
    late = world.follow(stream.run)
    missed = late.until(lambda name, data: name == "text") # a piece that it did not hear
    hold.set()
    for events in (before + stream.rest(), missed + late.rest()):
        same([e[2]["text"] for e in events if e[1] == "text"], ["First", " and last"])
        assert not any(e[2].get("replace") for e in events), events
    events = world.follow(stream.run).rest()
    same([(e[2]["text"], e[2].get("replace")) for e in events if e[1] == "text"], [("First and last", None)])


def who_goes_away_ends_the_run(world_of):
    hold = threading.Event()
    world = world_of(notes_and(lambda: Reply(pieces=["First", " and last"], hold=hold)))
    stream = world.chat()
    stream.until(lambda name, data: name == "text")
    stream.close()
    until(lambda: world.status(stream.run) == "cancelled", "a cancelled run")
    asked = len(world.model.requests)
    hold.set()
    assert world.model.gone.wait(30), "the model's request was not broken off"
    same(len(world.model.requests), asked, "nothing more is asked")
    trace = world.served.flowd("trace", stream.run, "--as", "anna@family-123").stdout
    assert "Cancel" in trace, trace
    world.nothing_is_left()


def who_comes_back_in_time_goes_on(world_of):
    hold = threading.Event()
    world = world_of(notes_and(lambda: Reply(pieces=["First", " and last"], hold=hold)))
    stream = world.chat()
    before = stream.until(lambda name, data: name == "text")
    stream.close()
    again = world.follow(stream.run, stream.last_id)
    more = again.until(lambda name, data: name == "text")
    same(texts_of(before + more), ["First"])               # what there is, once
    hold.set()
    after = again.rest()
    same(texts_of(before + more + after), ["First and last"])
    same([d["percent"] for _, n, d in before + more + after if n == "progress"], PERCENTS)
    same(after[-1][1], "complete")
    same(world.status(stream.run), "completed")


def who_comes_back_and_goes_again_ends_the_run(world_of):
    hold = threading.Event()
    world = world_of(notes_and(lambda: Reply(pieces=["First", " and last"], hold=hold)))
    stream = world.chat()
    stream.until(lambda name, data: name == "text")
    stream.close()
    again = world.follow(stream.run, stream.last_id)
    again.until(lambda name, data: name == "text")
    again.close()
    until(lambda: world.status(stream.run) == "cancelled", "a cancelled run")
    hold.set()


def a_stream_resumes_behind_every_event(world_of):
    world = world_of(notes_and(lambda: Reply(pieces=["First", " and last"])))
    stream = world.chat()
    events = stream.rest()
    for i, (last_id, _, _) in enumerate(events):
        again = world.follow(stream.run, last_id) if i + 1 < len(events) else None
        if again is None:
            continue
        rest = again.rest()
        same([e for e in rest if e[1] != "text"], [e for e in events[i + 1:] if e[1] != "text"], "behind " + last_id)
        same(texts_of(events[:i + 1] + rest), ["First and last"], "behind " + last_id)
        ids = [e[0] for e in rest if e[1] != "text"]
        same(len(set(ids)), len(ids))


def what_breaks_off_is_replaced_and_never_told_twice(world_of):
    tries = iter([Reply(pieces=["The cat ", "sat on"], drop=True), Reply(pieces=["The cat ", "sleeps."])])
    world = world_of(notes_and(lambda: next(tries)))
    events = world.chat().rest()
    same(texts_of(events), ["The cat sleeps."])
    same(events[-1][2]["data"]["text"], "The cat sleeps.")


def a_model_that_is_down_leaves_the_rules(world_of):
    world = world_of(lambda prompt, request: Reply(status=503))
    events = world.chat().rest()
    wanted = "\n".join("Pages %d-%d: Finding %d." % (p, p + 9, p + 9) for p in (1, 11, 21, 31, 41))
    same(texts_of(events), [wanted])
    same(events[-1][1:], ("complete", {"type": "complete", "data": {"text": wanted, "pages": 50, "parts": 5}}))


def after_a_crash_the_stream_goes_on(world_of):
    hold = threading.Event()
    replies = iter([Reply(pieces=["Once ", "upon"], hold=hold), Reply(pieces=["Twice ", "told"])])
    world = world_of(notes_and(lambda: next(replies)))
    stream = world.chat()
    before = stream.until(lambda name, data: name == "text")
    world.served.process.send_signal(signal.SIGKILL)
    world.served.process.wait()
    hold.set()
    asked = len(world.model.requests)
    world.served.start()
    after = world.follow(stream.run, stream.last_id).rest()
    same(len(world.model.requests), asked + 1, "only the summary is asked for again")
    same(texts_of(before + after), ["Twice told"])
    same([d["percent"] for _, n, d in before + after if n == "progress"], PERCENTS)
    same(after[-1][1], "complete")
    once_more = world.follow(stream.run).rest()            # from the journal alone: nobody is asked
    same(texts_of(once_more), ["Twice told"])
    same(len(world.model.requests), asked + 1)


def another_process_tells_what_is_durable(world_of):
    hold = threading.Event()
    world = world_of(notes_and(lambda: Reply(pieces=["First", " and last"], hold=hold)))
    second = world.served.beside()
    try:
        stream = world.chat()
        stream.until(lambda name, data: name == "text")
        elsewhere = world.follow(stream.run, at=second)
        before = elsewhere.until(lambda name, data: data.get("percent") == 100)
        hold.set()
        events = before + elsewhere.rest()
        same([d["percent"] for _, n, d in events if n == "progress"], PERCENTS)
        same(texts_of(events), ["First and last"])
        same(events[-1][1], "complete")
        same(stream.rest()[-1][1], "complete")
    finally:
        second.stop()


def a_slow_client_stalls_nobody(world_of):
    text = "x" * 100000
    world = world_of(notes_and(lambda: Reply(pieces=[text[i:i + 1000] for i in range(0, len(text), 1000)])))
    slow = []
    for i in range(10):
        s = socket.create_connection(("127.0.0.1", world.served.port))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = json.dumps({"message": "x", "document_id": world.document})
        s.sendall(("POST /api/v1/chat/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (world.anna, len(body), body)).encode())
        slow.append(s)                                     # and nothing is ever read
    for i in range(5):
        events = world.chat().rest()
        same(texts_of(events), [text])
        same(events[-1][1], "complete")
    same(world.served.process.poll(), None)
    for s in slow:
        s.close()


def a_stream_is_for_its_owner(world_of):
    world = world_of(notes_and(lambda: Reply("done")))
    stream = world.chat()
    stream.rest()
    same(world.served.ask("GET", "/runs/%s/events" % stream.run, world.served.token("bob", "family-123", SCOPES))[0], 404)
    same(world.served.ask("GET", "/runs/%s/events" % stream.run, world.served.token("anna", "family-999", SCOPES))[0], 404)
    status, problem = world.served.ask("POST", "/api/v1/chat/stream", world.served.token("anna", "family-123"), {"message": "x", "document_id": world.document})
    same((status, problem["status"]), (403, 403))
    other = world.chat(world.served.token("anna", "family-999", SCOPES)).rest()
    same(other[-1][1], "failed")                           # the document is another tenant's: there is none


def the_key_is_nowhere(world_of):
    world = world_of(lambda prompt, request: Reply(status=401))
    events = world.chat().rest()
    same(events[-1][1], "complete")
    key = world.served.environment["FLOW_LLM_KEY"]
    for name in os.listdir(world.served.folder):
        assert key.encode() not in open(os.path.join(world.served.folder, name), "rb").read(), name
    assert "llm_down" in world.served.log() and key not in json.dumps(events)


TESTS = [the_whole_way, pieces_come_while_the_model_writes, who_goes_away_ends_the_run, who_comes_back_in_time_goes_on, who_comes_back_and_goes_again_ends_the_run, a_stream_resumes_behind_every_event,
         what_breaks_off_is_replaced_and_never_told_twice, a_model_that_is_down_leaves_the_rules, after_a_crash_the_stream_goes_on, another_process_tells_what_is_durable, a_slow_client_stalls_nobody, a_stream_is_for_its_owner, the_key_is_nowhere]


if __name__ == "__main__":
    sys.exit(run_tests(TESTS, World))
