from __future__ import annotations

import os
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from continuations.models import Continuation
from demo_project.crew import Crew
from demo_project.imports.management.commands.rehearse import add_kill_arguments
from demo_project.ports import HOST, answers, first_free_port, is_free
from demo_project.supervisor import ProcessError, Stopped, Supervisor, manage
from demo_project.valkey import start_valkey

if TYPE_CHECKING:
    from argparse import ArgumentParser

PORT = 8000
# The login of the demo, and its password.
LOGIN = "demo"
# Options that the rehearsal gets too.
PASSED_ON = {"kills": "kills", "signal": "kill", "verbosity": "verbosity"}


class Command(BaseCommand):
    help = (
        "Starts everything the demo needs: a Valkey server unless REDIS_URL is set, the web server, and two workers, "
        "each of which is started again whenever it ends. Ctrl-C ends all of it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, help=f"of the web server; default: the first free one from {PORT} on")
        parser.add_argument(
            "--once",
            action="store_true",
            help="no web server: rehearse an import whose worker is stopped in the middle, and say what that did",
        )
        add_kill_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo makes a login that everybody knows. It runs with DJANGO_DEBUG=1 only.")
        try:
            with Supervisor() as supervisor:
                if options["once"]:
                    self.rehearse(supervisor, options)
                else:
                    self.serve(supervisor, options["port"])
        except Stopped:
            if options["once"]:
                raise CommandError("Stopped before it was done.") from None
            self.stdout.write("Stopped.")
        except ProcessError as error:
            raise CommandError(str(error)) from error

    def serve(self, supervisor: Supervisor, port: int | None) -> None:
        """The web server and the workers, until somebody ends them."""
        if port is not None and not is_free(port):
            raise CommandError(f"Port {port} is taken.")
        port = port or first_free_port(PORT)
        self.stdout.write("Starting …")
        call_command("migrate", verbosity=0)
        self.make_login()
        if not Continuation.objects.exists():
            # So that no page of the admin is empty.
            call_command("seed_continuations", states=True, stdout=StringIO())
        env = {"REDIS_URL": redis_url(supervisor, settings.DEMO_DIR), "DJANGO_RUNSERVER_HIDE_WARNING": "true"}
        web = supervisor.start("The web server", manage("runserver", "--noreload", f"{HOST}:{port}"), env=env)
        crew = supervisor.enter(Crew(supervisor, settings.DEMO_DIR, env=env))
        supervisor.wait_for(lambda: answers(port), what="the web server", process=web)
        self.stdout.write(
            self.style.SUCCESS(f"The demo is at http://{HOST}:{port}/ (admin: login {LOGIN}, password {LOGIN}). ")
            + "Ctrl-C ends it."
        )
        supervisor.watch(stay=crew.workers, needed=web, on_restart=crew.note)

    def rehearse(self, supervisor: Supervisor, options: dict[str, Any]) -> None:
        """`manage.py rehearse` with uploads, and unless DATABASE_URL is set a database, of its own."""
        folder = supervisor.enter(TemporaryDirectory(prefix="continuations-demo-"))
        env = {"REDIS_URL": redis_url(supervisor, Path(folder)), "DEMO_DIR": folder}
        chosen = [f"--{name}={options[option]}" for name, option in PASSED_ON.items()]
        supervisor.run("The migration", manage("migrate", "--verbosity=0"), env=env)
        supervisor.run("The rehearsal", manage("rehearse", *chosen), env=env)

    def make_login(self) -> None:
        if not User.objects.filter(username=LOGIN).exists():
            User.objects.create_superuser(LOGIN, password=LOGIN)


def redis_url(supervisor: Supervisor, folder: Path) -> str:
    """Of the configured server, or of one that ends with the demo and keeps its data in `folder`."""
    return os.environ.get("REDIS_URL") or start_valkey(supervisor, folder / "valkey")
