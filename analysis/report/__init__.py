"""The report: sections of text, tables and figures, for the terminal, Markdown and HTML."""
