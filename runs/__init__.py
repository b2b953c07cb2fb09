"""What happens: runs are planned, executed, watched and kept."""
