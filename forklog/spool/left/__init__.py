"""What dead processes left in a spool's folder, beside what is sent of it."""
