"""deploy/EVENTS.md is the list of the log's events: neither one too many nor one too few, each with its level."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEVELS = {"DEBUG": "debug", "INFO": "info", "WARN": "warn", "ERROR": "error"}
# Not made by LOG_*_EVENT: the access log's lines, and what the log says of itself.
OTHERS = {"access": {"info"}, "log_lines_dropped": {"warn"}}


def sources():
    return [path.read_text() for part in ("proxy", "acme") for path in sorted((ROOT / part).rglob("*.c"))]


def arguments(text, start):
    """The arguments of the call whose parenthesis opens at start, split at its own commas."""
    parts, depth, begin, i = [], 0, start + 1, start
    while True:
        c = text[i]
        if c == '"':
            i = re.compile(r'"(?:[^"\\]|\\.)*"').match(text, i).end()
            continue
        depth += (c == "(") - (c == ")")
        if (c == "," and depth == 1) or depth == 0:
            parts.append(text[begin:i].strip())
            begin = i + 1
        if depth == 0:
            return parts
        i += 1


def literals(argument):
    return re.findall(r'"([a-z0-9_]+)"', argument)


def functions_that_take_an_event(texts):
    """Name and level of each, and which argument it is."""
    found = {}
    for text in texts:
        for match in re.finditer(r"^\w[\w *]*?\b(\w+)(\([^;{]*?const char \*event[^;{]*\))\n\{", text, re.M):
            if match[1] == "log_event":
                continue
            place = [i for i, part in enumerate(arguments(match[2], 0)) if part == "const char *event"][0]
            body = text[match.end() : text.index("\n}", match.end())]
            found[match[1]] = (place, re.search(r"LOG_(\w+)_EVENT\([^,]*, event,", body)[1])
    return found


def logged():
    events, texts = {}, sources()

    def add(names, level):
        assert names, "an event that is not a literal"
        for name in names:
            events.setdefault(name, set()).add(level)

    helpers = functions_that_take_an_event(texts)
    for text in texts:
        for match in re.finditer(r"\bLOG_(DEBUG|INFO|WARN|ERROR)_EVENT\(", text):
            event = arguments(text, match.end() - 1)[1]
            if event != "event":
                add(literals(event), LEVELS[match[1]])
        for match in re.finditer(r"\bLOG\((?!ring)", text):  # a level that is chosen
            parts = arguments(text, match.end() - 1)
            for level in re.findall(r"LOG_LEVEL_(\w+)", parts[1]) or re.findall(r"LOG_LEVEL_(\w+)", text):
                add(literals(parts[2]), LEVELS[level])
        for match in re.finditer(r"(?<![\w*] )\b(%s)\(" % "|".join(helpers), text):
            parts = arguments(text, match.end() - 1)
            place, level = helpers[match[1]]
            if "const char" not in parts[place]:
                add(literals(parts[place]), LEVELS[level])
    return {**events, **OTHERS}


def documented():
    events = {}
    for line in (ROOT / "deploy" / "EVENTS.md").read_text().splitlines():
        row = re.match(r"\| `(\w+)` \| ([a-z, ]+) \| (.+) \|$", line)
        if row:
            assert row[1] not in events, f"{row[1]} stands twice"
            events[row[1]] = set(row[2].split(", "))
    return events


def test_every_event_is_documented_with_its_level():
    in_source, in_list = logged(), documented()
    assert len(in_source) > 80
    assert {name: levels for name, levels in in_source.items() if in_list.get(name) != levels} == {}


def test_no_event_is_documented_that_there_is_not():
    assert sorted(set(documented()) - set(logged())) == []
