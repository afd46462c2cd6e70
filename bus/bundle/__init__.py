"""Bundles: a part of the log with all that proves it, for somebody who has nothing but the bundle.

::

    gather    what belongs in it: records, proofs, payloads, rules, schemas
    summary   the page that a person reads
    verify    the verifier that travels inside: one file, standard library only; also the one way to write the ZIP
    packing   that same ZIP piece by piece, however large it is
    export    puts it together, has the log record it, and adds the proof of that

The log records each export with the digest of the bundle's manifest, and the manifest lists every other file. So the log's own
signature covers all of it, although whoever exports does not have the log's key.
"""
