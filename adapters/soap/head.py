"""The Header of our requests: headers that the contract names, and who asks by WS-Security (UsernameToken Profile 1.1).

What stands in it comes from the settings and may be a password: it is sent, and not kept with the evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bus.adapter import Settings, Text

if TYPE_CHECKING:
    from adapters.soap.wsdl import SoapOperation, Wsdl
    from adapters.soap.xml import Element

SECURITY = "Security"


class UsernameToken(Settings):
    """Who asks, by WS-Security: a UsernameToken in each request."""

    user: Text = Field(description="our name at the system")
    password: str = Field(repr=False, description="our password")
    digest: bool = Field(default=False, description="true sends a digest of it (SHA-1, with a nonce and the time) in place of the password")


@dataclass(frozen=True, slots=True)
class Head:
    """``values``: what stands in the contract's headers, by their names; an operation is sent those that it has."""

    values: Mapping[str, Any]
    token: UsernameToken | None

    def __bool__(self) -> bool:
        return bool(self.values or self.token)

    @property
    def is_whole(self) -> bool:
        """Whether all of it is known: where settings are looked at without their secrets, some is an empty text."""
        return '""' not in json.dumps(self.values)

    def put_into(self, envelope: Element, wsdl: Wsdl, operation: SoapOperation) -> None:
        """Raises `Invalid` when the values do not fit the contract."""
        wsdl.put_headers(envelope, operation, self.values)
        if self.token is not None:
            from zeep.wsse.username import UsernameToken as Token

            who = Token(self.token.user, self.token.password, use_digest=self.token.digest, zulu_timestamp=True)  # type: ignore[no-untyped-call]
            who.apply(envelope, {})  # type: ignore[no-untyped-call]

    def unsaid(self, declared: Mapping[str, Any]) -> list[str]:
        """Headers of a contract of which the settings say nothing."""
        said = {*self.values, *([SECURITY] if self.token else [])}
        return [name for name in declared if name not in said]
