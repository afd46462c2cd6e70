"""Every configuration shown in the README files of the SOAP adapters is one that the adapter takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.anagrafe.adapter import Anagrafe
from adapters.protocollo.adapter import Protocollo
from adapters.soap.adapter import Soap

ADAPTERS = Path(__file__).parents[2] / "adapters"
SHOWN = [
    (kind, text)
    for kind, folder in ((Anagrafe, "anagrafe"), (Protocollo, "protocollo"), (Soap, "soap"))
    for text in re.findall(r"```yaml\n(.*?)```", (ADAPTERS / folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
]


def _resolved(value: Any) -> Any:
    """Secrets as the configuration gives them to an adapter: texts."""
    if isinstance(value, dict):
        return "segreto" if set(value) == {"env"} else {name: _resolved(inner) for name, inner in value.items()}
    return value


@pytest.mark.parametrize(("kind", "text"), SHOWN)
def test_a_configuration_that_a_readme_shows_is_taken(kind, text):
    ((_, shown),) = yaml.safe_load(text)["adapters"].items()
    shown.pop("use", None)
    adapter = kind("prova", kind.Settings.model_validate(_resolved(shown)))
    assert adapter.operations
    adapter.close()


@pytest.mark.parametrize("kind", [Anagrafe, Protocollo, Soap])
def test_every_setting_and_refusal_stands_in_the_readme(kind):
    readme = (ADAPTERS / kind.__module__.split(".")[1] / "README.md").read_text(encoding="utf-8")
    refusals = {code for declared in kind.operations.values() for code in declared.refusals}
    settings = set(kind.Settings.model_fields) if kind is not Soap else set()
    assert [name for name in sorted(settings | refusals) if f"`{name}`" not in readme] == []


@pytest.mark.parametrize("kind", [Anagrafe, Protocollo, Soap])
def test_secrets_are_not_shown_with_the_settings(kind):
    secret = "non-mostrarmi"
    given = {
        Anagrafe: {"url": "http://u", "credenziali": {"token": secret}},
        Protocollo: {
            "url": "http://u", "ente": "e", "utente": "u", "password": secret, "autorizzazione_ricerca": secret, "amministrazione": "a", "aoo": "a",
            "denominazione": "d",
        },
        Soap: {"url": "http://u", "wsdl": "w", "headers": {"Authorization": secret}, "operations": {"x": {"operation": "x", "timeout": 1}}},
    }[kind]  # fmt: skip
    assert secret not in repr(kind.Settings.model_validate(given))


@pytest.mark.parametrize(
    "url", ["", "u", "tributi.example/ws", "htp://tributi.example", "http://", "http://tributi.example:99999/", "http://[::1", "http://a b"]
)
@pytest.mark.parametrize("kind", [Anagrafe, Protocollo, Soap])
def test_an_address_that_is_none_is_told_where_it_is_written(kind, url):
    """It was found at the first call, as a system that cannot be reached, and tried for days."""
    with pytest.raises(ValueError, match="is no address"):
        kind.Settings.model_validate({"url": url})


def test_credentials_in_an_address_are_refused():
    """They were left out in silence, and stood in evidence."""
    with pytest.raises(ValueError, match="must hold no user and no password"):
        Soap.Settings.model_validate({"url": "https://snodo:segreta@tributi.example/ws"})
