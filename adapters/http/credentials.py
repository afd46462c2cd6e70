"""How a system that is described in ``config.yaml`` is told who asks: by headers that are always the same, or by tokens."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from adapters.http.link import LinkSettings
from adapters.http.pdnd import Pdnd
from adapters.http.tokens import Credentials, OAuth2
from adapters.shapes import WebHeaders


class LoginSettings(LinkSettings):
    """Settings of such a system."""

    headers: WebHeaders = Field(default_factory=dict, repr=False, description="sent with every request, e.g. Ocp-Apim-Subscription-Key")
    pdnd: Pdnd | None = Field(None, description="how PDND is asked for the vouchers that go with every request")
    oauth2: OAuth2 | None = Field(None, description="how a server of tokens is asked for those that go with every request")

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        in_headers = any(name.lower() == "authorization" for name in self.headers)
        said = [name for name, is_there in (("headers", in_headers), ("pdnd", self.pdnd), ("oauth2", self.oauth2)) if is_there]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} both say Authorization: leave one of them out")
        return self

    @property
    def credentials(self) -> Credentials | None:
        """What gives the tokens."""
        return self.pdnd or self.oauth2

    @property
    def given(self) -> frozenset[str]:
        """The headers that go with every request, in lowercase."""
        return frozenset(map(str.lower, self.headers)) | (self.credentials.headers if self.credentials else frozenset())
