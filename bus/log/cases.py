"""Whether messages and runs stand in the tables with the case where they belong, and cases with the keys that records tell.

A case has no records of its own: it is what hangs together, over the tokens of keys that records tell, and over who sent or opened what.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bus.log import stretches
from bus.log.diagnosis import MISLED, Broken, Content, Fault, Page
from bus.log.record import WEAK
from bus.log.stretches import Read
from bus.message import parsed
from bus.store import Row, Tx, listed

MOST = 500
"""Cases looked at together."""
MANY = 50
"""Keys of a case from which on its records are read once: a question looks through them for each key, and of 10,000 takes minutes."""
_STRANGERS: Mapping[str, tuple[str, str]] = {
    "cases_unfounded": ("cases", "the case {id} stands in the table `cases`, and the message that would have opened it says otherwise"),
    "cases_missing": ("messages", "the case {id} is not in the table `cases`, and the message that opened it is there"),
    "keys_unfounded": ("case_keys", "the case {case_id} stands under a key `{name}` that no record of it tells"),
    "cases_twice": ("cases", "two rows stand in the table `cases` for the case {id}"),
    "case_keys_twice": ("case_keys", "two rows stand in the table `case_keys` for one key `{name}` of the case {case_id}"),
}
"""Questions for a row that no record made, or for one that is there twice, the table that is looked through, and what it says of one.
Keys that name persons (``weak``) no record tells.
"""


def deciding(binding: Sequence[tuple[int, Content]]) -> Iterator[str]:
    """Runs whose case decides where something on the page belongs."""
    for _, content in binding:
        if content["kind"] != "received":
            yield content["run"]
        elif "parent" in content["data"]:
            yield content["data"]["parent"]


def compare(tx: Tx, page: Page, binding: Sequence[tuple[int, Content]], messages: Mapping[str, Row], runs: Mapping[str, Row]) -> None:
    """Raises `Broken` for a message or run that stands with another case than what a record of ``binding`` puts it into: who tells a key
    belongs to the case that the key stands under, a message sent by a run to the case of the run.
    """
    tokens = {token for _, content in binding for token in _tokens(content).values()}
    stands = {}
    if tokens:
        rows = tx.all("strong_keys_by_value", values=listed(sorted(tokens)))
        stands = {(row["name"], row["value"]): row["case_id"] for row in rows}
    for at, content in binding:
        for what, mine, other in _belongs(content, stands, messages, runs):
            if mine != other:
                said = f"{what} stands in the tables with the case {mine}, the log puts it into {other}"
                if other is None:
                    said = f"{what} stands in the tables with the case {mine}, to which no row of `case_keys` leads from its keys"
                raise page.broken(at, said, MISLED)


def _belongs(
    content: Content, stands: Mapping[tuple[str, str], str], messages: Mapping[str, Row], runs: Mapping[str, Row]
) -> Iterator[tuple[str, str, str | None]]:
    """What a record puts into a case: in words, with the case of its row, and the one where it belongs."""
    kind = content["kind"]
    if kind == "received":
        message = messages[content["message"]]
        what, mine = f"the message {message['id']}", message["case_id"]
        if (parent := runs.get(content["data"].get("parent", ""))) is not None:
            yield what, mine, parent["case_id"]
        for made in content["data"].get("runs", ()):
            yield f"the run {made['id']}", runs[made["id"]]["case_id"], mine
    elif kind == "late":
        made = content["data"]["opens"]
        yield f"the run {made['id']}", runs[made["id"]]["case_id"], runs[content["run"]]["case_id"]
        return
    else:
        what, mine = f"the run {content['run']}", runs[content["run"]]["case_id"]
    for key in _tokens(content).items():
        yield what, mine, stands.get(key)


def _tokens(content: Content) -> Mapping[str, str]:
    """The tokens of the keys that name a matter."""
    keys: Mapping[str, str] = content.get("data", {}).get("keys", {})
    return keys


def strangers(read: Read) -> None:
    """Raises `Broken` for a case, or a key of one, that no record made, and for a message that no record puts into its case."""
    many = [row["case_id"] for row in stretches.found(read, "cases_of_many_keys", "case_keys", many=MANY)]
    for query, (table, sentence) in _STRANGERS.items():
        for row in stretches.found(read, query, table, weak=listed(sorted(WEAK)), apart=listed(many)):
            raise Broken(Fault("table", sentence.format(**dict(row)), hint=MISLED))
    for case in many:
        with read() as tx:
            if (name := _untold(tx, case)) is not None:
                raise Broken(Fault("table", _STRANGERS["keys_unfounded"][1].format(case_id=case, name=name), hint=MISLED))
    after: str | None = ""
    while after is not None:
        with read() as tx:
            cases = [row["case_id"] for row in tx.all("cases_of_several", after=after, most=MOST)]
            _connected(tx, cases)
        after = cases[-1] if cases else None


def _untold(tx: Tx, case: str) -> str | None:
    """The name of a key of a case that no record of it tells: what `keys_unfounded` asks, of a case of `MANY`."""
    contents = [parsed(row["content"]) for row in tx.all("records_that_join", cases=listed([case]))]
    told, old = {key for content in contents for key in _tokens(content).items()}, _tell_no_tokens(contents)
    for row in tx.all("keys_of_case", case_id=case):
        names_person = row["strong"] == 0 and row["name"] in WEAK
        if not names_person and (row["strong"] != 1 or not (old or (row["name"], row["value"]) in told)):
            return str(row["name"])
    return None


def _tell_no_tokens(contents: Iterable[Content]) -> bool:
    """Whether some of these records are so old that they tell none."""
    return any(content["kind"] == "received" and "intake" not in content["data"] for content in contents)


def _connected(tx: Tx, cases: Sequence[str]) -> None:
    """Raises `Broken` for a message that nothing in the log ties to the others of its case."""
    told: defaultdict[str, list[tuple[str, Content]]] = defaultdict(list)
    named = listed(cases)
    for row in tx.all("records_that_join", cases=named):
        told[row["case_id"]].append((row["message"], parsed(row["content"])))
    runs: defaultdict[str, list[Row]] = defaultdict(list)
    for row in tx.all("runs_of_cases", cases=named):
        runs[row["case_id"]].append(row)
    for case in cases:
        loose = _loose(case, told[case], runs[case])
        if loose is not None:
            sentence = f"the message {loose} stands in the tables with the case {case}, and no record ties it to that case"
            raise Broken(Fault("table", sentence, hint=MISLED))


def _loose(case: str, told: Sequence[tuple[str, Content]], runs: Sequence[Row]) -> str | None:
    """A message of a case that hangs on none of the others; None too where records are so old that they tell no tokens."""
    if _tell_no_tokens(content for _, content in told):
        return None
    ties: defaultdict[object, list[object]] = defaultdict(list)
    for one, other in _ties(told, runs):
        ties[one].append(other)
        ties[other].append(one)
    reached, left = set[object](), list[object]([case])
    while left:
        if (node := left.pop()) not in reached:
            reached.add(node)
            left += ties[node]
    return next((message for message, _ in told if message not in reached), None)


def _ties(told: Sequence[tuple[str, Content]], runs: Sequence[Row]) -> Iterator[tuple[object, object]]:
    for row in runs:
        yield row["id"], row["message"]
        if row["entry"]:  # opened by a message that came late, for the run that had waited for it
            yield row["id"], row["entry"].rpartition(" ")[2]
    for message, content in told:
        who = message if content["kind"] == "received" else content["run"]
        if "parent" in content["data"]:
            yield who, content["data"]["parent"]
        for key in _tokens(content).items():
            yield who, key
