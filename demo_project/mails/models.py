"""The tables of this app, a noun a module."""

from __future__ import annotations

from .metrics import Metric
from .newsletters import Dispatch, Newsletter
from .people import Person
from .signups import SignUp

__all__ = ["Dispatch", "Metric", "Newsletter", "Person", "SignUp"]
