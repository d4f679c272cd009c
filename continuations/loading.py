"""From a job class to its path and back, through a registry: a stored path can only ever lead to a job class."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from .errors import JobClassError, JobDefinitionError

if TYPE_CHECKING:
    from .job import ContinuableJob

# By their own paths, and by those they had before.
_registry: dict[str, type[ContinuableJob]] = {}
_aliases: dict[str, type[ContinuableJob]] = {}


def register(job_class: type[ContinuableJob]) -> None:
    """Called for every subclass of `ContinuableJob` as it is defined. Raises `JobDefinitionError` for a taken path."""
    own, *aliases = paths_of(job_class)
    for path in (own, *aliases):
        holder = _aliases.get(path)
        if holder is not None and _path(holder) != own:
            raise JobDefinitionError(
                f"{path} is an alias of {_path(holder)}, so it cannot be "
                f"{'a job class of its own' if path == own else f'one of {own} too'}: stored continuations of that "
                "path run one class only"
            )
    if taken := next((alias for alias in aliases if alias == own or alias in _registry), None):
        raise JobDefinitionError(
            f"{own} has the alias {taken}, which is a job class itself: an alias is the path of a class that is gone"
        )
    # Defined again, as by a reload: what it was called before counts no more.
    for path in [path for path, holder in _aliases.items() if _path(holder) == own]:
        del _aliases[path]
    _registry[own] = job_class
    _aliases.update(dict.fromkeys(aliases, job_class))


def runnable() -> list[type[ContinuableJob]]:
    """The job classes that are imported, and that a worker could import too."""
    return [each for each in _registry.values() if hasattr(each, "perform") and _place_unknown_to_workers(each) is None]


def job_path(job_class: type[ContinuableJob]) -> str:
    """The path a worker finds the class by. Raises `JobDefinitionError` for a class no worker could import."""
    if (place := _place_unknown_to_workers(job_class)) is not None:
        raise JobDefinitionError(
            f"{job_class.__qualname__} is defined {place}, where a worker cannot import it: move it to a module, such "
            "as jobs.py"
        )
    return _path(job_class)


def paths_of(job_class: type[Any]) -> list[str]:
    """The path of the class, and those in its `aliases`. Those of its bases are theirs."""
    return [_path(job_class), *vars(job_class).get("aliases", ())]


def load_job_class(path: str) -> type[ContinuableJob]:
    """The class behind a stored path. Raises `JobClassError` if it is gone or is not a `ContinuableJob`.

    Looks among the classes that are loaded, then in the module of the path, then, for one whose alias it may be, in
    the `jobs` modules of all installed apps.
    """
    if (found := registered(path)) is not None:
        return found
    problem, cause = _import_module_of(path)
    if (found := registered(path)) is not None:
        return found
    broken = _import_job_modules()
    if (found := registered(path)) is not None:
        return found
    raise JobClassError(
        f"{path} {problem}. Put it back, or name the path in the `aliases` of the class that has taken its "
        "place, or cancel its continuations"
        + "".join(f". It may be in a module that is broken: {each}" for each in broken)
    ) from cause


def registered(path: str) -> type[ContinuableJob] | None:
    """The class behind a stored path if its module is loaded. Imports nothing."""
    return _registry.get(path) or _aliases.get(path)


def all_registered() -> dict[str, type[ContinuableJob]]:
    """The job classes that are loaded, by path."""
    return dict(_registry)


def _path(job_class: type[Any]) -> str:
    return f"{job_class.__module__}.{job_class.__qualname__}"


def _place_unknown_to_workers(job_class: type[ContinuableJob]) -> str | None:
    if job_class.__module__ == "__main__":
        return "in __main__ or the shell"
    return "inside a function" if "<locals>" in job_class.__qualname__ else None


def _import_module_of(path: str) -> tuple[str, Exception | None]:
    """Import the longest part of `path` that is a module; the rest are classes in it. Gives why that was in vain."""
    module_name = path.rpartition(".")[0]
    while module_name:
        try:
            importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                # The module is there, and something it imports is not.
                return f"cannot be imported: {error}", error
            module_name = module_name.rpartition(".")[0]
        except Exception as error:  # noqa: BLE001 - a module may raise anything
            return f"cannot be imported: {type(error).__name__}: {error}", error
        else:
            return "is not a ContinuableJob: the module has no job class of that name", None
    return "cannot be imported: there is no such module", None


def _import_job_modules() -> list[str]:
    """Import `jobs` of every installed app that has one. Gives what went wrong."""
    broken = []
    for config in apps.get_app_configs():
        if config.module is None or not module_has_submodule(config.module, "jobs"):
            continue
        try:
            importlib.import_module(f"{config.name}.jobs")
        except Exception as error:  # noqa: BLE001 - as above
            broken.append(f"{config.name}.jobs cannot be imported: {type(error).__name__}: {error}")
    return broken
