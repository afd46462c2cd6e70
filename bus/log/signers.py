"""Who may have signed what stands at some place of the log, followed from record to record while it is verified."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from bus.errors import EvidenceError
from bus.log import diagnosis, keys, note
from bus.log.checkpoint import cosigned
from bus.log.diagnosis import STRANGE, Fault, Line
from bus.log.note import Verifier
from bus.log.roots import anchors
from bus.log.stretches import Read


class Signers:
    """``known``: the keys that an auditor trusts at this place; ``former``: those before them, which he need not know; ``lost``: those that
    sign nothing any more.
    """

    def __init__(self, read: Read, known: set[Verifier], lost: set[Verifier], witnesses: Sequence[Verifier]) -> None:
        self.known, self.former, self.lost = known - lost, set[Verifier](), lost
        self.strange: Fault | None = None
        """The first announcement that no key of these vouches for."""
        self._read, self._witnesses = read, witnesses

    def all(self) -> set[Verifier]:
        return self.known | self.former

    def look_back(self, announcements: Sequence[bytes], origin: str, newest: bytes) -> None:
        """Find the keys that signed before those that are known.

        The newest checkpoint must be signed by one that is known, or that follows from it: all records stand under its root. Where it
        is not, there are none, for whoever still has a former key could sign another history.
        """
        following = keys.later(announcements, origin, self.known)
        with suppress(EvidenceError):
            note.verify(note.parse(newest), following)
            self.former = keys.former(announcements, origin, following) - self.lost

    def hear(self, first: int, lines: Sequence[Line]) -> None:
        """Take the keys that records from leaf ``first`` on announce, where one of those before has signed them or a witness vouches."""
        for leaf, line in enumerate(lines, first):
            if keys.SAYS_KEYS not in line.content:  # nearly all
                continue
            with suppress(EvidenceError, *STRANGE):  # what is wrong with the record itself is told by its hash
                self._take(leaf, line)

    def _take(self, leaf: int, line: Line) -> None:
        said = keys.announced(line.content)
        if said is None:
            return
        ours = said.vouched(self.known) or any(self._cosigned_with(key, leaf) for key in said.keys)
        if not ours and not said.vouched(self.former):
            self.strange = self.strange or diagnosis.of_keys(leaf, line, said.keys, said.lost, signed=bool(said.signed))
            return
        self.lost |= said.lost
        self.known = (self.known | (said.keys if ours else set())) - self.lost
        self.former -= self.lost

    def _cosigned_with(self, key: Verifier, leaf: int) -> bool:
        """Whether a trusted witness cosigned a checkpoint beyond that leaf which bears the signature of this key."""
        for witness in self._witnesses:
            for _, evidence in anchors(self._read, "witness", witness.name, leaf):
                with suppress(EvidenceError):
                    found = note.parse(evidence)
                    if cosigned(found, [witness]) and note.verify(found, [key]):
                        return True
        return False
