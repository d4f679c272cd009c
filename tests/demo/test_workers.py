"""The buttons that stop workers: which processes they reach, and which never."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
from dataclasses import replace

import django_rq
import psutil
import pytest
from django.test import Client
from django.urls import reverse
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE

from demo_project.imports.models import AirportImport
from demo_project.imports.plain import enqueue_plain
from demo_project.roster import Entry, Identity, Roster
from demo_project.stories.workers import workers
from tests.processes import eventually
from tests.shop.jobs import Count

pytestmark = pytest.mark.django_db


@pytest.fixture
def roster(settings, tmp_path):
    """An empty roster, where the demo looks for it."""
    settings.DEBUG = True
    settings.DEMO_DIR = tmp_path
    return Roster(tmp_path)


@contextlib.contextmanager
def parent(script):
    """A child of this process, as a worker is the supervisor's, with a child of its own."""
    process = subprocess.Popen(["bash", "-c", script], start_new_session=True)
    [child] = eventually(lambda: [each for each in psutil.Process(process.pid).children() if each.name() == "sleep"])
    yield process
    process.kill()
    process.wait()
    with contextlib.suppress(psutil.NoSuchProcess):
        child.kill()


@pytest.fixture
def process():
    """One that runs no job: its child is of its own process group, as RQ's scheduler is."""
    with parent("sleep 600 & wait") as process:
        yield process


@pytest.fixture
def busy():
    """One whose child has a process group of its own, as RQ's horse has."""
    with parent("set -m; sleep 600 & wait") as process:
        yield process


def entry_of(pid, name="worker-1"):
    return Entry(name, f"{name}-1234", Identity.of(pid), starts=1)


def press(client, kill, name="worker-1"):
    return client.post(reverse("stories:kill", args=[name, kill]))


# Whom the roster names


def test_the_roster_names_the_children_of_the_supervisor_and_belongs_to_its_owner(roster, process):
    roster.write([entry_of(process.pid)])
    [(entry, found)] = roster.read()
    assert (entry.name, found.pid) == ("worker-1", process.pid)
    assert stat.S_IMODE(roster.path.stat().st_mode) == 0o600


def test_a_process_that_began_at_another_time_is_another_process(roster, process):
    entry = entry_of(process.pid)
    earlier = replace(entry.process, started=entry.process.started - 60)
    roster.write([replace(entry, process=earlier)])
    assert [found for _, found in roster.read()] == [None]


def test_a_process_that_is_no_child_of_the_supervisor_is_not_its_worker(roster, process):
    [grandchild] = psutil.Process(process.pid).children()
    roster.write([entry_of(grandchild.pid), entry_of(os.getppid(), "worker-2")])
    assert [found for _, found in roster.read()] == [None, None]


def test_a_worker_that_has_ended_is_being_restarted(roster, process):
    roster.write([entry_of(process.pid)])
    assert [worker.state for worker in workers()] == ["idle"]
    # Dead, and its parent has not looked yet.
    process.kill()
    eventually(lambda: [(worker.state, worker.pid) for worker in workers()] == [("restarting", None)])


@pytest.mark.parametrize("mode", [0o640, 0o606])
def test_a_roster_that_others_can_open_is_not_believed(roster, process, mode):
    roster.write([entry_of(process.pid)])
    roster.path.chmod(mode)
    assert roster.read() == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"supervisor": 1, "workers": []}'])
def test_a_roster_that_is_none_is_not_believed(roster, text):
    roster.path.touch(0o600)
    roster.path.write_text(text)
    assert roster.read() == []


def test_the_roster_of_a_supervisor_that_has_ended_is_not_believed(roster, process):
    roster.write([entry_of(process.pid)])
    own = Identity.of(os.getpid()).started
    roster.path.write_text(roster.path.read_text().replace(str(own), str(own - 60)))
    assert roster.read() == []


# What the buttons do


def test_a_deploy_asks_the_worker_to_end_and_touches_nothing_else(client, roster, process):
    roster.write([entry_of(process.pid)])
    [child] = psutil.Process(process.pid).children()
    assert press(client, "deploy").status_code == 302
    assert process.wait(10) == -signal.SIGTERM
    assert child.is_running()


