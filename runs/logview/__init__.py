"""The log of an attempt as a page."""
