"""What Home shows beside failing flows: stuck runs, what comes next, the last days, the health of the parts."""
