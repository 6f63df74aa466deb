"""Under systemd each line of the log tells the journal how serious it is; elsewhere no line does."""

import os
import subprocess

import pytest

from support.portico import environment


def first_lines(launch, variables, journal):
    reading, writing = os.pipe()
    told = os.fstat(writing)
    env = environment(variables)
    if journal:
        env["JOURNAL_STREAM"] = f"{told.st_dev}:{told.st_ino + (journal == 'another')}"
    child = subprocess.Popen([str(launch.binary)], env=env, stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    lines = []
    with os.fdopen(reading) as log:
        for line in log:
            lines.append(line)
            if '"started"' in line:
                child.terminate()
    assert child.wait(20) == 0
    return lines


@pytest.mark.parametrize("journal", [None, "this", "another"])
def test_lines_begin_with_their_priority_in_the_journal_alone(launch, backends, journal):
    lines = first_lines(launch, launch.variables(backends()), journal)
    levels = {"debug": "<7>", "info": "<6>", "warn": "<4>", "error": "<3>"}
    assert len(lines) > 4
    for line in lines:
        level = line.split('"level":"')[1].split('"')[0]
        assert line.startswith(levels[level] + "{" if journal == "this" else "{"), line
