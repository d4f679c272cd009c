"""The demo as a whole: its command, its settings, and imports whose workers are stopped."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest
from django.core.management import CommandError, call_command

from demo_project.ports import free_port

ROOT = Path(__file__).resolve().parent.parent


def run_demo(tmp_path, *arguments):
    if "--once" not in arguments:
        # By itself it takes the first free one, as another test may at the same moment.
        arguments += ("--port", str(free_port()))
    environ = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    environ |= {"DJANGO_SETTINGS_MODULE": "demo_project.settings", "DEMO_DIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, str(ROOT / "manage.py"), "demo", *arguments]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.workers
@pytest.mark.parametrize("kill", ["TERM", "KILL"])
def test_the_world_is_imported_exactly_once_although_its_worker_is_stopped_twice(tmp_path, kill):
    demo = run_demo(tmp_path, "--once", f"--signal={kill}")
    report, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, report
    continued, plain = (
        {name: int(count) for name, count in re.findall(r"^  (\w[\w ]+\w) +(\d+)$", part, re.MULTILINE)}
        for part in report.split("A plain RQ function")
    )
    assert continued["Rows in the file"] > 28_000
    assert continued["Rows imported"] + continued["Bad rows"] == continued["Rows in the file"]
    assert (continued["Rows repeated"], continued["Rows lost"]) == (0, 0)
    assert continued["Executions"] == plain["Executions"] == 3
    assert plain["Rows repeated"] > 28_000


@pytest.mark.workers
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_the_demo_serves_its_pages_and_ends_all_it_started(tmp_path, number):
    demo = run_demo(tmp_path)
    try:
        address = next(found.group() for line in demo.stdout if (found := re.search(r"http://[\d.]+:\d+/(?= )", line)))
        children = subprocess.check_output(["pgrep", "-P", str(demo.pid)], text=True).split()
        # Valkey, the web server and two workers.
        assert len(children) == 4
        with urlopen(address, timeout=10) as response:
            assert b"Import the world" in response.read()
        demo.send_signal(number)
        output, _ = demo.communicate(timeout=60)
        assert demo.returncode == 0, output
        assert "Stopped." in output
        assert not any(is_alive(int(pid)) for pid in children)
    finally:
        demo.kill()


@pytest.mark.workers
def test_the_demo_begins_with_a_history_and_adds_nothing_to_it_later(tmp_path):
    for _ in range(2):
        demo = run_demo(tmp_path)
        try:
            next(line for line in demo.stdout if "The demo is at" in line)
            with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database:
                found = database.execute("select count(*), count(distinct status) from continuations_continuation")
                assert found.fetchone() == (14, 8)
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.communicate(timeout=60)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.workers
def test_the_demo_starts_a_worker_that_ended_again(tmp_path):
    demo = run_demo(tmp_path)
    try:
        lines = iter(demo.stdout)
        started = re.compile(r"Worker worker-1-\w+: started with PID (\d+)")
        first = next(found[1] for line in lines if (found := started.search(line)))
        assert stat.S_IMODE((tmp_path / "workers.json").stat().st_mode) == 0o600
        os.kill(int(first), signal.SIGTERM)
        second = next(found[1] for line in lines if (found := started.search(line)))
        assert second != first
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.communicate(timeout=60)
    assert not (tmp_path / "workers.json").exists()


def test_the_demo_refuses_a_server_with_debug_off(settings):
    settings.DEBUG = False
    with pytest.raises(CommandError, match="DJANGO_DEBUG=1 only"):
        call_command("demo")


def test_the_demo_refuses_a_port_that_is_taken(settings):
    settings.DEBUG = True
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"Port {port} is taken"):
            call_command("demo", port=port)


@pytest.mark.parametrize("options", [[], ["--deploy", "--tag=security"]])
def test_the_settings_pass_the_checks(options):
    environ = {
        "DJANGO_SETTINGS_MODULE": "demo_project.settings",
        "DJANGO_DEBUG": "0",
        "DJANGO_SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz" * 2,
        "DJANGO_ALLOWED_HOSTS": "example.org",
        "DATABASE_URL": "sqlite://:memory:",
    }
    command = [sys.executable, str(ROOT / "manage.py"), "check", "--fail-level=WARNING", *options]
    done = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_settings_need_a_secret_key_when_debug_is_off():
    environ = {name: value for name, value in os.environ.items() if name != "DJANGO_SECRET_KEY"}
    environ |= {"DJANGO_SETTINGS_MODULE": "demo_project.settings", "DJANGO_DEBUG": "0"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "check"], env=environ, capture_output=True, text=True
    )
    assert "DJANGO_SECRET_KEY is needed" in done.stderr
