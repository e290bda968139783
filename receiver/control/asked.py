"""What is made of a wish before anybody is asked: ports for all its taps, or none, and the taps themselves."""

from collections.abc import Callable, Sequence
from uuid import uuid4

from receiver.control import secret, sides
from receiver.control.means import Berth, Means
from receiver.control.places import Places
from receiver.control.taps import Tap, Wish


def berths(take: Callable[[Wish], Berth], wishes: Sequence[Wish]) -> list[Berth]:
    """One for each tap. Raises `NotNow` where there are not so many; none is kept then."""
    taken: list[Berth] = []
    try:
        for wish in wishes:
            taken.append(take(wish))
    except BaseException:
        for berth in taken:
            berth.release()
        raise
    return taken


def taps(means: Means, places: Places, worker: int, wishes: Sequence[Wish], taken: Sequence[Berth]) -> list[Tap]:
    """The taps of one recording, by their channels, each in a slot of its own."""
    recording_id = str(uuid4())
    made = []
    for channel, (wish, berth) in enumerate(zip(wishes, taken, strict=True)):
        if berth.source is not None:
            wish = wish._replace(policy="exact", announced=berth.source)
        path = None if wish.own else secret.fresh()
        tap = Tap(
            id=str(uuid4()),
            recording_id=recording_id,
            worker=worker,
            slot=places.take(worker),
            port=berth.number,
            wish=wish,
            limits=means.limits.of(wish),
            requested_unix_ns=means.unix_ns(),
            since_ns=means.clock_ns(),
            uri=berth.uri,
            uri_digest=berth.uri_digest,
            secret=path,
            secret_digest=secret.digest(path) if path else None,
            channel=channel,
        )
        made.append(tap)
    sides.join(made)
    return made
