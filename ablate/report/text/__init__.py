"""Reports as text: terminal, tables, captions."""
