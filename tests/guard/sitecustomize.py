"""Python imports this at start-up when its folder is on PYTHONPATH: so the processes started by tests are guarded too."""

import network_guard

network_guard.install()
