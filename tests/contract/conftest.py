"""What more than one of the tests of adapters asks for."""

import pytest

from tests.contract.tls_peer import self_signed


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(file of a self-signed certificate for 127.0.0.1, file of its key)."""
    return self_signed(tmp_path_factory.mktemp("tls"))
