"""The service that the load calls. It writes down every request, so what was done twice can be seen from outside.

POST /act {"op", "step"} and /undo. Rules that it checks while it serves:
- one op and step come under one Idempotency-Key, however often;
- once a later step of an op was seen, or `seal` was called, an earlier one never comes again: its result was durable before the later one could start;
- between step 0 and step 1 of a lane ("NAME/laneN") nobody else enters it;
- undo comes for steps that were acted, newest first.
A request whose client is dead when its turn comes is dropped: its bytes may have waited here while another process went on.
"""
import http.server
import json
import random
import re
import socket
import threading
import time


def is_gone(connection):
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class Outside:
    def __init__(self, seed):
        self.lock = threading.Lock()
        self.random = random.Random(seed)
        self.keys = {}                                             # (path, op, step) -> idempotency key
        self.times = {}                                            # (path, op, step) -> how often it came
        self.last = {}                                             # op -> the latest step seen
        self.sealed = {}                                           # op -> steps up to it are durable for sure
        self.lanes = {}                                            # lane -> op inside
        self.undone = {}                                           # op -> steps, in the order of their first undo
        self.holds = {}                                            # (op, step) -> (arrived, released): the first such call waits for its answer
        self.requests = 0
        self.forgetful = False                                     # the session store lost something: its runs ("…#run id") may be as they once were
        self.violations = []
        outside = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                noted = outside.note(self.connection, self.path, body["op"], body["step"], self.headers.get("Idempotency-Key", ""))
                if noted is None:
                    self.close_connection = True
                    return
                pause, answer = noted
                outside.wait_if_held(body["op"], body["step"])
                time.sleep(pause)
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, client):
                pass                                               # a client that was killed in the middle of a request

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def note(self, connection, path, op, step, key):
        """(pause, answer), or None when nobody waits for it any more."""
        with self.lock:
            if is_gone(connection):
                return None
            self.requests += 1
            call = (path, op, step)
            if not key:
                self.violations.append("%s without a key" % (call,))
            if self.keys.setdefault(call, key) != key:
                self.violations.append("%s came under a second key: %s, then %s" % (call, self.keys[call], key))
            self.times[call] = self.times.get(call, 0) + 1
            if path == "/act":
                self.act(op, step, call)
            else:
                self.undo(op, step)
            return self.random.uniform(0, 0.02), {"receipt": "%s%d" % ("r" if path == "/act" else "u", step)}

    def act(self, op, step, call):
        ordered = "/heard" not in op and not ("#" in op and self.forgetful)      # handlers of several events of one op are in no order
        if ordered and (step < self.last.get(op, -1) or step <= self.sealed.get(op, -1)):
            self.violations.append("%s came again after its result was durable" % (call,))
        if op in self.undone:
            self.violations.append("%s came again after the saga had begun to undo" % (call,))
        self.last[op] = max(step, self.last.get(op, -1))
        lane = re.search(r"/lane(\d+)$", op)
        if lane:
            self.narrow(lane.group(1), op, step)

    def narrow(self, lane, op, step):
        holder = self.lanes.get(lane)
        if step == 0 and holder not in (None, op):
            self.violations.append("%s entered lane %s while %s was inside" % (op, lane, holder))
        if step == 0:
            self.lanes[lane] = op
        elif holder == op:
            self.lanes[lane] = None

    def undo(self, op, step):
        steps = self.undone.setdefault(op, [])
        if step not in steps:
            steps.append(step)
        elif step != steps[-1]:
            self.violations.append("undo of step %d of %s came again after its result was durable" % (step, op))
        if steps != sorted(steps, reverse=True):
            self.violations.append("%s was undone in the order %s" % (op, steps))

    def hold(self, op, step):
        """The first call of this step gets no answer until `released` is set; `arrived` says that it came."""
        arrived, released = threading.Event(), threading.Event()
        with self.lock:
            self.holds[op, step] = arrived, released
        return arrived, released

    def wait_if_held(self, op, step):
        with self.lock:
            arrived, released = self.holds.pop((op, step), (None, None))
        if arrived:
            arrived.set()
            released.wait(60)

    def seal(self, op, step):
        with self.lock:
            self.sealed[op] = max(step, self.sealed.get(op, -1))

    def steps(self, op, path="/act"):
        with self.lock:
            return sorted(s for p, o, s in self.keys if p == path and o == op)

    def repeated(self):
        with self.lock:
            return sum(n - 1 for n in self.times.values())

    def close(self):
        self.server.shutdown()
        self.server.server_close()
