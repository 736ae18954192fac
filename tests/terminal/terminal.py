#!/usr/bin/env python3
"""Talks to flowd over a pseudo-terminal, as a person would: a question is asked, a wrong answer is asked again, the right one goes on;
without an answer (end of input) the run stays parked. Usage: terminal.py BUILD      closes with `N passed, N failed`
"""
import os
import pty
import select
import shutil
import sys
import tempfile
import time

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"


FLOW_20 = ["flows/20_sequential.flow", "--fixture", "berlin"]
PAY = ["tests/terminal/pay.flow"]


def talk(folder, answers, program):
    """Runs a flow on a terminal; each question gets the next answer. The text that was shown, and the exit code."""
    env = dict(os.environ, FLOW_STORE="sqlite:%s/flow.db" % folder, FLOW_AS="anna@family", NO_COLOR="1")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(os.path.join(BUILD, "flowd"), ["flowd", "run"] + program, env)
    shown, asked, deadline = b"", 0, time.time() + 60
    while time.time() < deadline:
        ready, _, _ = select.select([terminal], [], [], 1)
        if not ready:
            continue
        try:
            piece = os.read(terminal, 4096)
        except OSError:                                            # the other side is closed
            break
        if not piece:
            break
        shown += piece
        while shown.count(b"[yes/no]") > asked:
            os.write(terminal, answers[asked] if asked < len(answers) else b"\x04")
            asked += 1
    _, status = os.waitpid(pid, 0)
    return shown.decode(errors="replace"), os.waitstatus_to_exitcode(status)


CASES = [
    ("yes at the terminal books", [b"yes\n"], 0, ["Found flight LH123 for €150. Book it?", "Done! Flight booked (LH123)"]),
    ("a wrong answer is asked again", [b"maybe\n", b"yes\n"], 0, ["That does not fit", "Done! Flight booked (LH123)"]),
    ("no books nothing", [b"no\n"], 0, ["nothing was booked"]),
    ("without an answer the run is parked", [b"\x04"], 3, ["parked R-", "flowd answer R-"]),
    ("a call is allowed by who was shown it", [b"yes\n"], 0, ["till.pay is about to be called, with", '"amount": 7', '"note": "for \\u202etxt"', "Allow it?", "paid 7"], PAY),
    ("a call is refused", [b"no\n"], 1, ["till.pay was not approved"], PAY),
    ("a call that nobody allows waits with its hash", [b"\x04"], 3, ["parked R-", "yes --hash "], PAY),
]


def main():
    passed = failed = 0
    for name, answers, code, texts, *program in CASES:
        folder = tempfile.mkdtemp(prefix="fidus-terminal.")
        try:
            shown, found = talk(folder, answers, program[0] if program else FLOW_20)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        lacking = [text for text in texts if text not in shown]
        if found == code and not lacking:
            passed += 1
            print("ok %s" % name)
        else:
            failed += 1
            print("FAIL %s: exit %s, expected %s; lacks %s in:\n%s" % (name, found, code, lacking, shown))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
