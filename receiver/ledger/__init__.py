"""What was asked for and how it ended (SQLite). Written by the control process alone.

1. Each tap has exactly one outcome, and none is ever changed: the tables themselves refuse it (promise P6).
2. The audio never depends on it. If it is lost or broken it is put aside and made anew from the JSON files in
   ``spool/`` and ``ready/``: that costs history, never sound.
3. Booking the same recording again is booking it once, so a rebuild may run at any start.
"""
