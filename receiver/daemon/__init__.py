"""The control process put together: storage folder, ledger, ports, crew, taps, API; and taken apart again.

It binds every socket and owns each worker's memory, and reads neither. It starts in this order, because each step needs
the one before: the folder is ours (exit 73 if not), the ledger knows what an earlier daemon left, the API answers
(``readyz``: not yet), the workers come up, rule C5 is done, every old tap has its outcome; from then on taps are
accepted.

Rule D7: SIGTERM accepts nothing new, ends all taps with ``shutdown``, waits until their recordings are in ``ready/``,
hangs up on the workers and leaves with 0 within ``stop_timeout_s``. A second signal waits for nothing but what is on
its way to the disk. What was not finished in time the next start finishes (rule C5).
"""
