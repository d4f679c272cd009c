"""Who summarises: an interface, and what stands behind it by the settings."""

from __future__ import annotations

from typing import Protocol

from django.conf import settings

from .summary import key_sentences

# Sentences of a summary.
LENGTH = 6


class ModelError(Exception):
    """The model is busy, away, or answered nonsense. Asking again may help."""


class ModelRefusedError(Exception):
    """The model will not do it, however often it is asked: a wrong key, a wrong name, too much text."""


class Summariser(Protocol):
    """A model that summarises text. `name` is shown to readers of the summary."""

    name: str

    def summarise(self, text: str) -> list[str]:
        """A few sentences. Raises `ModelError` or `ModelRefusedError`."""
        ...


class KeySentences:
    """Works offline and costs nothing: picks the key sentences of the text."""

    name = "SumBasic"

    def summarise(self, text: str) -> list[str]:
        return key_sentences(text, count=LENGTH)


def summariser() -> Summariser:
    """The endpoint of `SUMMARY_ENDPOINT` where that setting names one, otherwise the one that works offline."""
    if endpoint := getattr(settings, "SUMMARY_ENDPOINT", None):
        from .endpoint import Endpoint

        return Endpoint(**endpoint)
    return KeySentences()
