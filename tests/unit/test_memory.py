"""What a process keeps, and what it gives back."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from bus.memory import give_back

BURST = """
from bus.memory import give_back
def resident():
    return int(open("/proc/self/statm").read().split()[1])
made = [bytearray(3000) for _ in range(20_000)]
del made[:-1]
before = resident()
give_back()
print(before - resident())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library keeps nothing: it is not glibc")
def test_what_a_burst_needed_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", BURST], capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) > 1000  # pages, of the 60 MB that were freed below what is still in use


def test_another_c_library_gives_back_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    give_back()


HEAPS = """
import ctypes, sys, threading
from bus.memory import share
if len(sys.argv) > 1:
    share()
libc, held = ctypes.CDLL(None), threading.Barrier(17)
libc.malloc.restype = ctypes.c_void_p
def allocate():
    libc.malloc(100_000)
    held.wait(60)
threads = [threading.Thread(target=allocate) for _ in range(16)]
[one.start() for one in threads]
held.wait(60)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library has no heaps of threads: it is not glibc")
def test_all_threads_share_two_heaps() -> None:
    heaps = [
        subprocess.run([sys.executable, "-c", HEAPS, *how], capture_output=True, text=True, check=True, timeout=120).stdout.count(
            "<heap nr="
        )
        for how in ([], ["share"])
    ]
    assert heaps[0] > heaps[1] == 2


SETTLED = """
import gc
from bus.memory import settle, without_collector
with without_collector():
    assert not gc.isenabled()
assert gc.isenabled() and gc.get_freeze_count() == 0
settle()
kept = gc.get_freeze_count()
with without_collector():
    assert not gc.isenabled()
assert gc.isenabled()
print(kept - gc.get_freeze_count())
"""


def test_what_a_process_means_to_keep_is_still_looked_through_no_more_when_rules_were_read() -> None:
    done = subprocess.run([sys.executable, "-c", SETTLED], capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) <= 0
