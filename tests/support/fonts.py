"""Leave a font's rules for ligatures and kerning out of PDF files.

matplotlib sets every letter by itself and uses none of them; to cut them down to the letters of a figure takes a third
of a report's time.
"""

from __future__ import annotations

from fontTools.subset import Options

Options._drop_tables_default = [*Options._drop_tables_default, "GDEF", "GPOS", "GSUB"]
