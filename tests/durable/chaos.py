#!/usr/bin/env python3
"""Several hundred runs on several workers while workers, PostgreSQL and Redis are killed, from a schedule that a seed makes.

Usage: chaos.py BUILD [SEED...]       closes with `N passed, N failed`
CHAOS_SEEDS     how many seeds when none is given (1); CHAOS_SECONDS: how long the trouble lasts (12)
CHAOS_STORE     postgres (with Redis beside it) or sqlite

At the end every acknowledged run has ended with the result that an undisturbed one has, no step whose result was durable came again, every event was
handled once by each listener, every saga was undone to its first step, one run at a time was in each lane, and `flowd fsck` finds nothing.
The seed makes the load and the schedule; what meets what is up to the machine, so a seed that fails may have to be run again.
"""
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from outside import Outside
from services import PostgresStore, Services, SqliteStore, journal

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
FLOWD, FLOWC = os.path.join(BUILD, "flowd"), os.path.join(BUILD, "flowc")
HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = float(os.environ.get("CHAOS_SECONDS", "12"))
WORKERS = 3
CHILDREN = 8                                                       # runs that one `spawn` starts
KINDS = ["chain", "undoes", "tells", "asks", "sleeps", "narrow", "meets", "holds"]
SETTLE_SECONDS = 60                                                # after the last trouble everything ends within this
UNENDED = "(0, 1, 2)"                                              # ready, running, parked


def make_schedule(seed, seconds, store):
    """[(second, action, argument)], in order. What is taken down is brought up again by an entry of its own."""
    rng = random.Random(seed)
    entries = []
    back = [0] * WORKERS                                           # when each worker is up again
    at = rng.uniform(0.8, 1.5)
    while at < seconds:
        action = rng.choice(["worker", "worker"] if store == "sqlite" else ["worker", "worker", "worker", "postgres", "postgres", "redis", "flush", "pause"])
        down = rng.uniform(0.1, 0.9)
        if action == "worker":
            up = [w for w in range(WORKERS) if back[w] < at]
            if up:
                which = rng.choice(up)
                back[which] = at + down
                entries += [(at, "kill-worker", which), (at + down, "start-worker", which)]
        elif action == "postgres":
            entries += [(at, rng.choice(["stop-postgres fast", "stop-postgres immediate", "kill-postgres"]), None), (at + down, "start-postgres", None)]
        elif action == "redis":
            entries += [(at, "kill-redis", None), (at + down, "start-redis", None)]
        elif action == "flush":
            entries += [(at, "flush-redis", None)]
        else:
            entries += [(at, "pause-redis", None), (at + down, "continue-redis", None)]
        at += down + rng.uniform(0.2, 0.8) if action != "worker" else rng.uniform(0.2, 0.8)
    return sorted(entries, key=lambda e: e[0])


def until(what, condition):
    end = time.monotonic() + SETTLE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited %d s in vain until %s" % (SETTLE_SECONDS, what))
        time.sleep(0.05)


class Load:
    """What was asked for, what was acknowledged, and what must have come of it."""

    def __init__(self, seed, seconds):
        rng = random.Random(seed + 1)
        count = max(len(KINDS), int(seconds * 3))
        kinds = [KINDS[i % len(KINDS)] for i in range(count)]
        rng.shuffle(kinds)
        self.wanted = [(rng.uniform(0, seconds * 0.9), "S%d" % i, kind) for i, kind in enumerate(kinds)]
        self.wanted.sort()
        self.acknowledged = []                                     # (op, kind)

    def children(self):
        return [("%s.%d" % (op, i), kind) for op, kind in self.acknowledged for i in range(CHILDREN)]

    @staticmethod
    def expected(op, kind):
        return {"chain": "%s r0 r1 r2 r3", "undoes": "%s full: third second first", "tells": "%s told", "asks": "%s true", "sleeps": "%s r1", "narrow": "%s passed", "meets": "%s met"}[kind] % op


