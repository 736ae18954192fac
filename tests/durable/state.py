#!/usr/bin/env python3
"""Sessions, contexts and the cache in a real Redis: other processes, other tenants, flushed, gone and back; flows 04, 09, 23 and 24.

Usage: state.py BUILD        closes with `N passed, N failed`
Every step is a process of its own. The Redis is this test's alone; flow 23 runs on PostgreSQL, the others on the embedded store, which is quicker.
"""
import json
import os
import re
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from services import PostgresStore, Services, SqliteStore, journal

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
FLOWS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "flows")
CONVERSATION = os.path.join(FLOWS, "04_conversational_context.flow")
READS = os.path.join(FLOWS, "09_read_path.flow")
MACHINE = os.path.join(FLOWS, "23_state_persistence.flow")
CONTEXT = os.path.join(FLOWS, "24_shared_context.flow")
WRITERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "writers.flow")
COMPLETED, FAILED, PARKED = 0, 1, 3
DAY = 24 * 3600


class World:
    def __init__(self, services, postgres):
        self.services = services
        self.store = PostgresStore(services.folder) if postgres else SqliteStore()
        self.env = {**os.environ, **self.store.env, "FLOW_REDIS": "unix:%s/socket/redis" % services.folder}
        self.env.pop("FLOW_CRASH_AT", None)
        self.workers = []

    def flowd(self, *args, want=COMPLETED, **env):
        done = subprocess.run([os.path.join(BUILD, "flowd"), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(self.env, **env), timeout=60)
        out, err = done.stdout.decode(), done.stderr.decode()
        assert want is None or done.returncode == want, "flowd %s: exit %d, expected %s\n%s%s" % (" ".join(args), done.returncode, want, out, err)
        return out, err

    def run(self, file, flow, want=COMPLETED, as_user=None, options=(), **given):
        """The run's JSON, and what went wrong as one line in "failure"."""
        who = ["--as", as_user] if as_user else []
        out, err = self.flowd("run", file, flow, "--json", "--input", json.dumps(given), *who, *options, want=want)
        told = json.loads(out.splitlines()[-1]) if out.strip() else {}
        told["failure"] = "%(kind)s: %(message)s" % told["error"] if "error" in told else err
        return told

    def redis(self, *args):
        done = subprocess.run(["redis-cli", "-s", self.services.folder + "/socket/redis", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        return done.stdout.decode().strip()

    def trace(self, run):
        return self.flowd("trace", run["run"])[0]

    def start_worker(self):
        self.workers.append(subprocess.Popen([os.path.join(BUILD, "flowd"), "worker"], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def stop_workers(self):
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            same(worker.wait(timeout=20), 0)

    def close(self):
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.redis("FLUSHDB")
        self.store.close()


def until(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited %d s until %s" % (seconds, what)
        time.sleep(0.02)


def same(found, wanted):
    assert found == wanted, "expected %r, found %r" % (wanted, found)


def has(text, pattern):
    assert re.search(pattern, text, re.S), "no %r in:\n%s" % (pattern, text)


# ---- flow 4: a conversation -------------------------------------------------------------------------------------------

def conversation_goes_on_in_another_process(world):
    first = world.run(CONVERSATION, "talk", text="Show my spending this month", session_id="sess-42")
    has(first["result"], r"^You've spent €0 in [A-Z][a-z]+$")
    key = "{local}:session:sess-42:chat"
    same(world.redis("HGET", key, "last_query"), '"spending"')
    left = int(world.redis("TTL", key))
    assert DAY - 60 < left <= DAY + 1, "lives for %d s" % left
    second = world.run(CONVERSATION, "talk", text="What about last month?", session_id="sess-42")
    has(second["result"], r"^In [A-Z][a-z]+ you spent €0$")
    assert second["result"].split()[1] != first["result"].split()[-1], "the same month"


def conversation_of_another_tenant_is_not_found(world):
    world.run(CONVERSATION, "talk", text="Show my spending this month", session_id="sess-42")
    told = world.run(CONVERSATION, "talk", want=FAILED, as_user="root@other", text="What about last month?", session_id="sess-42")
    has(told["failure"], "not_found: session expired or not found")
    same(world.redis("KEYS", "{other}*"), "")


def conversation_ends_when_redis_is_flushed(world):
    world.run(CONVERSATION, "talk", text="Show my spending this month", session_id="sess-42")
    world.redis("FLUSHDB")
    told = world.run(CONVERSATION, "talk", want=FAILED, text="What about last month?", session_id="sess-42")
    has(told["failure"], "not_found: session expired or not found")


def field_that_does_not_fit_counts_as_never_saved(world):
    world.run(CONVERSATION, "talk", text="Show my spending last month", session_id="sess-42")
    before = world.run(CONVERSATION, "talk", text="And the month before?", session_id="sess-42")
    world.redis("HSET", "{local}:session:sess-42:chat", "year", '"a text where a number should be"')
    again = world.run(CONVERSATION, "talk", text="And the month before?", session_id="sess-42")
    assert again["result"].split()[1] != before["result"].split()[1]
    world.redis("HSET", "{local}:session:sess-42:chat", "month", "no JSON at all")
    same(world.run(CONVERSATION, "talk", text="And the month before?", session_id="sess-42")["result"], again["result"])


def conversation_without_redis_is_unavailable_and_comes_back(world):
    world.services.run("kill-redis")
    try:
        told = world.run(CONVERSATION, "talk", want=FAILED, text="Show my spending this month", session_id="sess-42")
        has(told["failure"], "unavailable: sessions and contexts cannot be reached")
    finally:
        world.services.run("start-redis")
    world.run(CONVERSATION, "talk", text="Show my spending this month", session_id="sess-42")


# ---- flow 23: a state machine's session ---------------------------------------------------------------------------------

def question_waits_and_another_process_goes_on(world):
    told = world.run(MACHINE, "schedule", want=PARKED, session_id="sess-123")
    key = "{local}:session:sess-123:state"
    assert DAY - 60 < int(world.redis("TTL", key)) <= DAY + 1
    same(json.loads(world.redis("HGET", key, "partial_data"))["participant"], "Sarah")
    same(world.redis("HGET", key, "awaiting_user_input"), "true")
    world.flowd("answer", told["run"], "Tomorrow at 2pm")
    same(json.loads(world.redis("HGET", key, "status")), "COMPLETED")
    same([(row["c_title"], row["c_participant"]) for row in world.store.rows("t_calendar_appointments")], [("Meeting with Sarah", "Sarah")])
    has(world.trace(told), "Meeting with Sarah scheduled for tomorrow at 2pm")


def durable_conversation_survives_a_flush(world):
    told = world.run(MACHINE, "schedule", want=PARKED, session_id="sess-123")
    world.redis("FLUSHDB")
    world.flowd("answer", told["run"], "Tomorrow at 2pm")
    has(world.trace(told), "Meeting with Sarah scheduled for tomorrow at 2pm")
    same(json.loads(world.redis("HGET", "{local}:session:sess-123:state", "status")), "COMPLETED")


def session_conversation_ends_with_a_flush(world):
    told = world.run(MACHINE, "schedule_in_session", want=PARKED, session_id="sess-123")
    world.redis("FLUSHDB")
    out, err = world.flowd("answer", told["run"], "Tomorrow at 2pm", want=None)
    has(out + err, "[Ss]ession expired or not found")
    same(world.store.rows("t_calendar_appointments"), [])


# ---- flow 24: a shared context ----------------------------------------------------------------------------------------------

def context_lives_for_an_hour_and_is_cleaned_up(world):
    told = world.run(CONTEXT, "waits_for_the_user", want=PARKED, options=["--fixture", "timetable"])
    key = "{local}:coordination:%s.trip" % told["correlation"]
    left = int(world.redis("TTL", key))
    assert 3600 - 60 < left <= 3601, "lives for %d s" % left
    same(json.loads(world.redis("HGET", key, "flight"))["id"], "LH123")
    same([json.loads(world.redis("HGET", key, field)) for field in ("coordination_id", "tenant_id", "user_id")], [told["correlation"] + ".trip", "local", "root"])
    world.flowd("answer", told["run"], "true")
    has(world.trace(told), "Flight LH123")
    same(world.redis("EXISTS", key), "0")


def writers_of_different_fields_lose_nothing(world):
    world.start_worker()
    world.start_worker()
    run = world.run(WRITERS, "all_at_once", want=None, times=20, options=["--park"])["run"]
    until("all have written", lambda: world.store.query("SELECT status FROM flow_runs WHERE run_id = '%s'" % run) == [("3",)])
    result, = world.store.query("SELECT result_json FROM flow_runs WHERE run_id = '%s'" % run)
    same(json.loads(result[0]), [20] * 6)
    same(world.redis("KEYS", "*coordination*"), "")


# ---- flow 9: cached reads -----------------------------------------------------------------------------------------------------

def sources(world):
    """Where the cached reads of all runs so far found their results."""
    details = [row["detail_json"] for _, _, _, row in journal(world.store)]
    return [json.loads(text)["cache"] for text in details if text.startswith(b'{"cache":')]


def find_budget(world, want=COMPLETED, **options):
    return world.run(READS, "find_budget", want=want, budget_id="bdg-123", **options)


def cache_misses_hits_and_is_made_old(world):
    first = find_budget(world, options=["--fixture", "household"])
    same(first["result"]["amount"], 400)
    find_budget(world)
    same(sources(world), ["miss", "hit"])
    keys = [key for key in world.redis("KEYS", "*").splitlines() if not key.startswith("flow:")]          # flow: the key and the claims of session runs
    assert keys and all(key.startswith("{local}:cache") for key in keys), keys
    ttl = [int(world.redis("TTL", key)) for key in keys if key.startswith("{local}:cache:budgets:bdg-123")]
    assert len(ttl) == 1 and 300 - 60 < ttl[0] <= 301, ttl
    world.run(READS, "record", budget_id="bdg-123", amount=30)
    same(find_budget(world)["result"]["spent"], 30)
    same(sources(world), ["miss", "hit", "miss"])


def cache_that_is_gone_is_done_without(world):
    find_budget(world, options=["--fixture", "household"])
    world.services.run("kill-redis")
    try:
        same(find_budget(world)["result"]["amount"], 400)
        world.run(READS, "record", budget_id="bdg-123", amount=7)
        same(find_budget(world)["result"]["spent"], 7)
    finally:
        world.services.run("start-redis")
    same(sources(world), ["miss", "unreachable", "unreachable"])
    same(find_budget(world)["result"]["spent"], 7)
    find_budget(world)
    same(sources(world)[3:], ["miss", "hit"])


def cache_that_holds_nonsense_is_not_believed(world):
    find_budget(world, options=["--fixture", "household"])
    key = [key for key in world.redis("KEYS", "{local}:cache:budgets:*").splitlines() if ":lock" not in key][0]
    world.redis("HSET", key, "value", "nonsense")
    same(find_budget(world)["result"]["amount"], 400)
    same(sources(world), ["miss", "miss"])


def cache_of_another_tenant_is_another_one(world):
    find_budget(world, options=["--fixture", "household"])
    has(find_budget(world, want=FAILED, as_user="root@other")["failure"], "not_found: no budget bdg-123")
    has(find_budget(world, want=FAILED, as_user="bob@local")["failure"], "not_found: no budget bdg-123")


def hundred_readers_ask_once(world):
    world.run(READS, "crowd", want=None, readers=100, options=["--fixture", "household", "--park"])
    world.start_worker()
    world.start_worker()
    ended = lambda: world.store.query("SELECT count(*) FROM flow_runs WHERE func_name = 'find_budget' AND status = 3") == [("100",)]
    until("all readers are done", ended)
    found = sources(world)
    same((len(found), found.count("miss")), (100, 1))
    assert found.count("unreachable") < 10, found                  # a machine that stands still for longer than HOT_TIMEOUT_MS


def write_that_redis_did_not_hear_of(world):
    """Redis stands still while a worker writes, and comes back with what it held: the worker that wrote does not believe it."""
    find_budget(world, options=["--fixture", "household"])
    find_budget(world)
    world.start_worker()
    world.services.run("pause-redis")
    try:
        world.run(READS, "record", want=None, budget_id="bdg-123", amount=30, options=["--park"])
        until("the write is done", lambda: world.store.query("SELECT count(*) FROM flow_runs WHERE func_name = 'record' AND status = 3") == [("1",)])
    finally:
        world.services.run("continue-redis")

    def read_by_the_worker():
        before = len(sources(world))
        run = world.run(READS, "find_budget", want=None, budget_id="bdg-123", options=["--park"])["run"]
        until("the reader is done", lambda: world.store.query("SELECT status FROM flow_runs WHERE run_id = '%s'" % run) == [("3",)])
        result, = world.store.query("SELECT result_json FROM flow_runs WHERE run_id = '%s'" % run)
        same(json.loads(result[0])["spent"], 30)
        return sources(world)[before:] == ["hit"]
    until("the cache is used again", read_by_the_worker)


def crash_between_a_commit_and_its_news(world):
    """Whatever the writer was doing when it died: after its takeover nobody reads what was before its commit."""
    find_budget(world, options=["--fixture", "household"])
    spent, crashes = 0, 0
    for nth in range(1, 20):
        find_budget(world)
        out, err = world.flowd("run", READS, "record", "--input", json.dumps({"budget_id": "bdg-123", "amount": 1}), want=None, FLOW_CRASH_AT="%d:after" % nth)
        crashed = not out.strip()
        crashes += crashed
        world.flowd("resume", want=None)
        spent = sum(float(row["c_amount"]) for row in world.store.rows("t_reader_transactions"))
        same(float(find_budget(world)["result"]["spent"]), spent)
        if not crashed:
            break
    assert crashes >= 3, "only %d crashes" % crashes


SCENARIOS = [conversation_goes_on_in_another_process, conversation_of_another_tenant_is_not_found, conversation_ends_when_redis_is_flushed,
             field_that_does_not_fit_counts_as_never_saved,
             conversation_without_redis_is_unavailable_and_comes_back, question_waits_and_another_process_goes_on, durable_conversation_survives_a_flush,
             session_conversation_ends_with_a_flush, context_lives_for_an_hour_and_is_cleaned_up, writers_of_different_fields_lose_nothing, cache_misses_hits_and_is_made_old, cache_that_is_gone_is_done_without,
             cache_that_holds_nonsense_is_not_believed, cache_of_another_tenant_is_another_one, hundred_readers_ask_once, write_that_redis_did_not_hear_of, crash_between_a_commit_and_its_news]

ON_POSTGRES = [question_waits_and_another_process_goes_on, durable_conversation_survives_a_flush, session_conversation_ends_with_a_flush]


def main():
    passed = failed = 0
    os.environ.setdefault("FLOW_PG_OPTS", "-c fsync=off -c full_page_writes=off")          # Redis is what goes away here, PostgreSQL stays
    services = Services()
    try:
        for scenario in SCENARIOS:
            world = World(services, scenario in ON_POSTGRES)
            try:
                began = time.monotonic()
                scenario(world)
                world.stop_workers()
                passed += 1
                print("  ok %s (%.1f s)" % (scenario.__name__.replace("_", " "), time.monotonic() - began))
            except Exception:                                      # any of them is this scenario's failure
                failed += 1
                print("FAIL %s" % scenario.__name__.replace("_", " "))
                traceback.print_exc(file=sys.stdout)
            finally:
                world.close()
    finally:
        services.stop()
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
