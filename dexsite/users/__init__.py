"""Users and groups as administrators see them, and the forms in which passwords are changed.

Not here: logging in (flows.logins), and what roles may do (flows.access).
"""
