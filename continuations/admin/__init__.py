"""Continuations in the admin: see and steer every job. Django loads this; nothing else of the package imports it."""

from .registration import ContinuationAdmin, ContinuationAdminMixin

__all__ = ["ContinuationAdmin", "ContinuationAdminMixin"]
