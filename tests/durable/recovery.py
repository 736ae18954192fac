#!/usr/bin/env python3
"""What a killed worker costs: 500 runs, 64 in flight, kill -9 in the middle, a new worker at once. A measurement; what is wrong with the results makes it fail.

Usage: recovery.py BUILD [RUNS [IN_FLIGHT]]      on a PostgreSQL of its own with fsync and synchronous_commit on
Each run makes 4 calls of a service outside and writes 4 rows, in turn (`chain` of chaos.flow); a call takes 10 ms on average.
A step that is repeated would be a second row, or a call after its result was durable; a call that was in flight is sent again under its key.
"""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from outside import Outside
from services import PostgresStore, Services, journal

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
RUNS = int(sys.argv[2]) if len(sys.argv) > 2 else 500
IN_FLIGHT = int(sys.argv[3]) if len(sys.argv) > 3 else 64
CALLS = 4                                                          # of a run
FLOWD = os.path.join(BUILD, "flowd")
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "chaos.flow")
LIMIT_SECONDS = 60


def until(what, condition, pause):
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited %d s in vain until %s" % (LIMIT_SECONDS, what))
        time.sleep(pause)


def median(numbers):
    return sorted(numbers)[len(numbers) // 2]


def measure(store, outside, env):
    worker = None

    def begin(concurrency=IN_FLIGHT):
        return subprocess.Popen([FLOWD, "worker", "--concurrency", str(concurrency)], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ended():
        return store.query("SELECT count(*) FROM flow_runs WHERE func_name = 'chain' AND status = 3") == [(str(RUNS),)]

    try:
        done = subprocess.run([FLOWD, "run", PROGRAM, "spawn", "--park", "--quiet", "--input", json.dumps({"op": "R", "count": RUNS, "kind": "chain"})], env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        assert done.returncode in (0, 3), done.returncode
        worker = begin(1)                                          # it makes the runs, and hardly begins with them
        until("all are there", lambda: store.query("SELECT count(*) FROM flow_runs WHERE func_name = 'spawn' AND status = 3") == [("1",)], 0.02)
        worker.terminate()
        worker.wait(timeout=60)
        first = outside.requests
        worker = begin()
        until("a third is done", lambda: outside.requests - first >= RUNS * CALLS // 3, 0.005)
        worker.send_signal(signal.SIGKILL)
        worker.wait(timeout=10)
        orphans = [run for run, in store.query("SELECT run_id FROM flow_runs WHERE status = 1")]
        assert orphans, "nothing was in flight when it was killed"
        restart_us, began = int(time.time() * 1e6), time.monotonic()
        worker = begin()
        until("all have ended", ended, 0.02)
        over = time.monotonic() - began
        steps = {}
        for _, run, _, row in journal(store, from_us=restart_us):
            if row["started_us"] >= restart_us and row["request"] > 0:
                steps[run] = min(row["started_us"], steps.get(run, row["started_us"]))
        waits = [(steps[run] - restart_us) / 1e6 for run in orphans if run in steps]
        worker.terminate()
        assert worker.wait(timeout=60) == 0
    finally:
        if worker and worker.poll() is None:
            worker.kill()
            worker.wait(timeout=10)
    marks = [t for t in store.tables() if t.endswith("_marks")]
    written = store.query('SELECT count(*), count(DISTINCT (c_op, c_step)) FROM "%s"' % marks[0])[0]
    assert not outside.violations, outside.violations[:3]
    assert written == (str(RUNS * CALLS), str(RUNS * CALLS)), written
    assert len(waits) == len(orphans), "orphans without a step: %d of %d" % (len(orphans) - len(waits), len(orphans))
    print("%d runs of %d steps, %d in flight; killed with %d runs under way" % (RUNS, 2 * CALLS, IN_FLIGHT, len(orphans)))
    print("  steps repeated 0, calls sent again under their key %d" % outside.repeated())
    print("  from the restart to the first step of an orphaned run: median %.3f s, the last one %.3f s; to the end of all runs %.2f s" % (median(waits), max(waits), over))


def main():
    os.environ["FLOW_PG_OPTS"] = "-c fsync=on -c synchronous_commit=on"
    services, outside = Services(), Outside(1)
    try:
        store = PostgresStore(services.folder)
        measure(store, outside, dict(os.environ, FLOW_AS="anna@family", FLOW_CHAOS_URL=outside.url, **dict(store.env, FLOW_REDIS="")))
    finally:
        outside.close()
        services.stop()


main()
