"""Whether a route does the same in ``bus test``, in the engine, in a replay, and in a test that is cut out of its log: see `compare`."""
