#!/usr/bin/env python3
"""Compares the sequence diagram of each flow's `documented` test with the messages its documentation shows.

NAME.messages lists them: `From ->> To: text` or `From -->> To: text`, in order. The text is a regular expression that must be found in the
drawn message (it may be left out). Lines between `par` and `end` may come in any order among themselves, and so may those between
`detached` and `end`, anywhere in the diagram. Self-messages are listed as `Name ->> Name` and must appear, too.
Usage: check.py BUILD      closes with `N passed, N failed`
"""
import os
import re
import subprocess
import sys

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
HERE = os.path.dirname(os.path.abspath(__file__))
MESSAGE = re.compile(r"^\s*(.+?)\s*(-?->>)\s*(.+?)(?::\s*(.*))?$")


def drawn(flow):
    out = subprocess.run([os.path.join(BUILD, "flowc"), "test", "flows/%s.flow" % flow, "--only", "documented", "--trace", "mermaid"],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120).stdout.decode()
    names, messages = {}, []
    for line in out.splitlines():
        participant = re.match(r"\s*participant (\S+) as (.*)", line)
        if participant:
            names[participant.group(1)] = participant.group(2)
            continue
        message = MESSAGE.match(line)
        if message and message.group(1) in names and message.group(3) in names:
            messages.append((names[message.group(1)], message.group(2), names[message.group(3)], message.group(4) or ""))
    return out, messages


def wanted(path):
    """Groups of messages: ('in order' | 'par' | 'detached', [message, …])."""
    groups, inside = [], None
    for line in open(path, encoding="utf-8"):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line in ("par", "detached"):
            inside = (line, [])
            groups.append(inside)
        elif line == "end":
            inside = None
        else:
            m = MESSAGE.match(line)
            if not m:
                raise ValueError("%s: %s" % (path, line))
            message = (m.group(1), m.group(2), m.group(3), m.group(4) or "")
            if inside:
                inside[1].append(message)
            else:
                groups.append(("in order", [message]))
    return groups


def fits(want, have):
    return want[:3] == have[:3] and re.search(want[3], have[3]) is not None


def find(want, messages, start):
    for i in range(start, len(messages)):
        if fits(want, messages[i]):
            return i
    return None


def missing(groups, messages):
    """The first documented message that is not drawn where it should be, or None."""
    at = 0
    for kind, group in groups:
        furthest = at
        for want in group:
            place = find(want, messages, 0 if kind == "detached" else at)
            if place is None:
                return want
            furthest = max(furthest, place + 1)
        if kind != "detached":
            at = furthest
    return None


def main():
    passed = failed = 0
    for name in sorted(os.listdir(HERE)):
        if not name.endswith(".messages"):
            continue
        flow = name[:-len(".messages")]
        out, messages = drawn(flow)
        lacking = missing(wanted(os.path.join(HERE, name)), messages)
        if lacking is None:
            passed += 1
            print("ok %s: %d messages" % (flow, len(messages)))
        else:
            failed += 1
            print("FAIL %s: the diagram lacks `%s %s %s: %s`\n%s" % ((flow,) + lacking + (out,)))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
