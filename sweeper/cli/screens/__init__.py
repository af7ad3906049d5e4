"""What the commands print, one subject a file."""
