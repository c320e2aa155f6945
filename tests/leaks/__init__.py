"""What is left behind: memory, cycles, frames, and the last words of what dies unfinished."""
