"""Ids of rows, and the RQ ids made from them."""

from __future__ import annotations

import os
import time
import uuid

PREFIX = "c-"


def uuid7() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, 12 bits of the fraction, 62 random bits.

    Ids made later sort later, which keeps inserts at the end of an index. Python has `uuid.uuid7` from 3.14 on.
    """
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") & (2**62 - 1)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random)


def token(continuation_id: uuid.UUID, delivery: int) -> str:
    """What a delivery carries: `<uuid>` for the anchor (delivery 0), `<uuid>-<n>` for the n-th after it."""
    return f"{continuation_id}-{delivery}" if delivery else str(continuation_id)


def parse_token(text: str) -> tuple[uuid.UUID, int]:
    """The inverse of `token`. Raises `ValueError` for anything else."""
    number = text[37:]
    if len(text) > 36 and (text[36] != "-" or not number.isdecimal() or number[0] == "0"):
        raise ValueError(f"{text!r} is not a delivery of a continuation")
    return uuid.UUID(text[:36]), int(number or 0)


def rq_job_id(continuation_id: uuid.UUID, delivery: int = 0) -> str:
    """The id of the RQ job that is this delivery."""
    return PREFIX + token(continuation_id, delivery)
