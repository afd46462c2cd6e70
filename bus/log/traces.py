"""Whether searches find each record as what it is: the table `traces`, and the view `traced`, say of it what it is.

Traces are made a while after their records: whoever compares says the number until which there are any.
"""

from __future__ import annotations

from bus.log import stretches
from bus.log.diagnosis import MISLED, Broken, Fault, Page
from bus.log.stored import StoredTree
from bus.log.stretches import Read
from bus.store import Tx

BEFORE_ALL = -(2**63)
"""A number below those of all facets, times and records."""
_UNTRACED = "searches do not find its record as what it is: it has another trace or none, or the view `traced` was replaced"


def compare(tx: Tx, page: Page, until: int) -> tuple[int, Fault | None]:
    """How many traces the records of a page make, and the fault of the first that searches would not find as what it is."""
    begin, until = page.lines[0].seq, min(page.lines[-1].seq, until)
    if until < begin:
        return 0, None
    told, missing = _told(tx, begin - 1, until)
    if missing is None:
        return told, None
    # a view that was replaced may tell of no record of the page
    leaf, line = next((leaf, line) for leaf, line, _ in page.leaves() if line.seq >= missing)
    return 0, line.fault("table", leaf, _UNTRACED, MISLED)


def count(tx: Tx, after: int, until: int) -> int:
    """How many traces the records between these numbers make; raises `Broken` for one that searches would not find as what it is."""
    told, missing = _told(tx, after, until)
    if missing is None:
        return told
    leaf = StoredTree(tx).index_of(missing)
    raise Broken(Fault("table", f"leaf {leaf:,}: {_UNTRACED}", leaf, leaf, hint=MISLED))


def _told(tx: Tx, after: int, until: int) -> tuple[int, int | None]:
    """How many traces the records between these numbers make, and the number of the first of which there is another, or none."""
    [row] = tx.all("traces_of", after=after, until=until)
    return row["told"], row["missing"]


def strangers(read: Read, until: int, told: int) -> None:
    """Raises `Broken` for traces that searches look at and that no record makes; ``told``: how many those up to number ``until`` make."""
    counted = list(stretches.found(read, "count_traces", "traces", start=BEFORE_ALL, until=until))
    among, beyond = (sum(row[column] for row in counted) for column in ("among", "beyond"))
    if among != told or beyond:
        said = f"{among:,} traces by which searches find, and {beyond:,} beyond the last; the records make {told:,}"
        raise Broken(Fault("table", f"the table `traces` holds {said}", hint=MISLED))
