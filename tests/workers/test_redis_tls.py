"""A Redis whose certificate nobody has signed, as Heroku's: refused by default, used where the operator says so, by
the bell, the workers and the budgets alike."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.core.errors import RateLimited, Vendor
from app.integrations.budget import RedisBudget
from app.integrations.budget import impatient_redis as store
from app.queue import LIVE, impatient_redis, mark_key, queue_of, ring_now
from bench.servers import free_port
from config.settings import Settings
from tests.integrations.conftest import redis_binary
from tests.web.installation import settings_for

pytestmark = pytest.mark.enable_socket


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate and its key, of a name that is not the host's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "elsewhere.example.com")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    (folder / "cert.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    certificate, key = self_signed(folder)
    tls = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    command = [redis_binary(), "--port", "0", "--save", "", "--dir", str(folder), "--tls-auth-clients", "no"]
    command += ["--requirepass", "hush", *tls]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"rediss://:hush@127.0.0.1:{port}"
    try:
        _await(process, url)
        yield url
    finally:
        process.kill()
        process.wait()


def _await(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            with redis.Redis.from_url(f"{url}?ssl_cert_reqs=none") as client:
                client.ping()
                return
        except redis.RedisError:
            if process.poll() is not None:
                pytest.skip("the server of this machine speaks no TLS")
            assert time.monotonic() < deadline, "the Redis server did not start"
            time.sleep(0.02)


def settings(address: str, **environ: str) -> Settings:
    return settings_for("sqlite:///somewhere.db", REDIS_URL=address, **environ)


def test_is_refused_unless_it_is_allowed(address: str) -> None:
    for make in (impatient_redis, store, redis.Redis.from_url):
        with make(settings(address).redis_url) as client, pytest.raises(redis.ConnectionError, match="certificate"):
            client.ping()
    assert not ring_now(impatient_redis(settings(address).redis_url))


@pytest.mark.parametrize(("query", "environ"), [("", {"REDIS_TLS_VERIFY": "false"}), ("?ssl_cert_reqs=none", {})])
def test_is_used_by_bell_workers_and_budgets_where_it_is_allowed(
    address: str, query: str, environ: dict[str, str]
) -> None:
    url = settings(address + query, **environ).redis_url
    with impatient_redis(url) as bell, store(url) as budgets, redis.Redis.from_url(url) as worker:
        bell.flushall()
        assert ring_now(bell)
        assert worker.get(mark_key(LIVE)) == b"1"
        assert queue_of(worker, LIVE).count == 1
        budget = RedisBudget(budgets, "tls", 600, 60, vendor=Vendor.INTERCOM)
        try:
            budget.take()
        except RateLimited:
            pytest.fail("the budget could not be asked")
