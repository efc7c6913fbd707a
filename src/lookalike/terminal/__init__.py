"""How words reach a person: streams that never raise, lines as wide as the terminal, tables, bars."""
