"""What there is in a process: one file for each subject; nothing is judged here."""
