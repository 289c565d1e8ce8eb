"""What commands show: with colour, tables and progress where rich is installed, plain elsewhere."""
