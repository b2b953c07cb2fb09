"""Turns a flow into a run: the plan, what a rerun runs again and what it keeps, and how long work usually takes.

Not here: executing the plan (runs.engine).
"""
