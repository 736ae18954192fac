#!/usr/bin/env python3
"""Kills flowd with SIGKILL at durable operation 1, 2, 3 ... (before and after it took effect) and lets a new process go on.

For each of five flows and a plan: the undisturbed run is the yardstick; every killed and resumed run must end with the same status and result,
the same table rows, the same tool calls, and the same order of compensations. The remote services are real HTTP servers on loopback.
On the embedded store, or with --services DIR (a folder of services.sh that runs) on PostgreSQL with Redis beside it.
Usage: crash_loop.py BUILD [--services DIR] [FLOW...]        closes with `N passed, N failed`
"""
import concurrent.futures
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from urllib.parse import urlparse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "durable"))
from services import PostgresStore, SqliteStore

ARGS = sys.argv[1:]
SERVICES = ARGS.pop(ARGS.index("--services") + 1) if "--services" in ARGS else None
ARGS = [a for a in ARGS if a != "--services"]
BUILD = ARGS[0] if ARGS else "build"
FLOWD = os.path.join(BUILD, "flowd")
KILLED = -9
POINTS_MAX = 200
LIVES = 16                                                         # at once


class Service(http.server.BaseHTTPRequestHandler):
    """GET /forecast answers; POST /book_hotel says 503 to the first three requests of a run, known by its idempotency key's run part."""
    attempts = {}
    lock = threading.Lock()

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.reply(200, {"forecast": "Sunny, 18-22°C"})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers.get("Idempotency-Key", "")
        run = urlparse(self.path).path + key.rsplit(":", 1)[0]
        with Service.lock:
            keys = Service.attempts.setdefault(run, [])
            if key not in keys:
                keys.append(key)
            nth = keys.index(key) + 1
        self.reply(503, {"message": "Service Unavailable"}) if nth <= 3 else self.reply(200, {"booking_id": "HTL-555"})

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client):
        pass                                                       # a client that was killed in the middle of a request


FLOWS = {
    "02_multi_agent_command": {"fixture": "berlin", "input": {"request": "Book a flight to Berlin on 2025-11-03 and add to my calendar"}, "answer": "yes"},
    "20_sequential": {"fixture": "berlin", "answer": "yes"},
    "21_parallel": {"fixture": "paris"},
    "25_saga_rollback": {"fixture": "paris"},
    "26_retry": {},
    "plan": {"file": "tests/crash/plan.flow", "answer": "yes", "embedded": True},
}


