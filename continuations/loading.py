"""From a job class to its path and back, through a registry: a stored path can only ever lead to a job class."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .errors import JobClassError, JobDefinitionError

if TYPE_CHECKING:
    from .job import ContinuableJob

_registry: dict[str, type[ContinuableJob]] = {}


def register(job_class: type[ContinuableJob]) -> None:
    """Called for every subclass of `ContinuableJob` as it is defined."""
    _registry[_path(job_class)] = job_class


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


def load_job_class(path: str) -> type[ContinuableJob]:
    """The class behind a stored path. Raises `JobClassError` if it is gone or is not a `ContinuableJob`."""
    if path not in _registry:
        _import_module_of(path)
    if path not in _registry:
        raise JobClassError(
            f"{path} is not a ContinuableJob: the module has no job class of that name. Put it back, or cancel its "
            "continuations"
        )
    return _registry[path]


def registered(path: str) -> type[ContinuableJob] | None:
    """The class behind a stored path if its module is loaded. Imports nothing."""
    return _registry.get(path)


def all_registered() -> dict[str, type[ContinuableJob]]:
    """The job classes that are loaded, by path."""
    return dict(_registry)


def _path(job_class: type[ContinuableJob]) -> str:
    return f"{job_class.__module__}.{job_class.__qualname__}"


def _place_unknown_to_workers(job_class: type[ContinuableJob]) -> str | None:
    if job_class.__module__ == "__main__":
        return "in __main__ or the shell"
    return "inside a function" if "<locals>" in job_class.__qualname__ else None


def _import_module_of(path: str) -> None:
    """Import the longest part of `path` that is a module; the rest are classes in it."""
    module_name = path.rpartition(".")[0]
    while module_name:
        try:
            importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                # The module is there, and something it imports is not.
                raise JobClassError(f"{path} cannot be imported: {error}") from error
            module_name = module_name.rpartition(".")[0]
        except Exception as error:
            raise JobClassError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
        else:
            return
    raise JobClassError(f"{path} cannot be imported: there is no such module")
