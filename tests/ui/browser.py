"""A headless Chromium, driven through chromedriver's HTTP interface (W3C WebDriver) with the standard library alone."""
import base64
import http.client
import json
import shutil
import socket
import subprocess
import tempfile

from stream_client import until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
DEADLINE = 20
ENTER, TAB = "\ue007", "\ue004"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Browser:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="flow_browser_")
        self.port = free_port()
        self.driver = subprocess.Popen(["chromedriver", "--port=%d" % self.port, "--log-path=%s/driver.log" % self.folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.session = None
        self.wait(self.is_ready, "chromedriver")
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-extensions", "--lang=en-GB",
                     "--hide-scrollbars", "--window-size=1200,900", "--user-data-dir=%s/profile" % self.folder]
        options = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": options}})["sessionId"]

    def is_ready(self):
        try:
            return self.call("GET", "/status")["ready"]
        except OSError:
            return False

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())["value"]
        connection.close()
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError("%s: %s" % (answer["error"], answer["message"].splitlines()[0]))
        return answer

    def ask(self, method, path, body=None):
        return self.call(method, "/session/%s%s" % (self.session, path), body)

    @staticmethod
    def wait(condition, what, seconds=DEADLINE):
        return until(condition, what, seconds)

    def open(self, url):
        self.ask("POST", "/url", {"url": url})

    def run(self, script, *args):
        """The body of a function in the page; what it returns."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(args)})

    def devtools(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def find(self, css, text=None):
        """The first visible element that is like this, when it is there."""
        script = """for (const e of document.querySelectorAll(arguments[0]))
            if (e.checkVisibility() && !e.disabled && (arguments[1] === null || e.textContent.trim() === arguments[1])) return e;
            return null;"""
        return self.wait(lambda: self.run(script, css, text), "an element %s %s; the page says: %s" % (css, text or "", self.text()[-600:]))

    def click(self, css, text=None):
        self.ask("POST", "/element/%s/click" % self.find(css, text)[ELEMENT], {})

    def type(self, css, text):
        self.ask("POST", "/element/%s/value" % self.find(css)[ELEMENT], {"text": text})

    def press(self, keys):
        """To whatever has the focus."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def text(self):
        return self.run("return document.body.innerText")

    def says(self, text):
        try:
            self.wait(lambda: text in self.text(), text)
        except AssertionError:
            raise AssertionError("the page does not say %r but: %s" % (text, self.text()[-1200:]))

    def colours(self, scheme):
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def size(self, width, height):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self, path):
        with open(path, "wb") as out:
            out.write(base64.b64decode(self.ask("GET", "/screenshot")))

    def complaints(self):
        """What the page's console had to say since the last call."""
        return [entry["message"] for entry in self.ask("POST", "/se/log", {"type": "browser"})]

    def close(self):
        try:
            if self.session:
                self.ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(10)
            shutil.rmtree(self.folder, ignore_errors=True)