class Life:
    """One store and the processes that work on it."""

    def __init__(self, name, env):
        self.name, self.spec = name, FLOWS[name]
        self.store = PostgresStore(SERVICES) if SERVICES else SqliteStore()
        self.sound = False
        self.env = dict(env, FLOW_AS="anna@family", **self.store.env)

    def flowd(self, *args, crash=None):
        env = dict(self.env)
        if crash:
            env["FLOW_CRASH_AT"] = "%d:%s" % crash
        done = subprocess.run([FLOWD, *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120)
        if done.returncode not in (0, 1, 3, KILLED):
            raise AssertionError("flowd %s: exit %d: %s" % (" ".join(args), done.returncode, done.stderr.decode()))
        return done

    def runs(self):
        text = self.flowd("ps", "--all", "--json").stdout.decode()
        return [json.loads(line) for line in text.splitlines()]

    def root(self):
        roots = [r for r in self.runs() if r["correlation"] == r["run"]]
        return roots[0] if roots else None

    def start(self, crash=None):
        args = ["run", self.spec.get("file", "flows/%s.flow" % self.name), "--quiet"]
        if "fixture" in self.spec:
            args += ["--fixture", self.spec["fixture"]]
        if "input" in self.spec:
            args += ["--input", json.dumps(self.spec["input"])]
        return self.flowd(*args, crash=crash)

    def go_on(self):
        """What an operator does after a crash: start what was not acknowledged, resume, answer what is still asked."""
        if self.root() is None:
            self.start()
        self.flowd("resume", "--quiet")
        if self.asked():
            self.answer()
        self.flowd("resume", "--quiet")

    def asked(self):
        root = self.root()
        return root["status"] == "parked" and next((w for w in root.get("waits", []) if w["kind"] in ("ask", "approve")), None)

    def answer(self, crash=None):
        """A call is allowed with the hash of what was shown."""
        wait = self.asked()
        return self.flowd("answer", self.root()["run"], self.spec["answer"], "--quiet", *(("--hash", wait["hash"]) if "hash" in wait else ()), crash=crash)

    def outcome(self):
        root = self.root()
        trace = self.flowd("trace", root["run"]).stdout.decode()
        calls = re.findall(r"-> ([A-Z][^:]*): (?:tools/call (\w+)|(GET|POST) )", trace)
        undone = [name for _, name, _ in calls if name.startswith(("cancel", "delete"))]
        ids = re.compile(r"\b[A-Z]{3}-[0-9A-HJKMNP-TV-Z]{10}\b")
        result = ids.sub("ID", json.dumps(root.get("result", root.get("error")), sort_keys=True))
        fsck = self.flowd("fsck").stdout.decode()
        assert " 0 problems" in fsck, fsck
        unended = [r["status"] for r in self.runs() if r["status"] in ("ready", "running", "parked")]
        assert not unended, unended
        self.sound = True
        return {"status": root["status"], "result": result, "calls": sorted(n or m for _, n, m in calls), "undone": undone, "tables": self.tables()}

    def tables(self):
        rows = {}
        for table in self.store.tables():
            kept = [{k: v for k, v in row.items() if k not in ("c_recorded_at", "c_queued_at", "rowid", "row_no")} for row in self.store.rows(table)]
            rows[table] = sorted(re.sub(r"[A-Z]{3}-[0-9A-HJKMNP-TV-Z]{10}", "ID", json.dumps(row, sort_keys=True)) for row in kept)
        return rows

    def close(self):
        """A store that is not known to be sound is not used again."""
        if SERVICES and self.sound:
            self.store.recycle()
        else:
            self.store.close()


def undisturbed(name, env):
    life = Life(name, env)
    try:
        life.start()
        life.go_on()
        return life.outcome()
    finally:
        life.close()


def disturbed(name, env, phase, nth, side, wanted):
    """None: the point was not reached. Else the text of what differs, or ''."""
    life = Life(name, env)
    try:
        if phase == "start":
            hit = life.start(crash=(nth, side)).returncode == KILLED
        else:
            life.start()
            hit = life.answer(crash=(nth, side)).returncode == KILLED
        if not hit:
            return None
        life.go_on()
        found = life.outcome()
        return "" if found == wanted else "expected %s\n  found %s" % (json.dumps(wanted, sort_keys=True), json.dumps(found, sort_keys=True))
    except Exception as problem:                                   # a hang, a bad exit code, a store that fsck refuses
        return repr(problem)
    finally:
        life.close()


def loop(name, env, pool):
    wanted = undisturbed(name, env)
    passed, failures = 0, []
    for phase in ["start"] + (["answer"] if "answer" in FLOWS[name] else []):
        for first in range(1, POINTS_MAX, 8):
            jobs = {(n, side): pool.submit(disturbed, name, env, phase, n, side, wanted) for n in range(first, first + 8) for side in ("before", "after")}
            results = {point: job.result() for point, job in jobs.items()}
            for (n, side), text in sorted(results.items()):
                if text:
                    failures.append("%s, %s, killed %s durable operation %d:\n  %s" % (name, phase, side, n, text))
                elif text == "":
                    passed += 1
            if any(text is None for text in results.values()):
                break
        else:
            failures.append("%s: more than %d durable operations" % (name, POINTS_MAX))
    return passed, failures


def main():
    server = Server(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = "http://127.0.0.1:%d" % server.server_port
    env = dict(os.environ, FLOW_WEATHER_URL=base, FLOW_HOTEL_API_URL=base, FLOW_CREDENTIAL_HOTEL_API="test-token")
    passed_all, failed_all = 0, 0
    names = ARGS[1:] or [name for name in FLOWS if not (SERVICES and "embedded" in FLOWS[name])]      # on the server: when it is named
    # Flows that try again wait for seconds, so that many lives at once are no more work for the machine than a few.
    with concurrent.futures.ThreadPoolExecutor(max_workers=LIVES) as pool, concurrent.futures.ThreadPoolExecutor(max_workers=len(names)) as loops:
        results = [loops.submit(loop, name, env, pool) for name in names]
        for name, result in zip(names, results):
            passed, failures = result.result()
            print("%-28s survived %d kills%s" % (name, passed, "" if not failures else ", FAILED %d" % len(failures)), flush=True)
            for text in failures[:5]:
                print(text)
            passed_all += passed
            failed_all += len(failures)
            if passed == 0:
                failed_all += 1
                print("%s: no point was reached" % name)
    print("%d passed, %d failed" % (passed_all, failed_all))
    return 1 if failed_all else 0


if __name__ == "__main__":
    sys.exit(main())
