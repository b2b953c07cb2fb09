"""What keeps an installation going and shows how it is: maintenance, health, metrics, retention, invariants, syncing.

Not here: moving runs forward (runs.engine).
"""
