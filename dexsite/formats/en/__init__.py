"""Of the one language that there is."""
