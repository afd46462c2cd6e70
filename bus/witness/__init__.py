"""The witness: a small program of another administrator, with a key of its own, that cosigns checkpoints of logs it knows.

It remembers the last checkpoint of each log, asks for a proof that a new one only adds to it, and then signs it with the time
(c2sp.org/tlog-witness). So a log that it once saw cannot be rolled back or shown to somebody in another form, though its operator hold
the log's key.
"""
