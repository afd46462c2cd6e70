"""Settings that would let somebody be taken for another are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus import config
from bus.errors import ConfigError
from tests.small_bus import settings


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bus", "keys.0.name may not be bus: what the bus sends by itself has that sender"),
        ("pagopa", "adapters may not hold pagopa: an API key has that name and would send as that system; give the key another one"),
    ],
)
def test_no_api_key_has_the_name_of_a_system_or_of_the_bus(name: str, said: str) -> None:
    own = {**settings()["keys"][0], "name": name}
    with pytest.raises(ConfigError) as told:
        config.parse(settings(keys=[own], adapters={"pagopa": {"use": "pagopa"}}), Path("config.yaml"))
    assert (told.value.code, str(told.value).count(said)) == ("config.invalid", 1)
    config.parse(settings(keys=[{**own, "name": "portale"}], adapters={"pagopa": {"use": "pagopa"}}), Path("config.yaml"))
