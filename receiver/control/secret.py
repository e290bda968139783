"""Paths that nobody can guess: who knows one may speak for the tap behind it. Only their digests are kept."""

import hashlib
from secrets import token_urlsafe


def fresh() -> str:
    """A new one: 24 random octets, 32 letters that any URL may hold."""
    return token_urlsafe(24)


def digest(secret: str) -> str:
    """By what it is found again, 64 hex digits."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
