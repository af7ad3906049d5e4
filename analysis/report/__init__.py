"""The report: sections of text, tables and figures, on the terminal, in Markdown and in HTML."""
