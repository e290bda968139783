"""How asking the relay may fail: it will not, nobody knows, or it does not know us."""

from receiver.control import words


class RelayError(Exception):
    """The relay answered that it will not: ``code`` is the result's or the error's, as text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} (code {code})" if code else message)
        self.code, self.message = code, message

    @property
    def gone(self) -> bool:
        """Whether what was asked about is no more."""
        return self.code in words.GONE


class RelayAway(Exception):
    """There is no socket, or it fell, or no answer came in time: nobody knows whether the relay has heard it."""


class RelayDenied(Exception):
    """Project and token were refused."""
