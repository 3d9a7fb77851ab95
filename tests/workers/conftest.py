"""The worker's tests have a real server of Redis' protocol."""

from tests.integrations.conftest import redis, redis_server  # noqa: F401 - fixtures
