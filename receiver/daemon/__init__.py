"""The control process put together: storage folder, ledger, ports, crew, taps, API; and taken apart again.

It binds every socket and owns each worker's memory, and reads neither. ``recorder`` is all that records, ``relay`` the
relay as it is seen from here, ``berths`` where sound arrives, ``sealed`` how credentials reach the next process,
``reading`` how a recording is opened for the API, ``calling`` how a hook is called, ``process`` the doors and the
signals around them.

Rule D7: SIGTERM accepts nothing new, ends all taps with ``shutdown``, waits until their recordings are in ``ready/``,
hangs up on the workers and leaves with 0 within ``stop_timeout_s``. A second signal waits for nothing but what is on
its way to the disk. What was not finished in time the next start finishes (rule C5).
"""
