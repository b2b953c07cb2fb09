"""Logs of attempts: files that grow, masked and capped, read by byte or by line, and coloured text as HTML.

Not here: the page of a log (runs.pages.log).
"""
