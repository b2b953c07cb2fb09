"""Starts that come by themselves: due times, flows after flows, planned starts, and what is coming next.

Not here: when a flow is due (flows.scheduling), or what the pages draw of it (runs.pages.calendar).
"""
