"""Anchors: who outside the municipality's own machines vouches for a checkpoint, so that its operator cannot take it back.

Three kinds, each useful without the others: a *witness* cosigns it, a *timestamp* authority says that it existed at a time (RFC 3161), and
the protocol *register* takes the day's last one in as a document. What comes back is kept beside the checkpoint (table ``anchors``) and
never changed.
"""