def test_a_crash_kills_the_worker_and_all_its_processes(client, roster, process):
    roster.write([entry_of(process.pid)])
    [child] = psutil.Process(process.pid).children()
    press(client, "crash")
    assert process.wait(10) == -signal.SIGKILL
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_without_a_job_there_is_no_job_to_kill(client, roster, process):
    roster.write([entry_of(process.pid)])
    press(client, "job")
    assert process.poll() is None
    assert "there was nothing to stop" in client.get("/").content.decode()


def test_the_process_of_a_job_is_killed_and_its_worker_stays(client, roster, busy):
    roster.write([entry_of(busy.pid)])
    [horse] = psutil.Process(busy.pid).children()
    press(client, "job")
    eventually(lambda: not horse.is_running() or horse.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.django_db(transaction=True)
def test_the_control_bar_says_what_a_worker_runs_and_that_it_was_told_to_end(client, roster, busy, redis_url):
    roster.write([entry := entry_of(busy.pid)])
    assert workers()[0].state_text == "alive, runs a job"
    connection = django_rq.get_connection()
    row = Count.enqueue("a", 1)
    row.pause()
    row.resume()
    again = f"{row.rq_job_id}-1"
    jobs = {row.rq_job_id: "Count", again: "Count", plain_job().id: "plain_import", "gone": "a job"}
    for job_id, name in jobs.items():
        key = WORKER_EXECUTIONS_KEY_TEMPLATE.format(entry.rq_name)
        connection.sadd(key, f"{job_id}:execution")
        assert workers()[0].state_text == f"alive, runs {name}"
        connection.delete(key)
    connection.hset(f"rq:worker:{entry.rq_name}", "shutdown_requested_date", "now")
    assert workers()[0].state_text == "alive, was told to stop"


def plain_job():
    return enqueue_plain(AirportImport.objects.create(name="airports.csv"), retries=1)


def test_a_script_is_told_what_was_done(client, roster, process):
    roster.write([entry_of(process.pid)])
    url = reverse("stories:kill", args=["worker-1", "deploy"])
    answer = client.post(url, headers={"x-requested-with": "live"})
    assert answer.json() == {"said": "Worker 1: it was told to end, as by a deploy."}


# Where there are none


@pytest.mark.parametrize("kill", ["deploy", "crash", "job"])
def test_without_debug_there_are_no_buttons_and_no_addresses(client, roster, process, settings, kill):
    roster.write([entry_of(process.pid)])
    assert "SIGKILL" in client.get("/").content.decode()
    settings.DEBUG = False
    assert "SIGKILL" not in client.get("/").content.decode()
    assert press(client, kill).status_code == 404
    assert client.get(reverse("stories:workers")).status_code == 404
    assert process.poll() is None


def test_without_a_supervisor_there_are_no_buttons(client, roster):
    assert "SIGKILL" not in client.get("/").content.decode()
    assert press(client, "crash").status_code == 404


def test_a_worker_of_another_name_is_not_found(client, roster, process):
    roster.write([entry_of(process.pid)])
    assert press(client, "crash", "worker-3").status_code == 404
    assert process.poll() is None


def test_a_worker_is_not_stopped_by_looking(client, roster, process):
    roster.write([entry_of(process.pid)])
    assert client.get(reverse("stories:kill", args=["worker-1", "crash"])).status_code == 405
    assert process.poll() is None


def test_a_forged_request_stops_nothing_and_is_told_why(roster, process):
    roster.write([entry_of(process.pid)])
    answer = press(Client(enforce_csrf_checks=True), "crash")
    assert answer.status_code == 403
    assert "The form was not accepted" in answer.content.decode()
    assert process.poll() is None


def test_the_control_bar_is_sent_only_when_it_has_changed(client, roster, process):
    roster.write([entry_of(process.pid)])
    url = reverse("stories:workers")
    first = client.get(url)
    assert client.get(url, headers={"if-none-match": first["ETag"]}).status_code == 304
    roster.write([replace(entry_of(process.pid), starts=2, name="worker-2")])
    assert client.get(url, headers={"if-none-match": first["ETag"]}).status_code == 200
