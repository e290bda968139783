"""HTTP, version 1: ``bodies`` come in, ``views`` go out, ``problems`` are all errors, ``guard`` knows who may ask.

Handlers decide nothing about taps: they ask ``control`` and the ledger, and put the answer into words. Ids from outside
are looked up, never made into paths (rule D10).
"""
