"""Logging in with a password: who tried, how often, and how many passwords are checked at once. Sessions and tokens are
not here."""
