"""A `flowd serve` of its own for a test, with its keys and its store, and a client that keeps its connection."""
import http.client
import json
import os
import signal
import subprocess
import threading


class Server:
    def __init__(self, flowd, folder, files, environment=None, store=None):
        self.folder = folder
        self.store = store or "sqlite:" + os.path.join(folder, "flow.db")
        self.keys = os.path.join(folder, "keys.json")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOW_") or name in ("FLOW_STDLIB",)}
        self.environment.update({"FLOW_KEYS": self.keys, "XDG_STATE_HOME": folder, **(environment or {})})
        self.process = subprocess.Popen([flowd, "serve", "--listen", "127.0.0.1:0", "--store", self.store, *files], env=self.environment, stderr=subprocess.PIPE, text=True)
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event.get("event") == "listening":
                self.port = event["port"]
                break
        else:
            raise RuntimeError("flowd serve: " + "".join(self.log))
        threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True).start()
        self.host = f"127.0.0.1:{self.port}"

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()


class Client:
    def __init__(self, server):
        self.server, self.connection = server, None

    def ask(self, method, path, body=None, headers=()):
        """(status, headers as a list of pairs, body as text)"""
        for attempt in (1, 2):
            if not self.connection:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
            data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            try:
                self.connection.putrequest(method, path, skip_accept_encoding=True)
                if data is not None:
                    self.connection.putheader("Content-Type", "application/json")
                    self.connection.putheader("Content-Length", str(len(data)))
                for name, value in headers:
                    self.connection.putheader(name, value)
                self.connection.endheaders(data)
                answer = self.connection.getresponse()
                text = answer.read().decode()
                if answer.getheader("Connection") == "close":
                    self.close()
                return answer.status, answer.getheaders(), text
            except (OSError, http.client.HTTPException):
                self.close()
                if attempt == 2:
                    raise

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None
