"""A language model on the loopback: the wire format of OpenAI's chat completions and of Ollama's /api/chat, answers by a function of the test.

    model = Model(lambda prompt, request: "text")          # or Reply(...) for what goes wrong
    env = model.environment()                              # FLOW_LLM_URL and the rest
"""
import http.server
import json
import threading


class Reply:
    """text: of the answer. status: instead of 200. pieces: of a stream, else by words. hold: an Event to wait for behind the first piece.
    drop: the connection is closed in the middle."""

    def __init__(self, text="", status=200, headers=(), pieces=None, hold=None, drop=False):
        self.text, self.status, self.headers, self.pieces, self.hold, self.drop = text, status, dict(headers), pieces, hold, drop


class Model:
    def __init__(self, answer):
        self.answer = answer
        self.lock = threading.Lock()
        self.requests = []                                 # bodies, as parsed
        self.heads = []
        self.gone = threading.Event()                      # a client went away while an answer was on its way
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                with model.lock:
                    model.requests.append(body)
                    model.heads.append(dict(self.headers))
                said = model.answer(body["messages"][-1]["content"], body)
                reply = said if isinstance(said, Reply) else Reply(said)
                try:
                    if reply.status != 200:
                        self.whole(reply.status, {"error": {"message": "refused by the test"}}, reply.headers)
                    elif body.get("stream"):
                        self.stream(reply, body["model"])
                    else:
                        if reply.hold:
                            reply.hold.wait(60)
                        self.whole(200, model.completion(self.path, reply.text, body["model"]), reply.headers)
                except (BrokenPipeError, ConnectionResetError):
                    model.gone.set()
                    self.close_connection = True

            def whole(self, status, value, headers):
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                for name, text in headers.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(data)

            def chunk(self, data):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()

            def stream(self, reply, name):
                ollama = self.path.endswith("/api/chat")
                self.send_response(200)
                self.send_header("Content-Type", "application/x-ndjson" if ollama else "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                pieces = reply.pieces if reply.pieces is not None else [word + " " for word in reply.text.split(" ")[:-1]] + reply.text.split(" ")[-1:]
                for i, piece in enumerate(pieces):
                    if i == 1 and reply.hold:
                        reply.hold.wait(60)
                    if ollama:
                        self.chunk(json.dumps({"model": name, "message": {"role": "assistant", "content": piece}, "done": False}).encode() + b"\n")
                    else:
                        self.chunk(b"data: " + json.dumps({"model": name, "choices": [{"delta": {"content": piece}}]}).encode() + b"\n\n")
                if reply.drop:
                    self.close_connection = True
                    return
                if ollama:
                    self.chunk(json.dumps({"model": name, "done": True, "prompt_eval_count": 7, "eval_count": len(pieces)}).encode() + b"\n")
                else:
                    self.chunk(b"data: " + json.dumps({"model": name, "choices": [{"delta": {}, "finish_reason": "stop"}]}).encode() + b"\n\n")
                    self.chunk(b"data: " + json.dumps({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": len(pieces)}}).encode() + b"\n\n")
                    self.chunk(b"data: [DONE]\n\n")
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                model.gone.set()                           # it went away before it was answered

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def completion(path, text, name):
        if path.endswith("/api/chat"):
            return {"model": name, "message": {"role": "assistant", "content": text}, "done": True, "prompt_eval_count": 7, "eval_count": 3}
        return {"model": name, "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3}}

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.server.server_address[1]

    def environment(self, dialect="openai", name="test-model", key="sk-of-the-test-0123456789"):
        return {"FLOW_LLM_PROVIDER": dialect, "FLOW_LLM_URL": self.url, "FLOW_LLM_MODEL": name, "FLOW_LLM_KEY": key}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
