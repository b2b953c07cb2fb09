"""Failures told apart by their words: the same failure is known again, counted, and has its notes.

Not here: the pages of failures (runs.pages.failures).
"""
