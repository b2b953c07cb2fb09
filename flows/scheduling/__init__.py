"""When flows start: cron expressions, due times and what becomes of each, flows that follow others, Celery beat.

Not here: starting the runs (runs.scheduling).
"""
