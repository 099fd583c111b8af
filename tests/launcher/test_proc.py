"""Processes are known by pid and start time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

from portal.launcher import proc
from portal.launcher.proc import Identity

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_process_that_took_over_the_pid_is_not_hit() -> None:
    process = subprocess.Popen(SLEEP)
    try:
        earlier = replace(Identity.of(process.pid), started="1")
        earlier.stop("SIGKILL", grace_seconds=0)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(5)


def test_a_process_that_ended_is_not_alive_before_it_is_reaped() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Identity.of(process.pid) is None
    process.wait(5)


def test_one_that_ignores_the_request_is_killed() -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); "
    process = subprocess.Popen([sys.executable, "-c", deaf + "time.sleep(60)"], stdout=-1)
    process.stdout.readline()
    Identity.of(process.pid).stop("SIGTERM", grace_seconds=0.2)
    assert process.wait(5) == -signal.SIGKILL


def test_processes_are_found_by_a_marker_in_their_environment() -> None:
    marked = subprocess.Popen(SLEEP, env={"PILOTHOUSE_RUN": "abc"})
    other = subprocess.Popen(SLEEP, env={"PILOTHOUSE_RUN": "abcd"})
    try:
        time.sleep(0.1)  # until both have replaced the fork's environment by their own
        assert proc.carrying("PILOTHOUSE_RUN=abc") == [Identity.of(marked.pid)]
    finally:
        for process in (marked, other):
            process.kill()
            process.wait(5)


def test_a_child_goes_when_its_parent_is_killed() -> None:
    parent = (
        "import subprocess, sys, time; from portal.launcher.proc import die_with_parent; "
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=die_with_parent('SIGTERM')); "
        "print(child.pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    child = Identity.of(int(process.stdout.readline()))
    process.kill()
    process.wait(5)
    assert child is not None and child.wait_until_gone(5)
