"""What went wrong, told apart by its words: the same failure is known again, counted, and has its notes."""
