"""What dead processes left in a spool's folder: orphans, how they are adopted, and the rest."""
