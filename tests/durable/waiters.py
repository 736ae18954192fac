#!/usr/bin/env python3
"""How long as many events as waiting runs take: each run awaits one event of them all, by a field that it compares. A measurement, no test.

Usage: waiters.py BUILD [COUNT]       480 runs, three workers on a PostgreSQL of its own
Prints the time from the first event to the end of the last run, and the processor time of workers and server meanwhile.
"""
import json
import os
import resource
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from services import PostgresStore, Services

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 480
FLOWD = os.path.join(BUILD, "flowd")
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "waiters.flow")
LIMIT_SECONDS = 600


def until(store, sql, wanted):
    end = time.monotonic() + LIMIT_SECONDS
    while store.query(sql) != [(str(wanted),)]:
        if time.monotonic() > end:
            raise AssertionError("waited %d s in vain: %s is %s" % (LIMIT_SECONDS, sql, store.query(sql)))
        time.sleep(0.1)


def server_seconds(folder):
    """Processor time of all processes of the PostgreSQL in the folder, those that ended included."""
    with open(os.path.join(folder, "pg", "postmaster.pid")) as lines:
        postmaster = int(lines.readline())
    ticks = 0
    for pid in [postmaster] + [int(p) for p in os.listdir("/proc") if p.isdigit()]:
        try:
            with open("/proc/%d/stat" % pid) as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if pid == postmaster or int(fields[1]) == postmaster:
            ticks += int(fields[11]) + int(fields[12]) + (int(fields[13]) + int(fields[14]) if pid == postmaster else 0)
    return ticks / os.sysconf("SC_CLK_TCK")


def main():
    services = Services()
    workers = []
    try:
        store = PostgresStore(services.folder)
        env = dict(os.environ, FLOW_AS="anna@family", **store.env)
        env["FLOW_REDIS"] = ""

        def run(flow):
            done = subprocess.run([FLOWD, "run", PROGRAM, flow, "--park", "--quiet", "--input", json.dumps({"count": COUNT})], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            assert done.returncode in (0, 3), done.returncode      # ended, or left to the workers

        run("begin_all")
        workers += [subprocess.Popen([FLOWD, "worker"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(3)]
        until(store, "SELECT count(*) FROM flow_runs WHERE func_name = 'waits' AND status = 2", COUNT)
        before, began = server_seconds(services.folder), time.monotonic()
        run("tell_all")
        until(store, "SELECT count(*) FROM flow_runs WHERE func_name = 'waits' AND status = 3", COUNT)
        over, server = time.monotonic() - began, server_seconds(services.folder) - before
        wrong = store.query("SELECT count(*) FROM flow_runs WHERE func_name = 'waits' AND result_json <> '\"teller\"'")
        assert wrong == [("0",)], wrong
        for worker in workers:
            worker.terminate()
            worker.wait(timeout=60)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print("%d waiting runs, %d events: %.1f s, %.1f s of the server's processor time, %.1f s of workers and tools" % (COUNT, COUNT, over, server, used.ru_utime + used.ru_stime))
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
        services.stop()


main()
