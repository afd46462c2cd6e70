-- Anchors stay: they are evidence, and an older program does not look at them.
PRAGMA user_version = 3;
