#!/usr/bin/env python3
"""A worker is stopped (SIGSTOP) beyond its lease in the middle of a call; another takes its run over and ends it; then the first one wakes.

Usage: lease.py BUILD        closes with `N passed, N failed`; LEASE_STORE: postgres (default) or sqlite
What the late worker still does must change nothing: the result is the second one's, each step is in the journal once, the call that was cut off came again
under the same key and no other call came twice, fsck is clean, and the late worker goes on with other runs.
"""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chaos import Load, World, until
from services import journal

LEASE = "1s"


def start(world, flow, op):
    done = world.flowd("run", world.program, flow, "--park", "--quiet", "--input", json.dumps({"op": op}))
    assert done.returncode in (0, 3), done.stderr.decode()


def result_of(world, flow, op):
    for status, text, given in world.store.query("SELECT status, result_json, input_json FROM flow_runs WHERE func_name = '%s'" % flow):
        if json.loads(given)["op"] == op:
            return text if status == "3" else None
    return None


def steps(world, run_id=None):
    return sorted((seq, row["entry"], row["request"]) for _, _, seq, row in journal(world.store, run_id))


def check(name, found, wanted, problems):
    if found != wanted:
        problems.append("%s: expected %s, found %s" % (name, wanted, found))


def scenario(world):
    problems = []
    world.start_worker(0, "--lease", LEASE)
    arrived, released = world.outside.hold("frozen", 1)
    start(world, "chain", "frozen")
    until("the first worker calls", arrived.is_set)
    world.workers[0].send_signal(signal.SIGSTOP)
    world.start_worker(1, "--lease", LEASE)
    until("the second worker has ended the run", lambda: result_of(world, "chain", "frozen"))
    epoch = world.store.query("SELECT epoch FROM flow_runs WHERE func_name = 'chain'")
    check("taken over once", epoch, [("2",)], problems)
    before = steps(world)
    released.set()                                                 # the answer waits in the stopped worker's socket
    world.workers[0].send_signal(signal.SIGCONT)
    world.workers[1].send_signal(signal.SIGTERM)                   # from here on only the late one is there
    check("the second worker's end", world.workers[1].wait(timeout=20), 0, problems)
    world.workers[1] = None
    start(world, "chain", "later")
    until("the late worker has ended another run", lambda: result_of(world, "chain", "later"))

    check("result", result_of(world, "chain", "frozen"), json.dumps(Load.expected("frozen", "chain")), problems)
    check("the other result", result_of(world, "chain", "later"), json.dumps(Load.expected("later", "chain")), problems)
    check("how often each step was called", [world.outside.times[("/act", "frozen", step)] for step in range(4)], [1, 2, 1, 1], problems)
    (frozen,), = world.store.query("SELECT run_id FROM flow_runs WHERE input_json LIKE '%frozen%'")
    after = steps(world, frozen)
    check("the journal after the late worker woke", after, before, problems)
    table = [t for t in world.store.tables() if t.endswith("_marks")][0]
    marks = sorted(row["c_step"] for row in world.store.rows(table) if row["c_op"] == "frozen")
    check("rows", marks, [0, 1, 2, 3], problems)
    world.stop_workers()
    fsck = world.flowd("fsck")
    if b" 0 problems" not in fsck.stdout:
        problems.append("fsck: %s" % fsck.stdout.decode())
    return problems + world.problems + world.outside.violations


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    world = World(1, os.environ.get("LEASE_STORE", "postgres"))
    try:
        assert world.flowd("ps").returncode == 0
        problems = scenario(world)
    except AssertionError as problem:
        problems = [str(problem), world.tail(0)]
    finally:
        world.close()
    for text in problems:
        print(text)
    print("%d passed, %d failed" % (not problems, bool(problems)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
