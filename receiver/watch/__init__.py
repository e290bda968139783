"""Looking in: what is said (log), what is counted (counters, kernel), how Prometheus is told of it (metrics), and
whether all is well (health).

Nothing here decides anything, and nothing here is told a secret (rule D9).
"""