class World:
    """Store, servers, workers, the service outside. Everything it started ends with close()."""

    def __init__(self, seed, store):
        self.services = Services() if store == "postgres" else None
        self.store = PostgresStore(self.services.folder) if self.services else SqliteStore()
        self.outside = Outside(seed)
        self.folder = tempfile.mkdtemp(prefix="fidus-chaos.")
        self.env = dict(os.environ, FLOW_AS="anna@family", FLOW_CHAOS_URL=self.outside.url, **self.store.env)
        self.env.pop("FLOW_CRASH_AT", None)
        self.program = os.path.join(self.folder, "chaos.flowb")
        subprocess.run([FLOWC, "build", os.path.join(HERE, "chaos.flow"), "-o", self.program], check=True, timeout=60, stdout=subprocess.DEVNULL)
        self.workers = [None] * WORKERS
        self.starts = [0] * WORKERS
        self.down = [True] * WORKERS                               # we stopped it, or have not started it
        self.lock = threading.Lock()                               # of the workers
        self.problems = []
        self.killed = 0

    def flowd(self, *args):
        return subprocess.run([FLOWD, *args], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, start_new_session=True)

    def log_path(self, which):
        return os.path.join(self.folder, "worker%d.%d.log" % (which, self.starts[which]))

    def start_worker(self, which, *options):
        self.starts[which] += 1
        self.down[which] = False
        with open(self.log_path(which), "ab") as log:
            self.workers[which] = subprocess.Popen([FLOWD, "worker", *options], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def kill_worker(self, which):
        self.down[which] = True
        self.workers[which].kill()
        self.workers[which].wait(timeout=10)
        self.killed += 1

    def supervise(self):
        """A worker waits for its store and never ends by itself."""
        with self.lock:
            for which, worker in enumerate(self.workers):
                if not self.down[which] and worker.poll() is not None:
                    self.problems.append("worker %d ended by itself with %d: %s" % (which, worker.returncode, self.tail(which)))
                    self.start_worker(which)

    def log_of(self, which):
        with open(self.log_path(which), "rb") as log:
            return log.read().decode(errors="replace")

    def tail(self, which):
        return self.log_of(which)[-600:]

    def act(self, action, argument):
        if action == "kill-worker":
            with self.lock:
                self.kill_worker(argument)
        elif action == "start-worker":
            with self.lock:
                self.start_worker(argument)
        else:
            if action in ("kill-redis", "flush-redis"):
                self.outside.forgetful = True
            self.services.run(*action.split(" "))

    def stop_workers(self):
        """An orderly end: each finishes what it is at, or gives it back, and exits with 0."""
        for which, worker in enumerate(self.workers):
            if worker and worker.poll() is None:
                until("worker %d is up" % which, lambda: '"event":"start"' in self.log_of(which) or worker.poll() is not None)
                worker.send_signal(signal.SIGTERM)
        for which, worker in enumerate(self.workers):
            if not worker:
                continue
            try:
                code = worker.wait(timeout=20)
                if code != 0:
                    self.problems.append("worker %d ended with %d: %s" % (which, code, self.tail(which)))
            except subprocess.TimeoutExpired:
                self.problems.append("worker %d does not end when it is told to" % which)

    def close(self):
        for worker in self.workers:
            if worker and worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait(timeout=10)
        self.outside.close()
        if self.services:
            self.services.stop()                                   # with all stores in it
        else:
            self.store.close()
        for name in os.listdir(self.folder):
            os.unlink(os.path.join(self.folder, name))
        os.rmdir(self.folder)


def trouble(world, schedule, began, over):
    for at, action, argument in schedule:
        if over.wait(max(0, began + at - time.monotonic())):
            return
        world.act(action, argument)


def start_runs(world, load, wanted, began, over):
    """Starts what is wanted when its time has come. What is not acknowledged is asked for again under another name, as a client would have to."""
    for at, name, kind in wanted:
        if over.wait(max(0, began + at - time.monotonic())):
            return
        for attempt in range(100):
            op = "%s%s" % (name, "abcdefghij"[attempt % 10] + (str(attempt // 10) if attempt >= 10 else ""))
            done = world.flowd("run", world.program, "spawn", "--park", "--quiet", "--input", json.dumps({"op": op, "count": CHILDREN, "kind": kind}))
            if done.returncode in (0, 3):                          # ended already, or left to the workers
                load.acknowledged.append((op, kind))
                break
            if over.wait(0.1):
                return
        else:
            world.problems.append("run %s could not be started: %s" % (name, done.stderr.decode()))


def attend(world, over):
    """Looks after the workers, and answers each question once it is durable; by then the step before it must not come again."""
    answered = set()
    while not over.wait(0.3):
        world.supervise()
        try:
            asked = world.store.query("SELECT run_id, input_json FROM flow_runs WHERE status = 2 AND func_name = 'asks'")
        except Exception:                                          # the store is down at the moment
            continue
        for run, given in asked:
            if run in answered or over.is_set():
                continue
            world.outside.seal(json.loads(given)["op"], 0)
            done = world.flowd("answer", run, "yes", "--park", "--quiet")
            if done.returncode in (0, 3) or b"already" in done.stderr or b"answered" in done.stderr:
                answered.add(run)


def sessions_under_way(world):
    """Runs of the session store are in no table."""
    listed = world.flowd("ps", "--json")
    return listed.returncode != 0 or b'"holds"' in listed.stdout


def settle(world, deadline):
    """Waits until nothing is left to do. What is still there when time is up is returned."""
    left = "the store does not answer"
    while time.monotonic() < deadline:
        try:
            runs = world.store.query("SELECT func_name, status, run_id, worker, waits_json FROM flow_runs WHERE status IN %s" % UNENDED)
            events = world.store.query("SELECT event_id FROM flow_events WHERE dispatched = 0") if not runs else []
            if not runs and not events and not sessions_under_way(world):
                return None
            left = "%d runs, %d events, such as %s" % (len(runs), len(events), (runs + events)[:3])
        except Exception as problem:
            left = repr(problem)
        time.sleep(0.2)
    return left


def check(world, load):
    """Everything that must hold when all is over, as a list of problems and the number of things that were looked at."""
    problems, looked = [], 0
    store = world.store
    results = {}
    for func, status, text, given in store.query("SELECT func_name, status, result_json, input_json FROM flow_runs"):
        op = json.loads(given).get("op") if func in KINDS + ["spawn"] else None
        if status != "3" and func != "undoes":
            problems.append("a run of %s (%s) ended with status %s: %s" % (func, op, status, text))
        if op is not None:
            results.setdefault((func, op), []).append(text)
    marks, heard = {}, {}
    for row in store.rows(table(store, "marks")):
        marks.setdefault(row["c_op"], []).append(row["c_step"])
    for row in store.rows(table(store, "heard")):
        heard.setdefault(row["c_op"], []).append((row["c_nth"], row["c_listener"]))
    for op, kind in load.children():
        looked += 1
        if kind == "holds":
            problems += check_holds(world, op, {name: sorted(steps) for name, steps in marks.items() if name.startswith(op + "#")})
            continue
        problems += check_run(world, op, kind, results.get((kind, op), []), sorted(marks.get(op, [])), sorted(heard.get(op, [])))
    for op, _ in load.acknowledged:
        looked += 1
        if results.get(("spawn", op)) != [json.dumps(op + " started")]:
            problems.append("%s: %s" % (op, results.get(("spawn", op))))
    answers = collections.Counter((tenant, run, row["request"]) for tenant, run, _, row in journal(store) if row["entry"] in (1, 2) and row["request"] > 0)
    twice = [key for key, times in answers.items() if times > 1]
    if twice:
        problems.append("answered twice in the journal: %s" % twice[:3])
    return problems, looked


def table(store, name):
    names = [n for n in store.tables() if n.endswith("_" + name)]
    assert len(names) == 1, names
    return names[0]


def check_holds(world, op, runs):
    """No step of a session run is done twice or left out, however much of it was forgotten; and it ends, if nothing was."""
    problems = ["%s: steps %s" % (name, steps) for name, steps in runs.items() if steps != list(range(len(steps)))]
    if not world.outside.forgetful and list(range(4)) not in runs.values():
        problems.append("%s (holds): did not end: %s" % (op, runs))
    return problems


def check_run(world, op, kind, results, marks, heard):
    acts = {"chain": [0, 1, 2, 3], "undoes": [0, 2], "asks": [0, 1], "sleeps": [0, 1]}.get(kind, [])
    wanted = {
        "results": [json.dumps(Load.expected(op, kind))],
        "acts": acts,
        "undos": [0, 2] if kind == "undoes" else [],
        "marks": {"chain": [0, 1, 2, 3], "tells": [0, 1, 2], "narrow": [0], "meets": [0, 1]}.get(kind, []),
        "heard": sorted((n, who) for n in range(3) for who in ("acts", "rows")) if kind == "tells" else [],
        "heard outside": [0, 1, 2] if kind == "tells" else [],
    }
    found = {"results": results, "acts": world.outside.steps(op), "undos": world.outside.steps(op, "/undo"), "marks": marks, "heard": heard,
             "heard outside": world.outside.steps(op + "/heard")}
    return ["%s (%s): %s: expected %s, found %s" % (op, kind, what, wanted[what], found[what]) for what in wanted if wanted[what] != found[what]]


def live(seed, store):
    """One seed. The problems found, and a line about what happened."""
    schedule, load = make_schedule(seed, SECONDS, store), Load(seed, SECONDS)
    world = World(seed, store)
    over = threading.Event()
    try:
        if world.flowd("ps").returncode != 0:                      # makes the schema, before several do it at once
            raise AssertionError("the store cannot be opened: %s" % world.flowd("ps").stderr.decode())
        for which in range(WORKERS):
            world.start_worker(which)
        began = time.monotonic()
        answers = threading.Thread(target=attend, args=(world, over))
        starts = [threading.Thread(target=guarded, args=(world, start_runs, world, load, load.wanted[i::2], began, over)) for i in range(2)]
        answers.start()
        for thread in starts:
            thread.start()
        trouble(world, schedule, began, over)
        for thread in starts:
            thread.join(timeout=60)
        left = settle(world, time.monotonic() + SETTLE_SECONDS)
        over.set()
        answers.join(timeout=60)
        if left:
            return world.problems + ["not over after %d s: %s" % (SETTLE_SECONDS, left), world.tail(0)], ""
        settled = time.monotonic() - began
        world.stop_workers()
        problems, looked = check(world, load)
        fsck = world.flowd("fsck")
        if fsck.returncode != 0 or b" 0 problems" not in fsck.stdout:
            problems.append("fsck: %s%s" % (fsck.stdout.decode(), fsck.stderr.decode()))
        line = "%d runs, %d blows, %d workers killed, %d calls outside, %d of them again with the same key, over after %.1f s" % (
            looked, len(schedule), world.killed, world.outside.requests, world.outside.repeated(), settled)
        return world.problems + world.outside.violations + problems, line
    finally:
        over.set()
        world.close()


def guarded(world, body, *args):
    try:
        body(*args)
    except Exception as problem:
        world.problems.append("%s: %r" % (body.__name__, problem))


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    store = os.environ.get("CHAOS_STORE", "postgres")
    seeds = [int(s) for s in sys.argv[2:]] or [random.SystemRandom().randrange(1 << 31) for _ in range(int(os.environ.get("CHAOS_SEEDS", "1")))]
    passed = failed = 0
    for seed in seeds:
        problems, line = live(seed, store)
        print("seed %d on %s: %s" % (seed, store, line if not problems else "FAILED"), flush=True)
        if problems:
            failed += 1
            for at, action, argument in make_schedule(seed, SECONDS, store):
                print("  %5.2f s %s %s" % (at, action, "" if argument is None else argument))
            for text in problems[:20]:
                print("  " + text)
            print("  again: CHAOS_SECONDS=%g CHAOS_STORE=%s python3 tests/durable/chaos.py %s %d" % (SECONDS, store, BUILD, seed))
        else:
            passed += 1
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
