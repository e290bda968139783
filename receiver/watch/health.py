"""Whether all is well: who has something to complain of, and what. ``/readyz`` says it."""


class Health:
    """Complaints, one per part of the house at a time; none means ready."""

    def __init__(self) -> None:
        self._complaints: dict[str, str] = {}

    def complain(self, part: str, why: str) -> None:
        """``part`` cannot do its work, for the reason ``why`` (a sentence for the operator)."""
        self._complaints[part] = why

    def recover(self, part: str) -> None:
        """``part`` does its work again; it need not have complained."""
        self._complaints.pop(part, None)

    @property
    def ready(self) -> bool:
        """Whether nobody complains."""
        return not self._complaints

    @property
    def complaints(self) -> dict[str, str]:
        """Part → why, in the order in which they came."""
        return dict(self._complaints)
