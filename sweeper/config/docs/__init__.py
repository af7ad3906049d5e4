"""What the documents of the search-space file are made with: docstrings, Markdown tables, JSON schemas."""
