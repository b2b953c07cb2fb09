"""The one room for HTML: lists, the page of a run, calendar, logs, due times, failures and alerts.

Not here: anything that the engine, alerts or services import.
"""
