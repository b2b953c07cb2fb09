"""Tells people and programs what became of runs: channels, one message an event, sent once."""
