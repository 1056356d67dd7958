"""Speed, memory and quality, measured. `make bench` runs it all."""
