"""HTTP/1.1 for adapters: one deadline for each exchange, kept connections, and words for what failed.

Requests and replies are written and read here, because that was two thirds of what a call cost: ``requests`` only finds the way. No hidden
retries, no redirects, no cookies, no proxies or netrc from the environment; a proxy that the settings name is `bus.network`'s.

`crossing`  one exchange's deadline, and whether a byte of it left: told, never guessed
`message`   what goes over a connection that stands: a request written, a reply read within bounds
`link`      the kept connections to one system: addresses, TLS, authorities, our certificate
`outcome`   what an exchange that failed means, and says
`client`    all of it together for systems that speak JSON
`tokens`    bearer tokens of OAuth 2.0: asked for, kept, let go
`pdnd`      those of PDND; `modi` what is signed beside them, `jws` how
`files`     what travels as a file or a text, whole or in a form of parts
"""
