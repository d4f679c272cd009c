"""Redis clients that do not wait for a server that hangs: a checkpoint, a page or a worker's beat cannot."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from redis.exceptions import RedisError
from redis.sentinel import Sentinel

from continuations.clients import asking
from continuations.liveness import server_of
from tests.silence import SilentServer


def named_by_a_sentinel(port: int, **options: Any) -> redis.Redis:
    """A client as django-rq makes them for SENTINELS. Who the master is, the sentinel is not asked here."""
    sentinel = Sentinel([("127.0.0.1", 1)], **options)
    sentinel.discover_master = lambda service_name: ("127.0.0.1", port)
    return sentinel.master_for("main", db=3)


def by_address(port: int) -> redis.Redis:
    return redis.Redis(host="127.0.0.1", port=port, db=3)


@pytest.mark.parametrize("client_of", [by_address, named_by_a_sentinel])
def test_a_server_that_hangs_is_waited_for_once_and_briefly(client_of: Any, silent_server: SilentServer) -> None:
    with client_of(silent_server.port) as client, asking(client, 0.2) as impatient:
        options = impatient.get_connection_kwargs()
        assert (options["socket_timeout"], options["socket_connect_timeout"]) == (0.2, 0.2)
        with pytest.raises(RedisError):
            impatient.ping()
    assert silent_server.connections() == 1


@pytest.mark.parametrize("client_of", [by_address, named_by_a_sentinel])
def test_the_client_asks_the_same_database_of_the_same_server(client_of: Any, valkey: Any) -> None:
    with client_of(valkey.port) as client, asking(client, 1) as impatient:
        client.set("where", "here", ex=5)
        assert impatient.get("where") == b"here"
        assert server_of(impatient) == server_of(client)


def test_servers_are_told_apart_by_what_is_in_them(valkey: Any) -> None:
    assert len({server_of(client) for client in (by_address(1), by_address(2), redis.Redis(port=1, db=0))}) == 3
    main, other = Sentinel([]).master_for("main"), Sentinel([]).master_for("other")
    assert server_of(main) != server_of(other)
