"""The report: the papers' figures and tables from a results store, as one page that opens from disk.

`write(store, out)` reads only the store and gives the same bytes for the same store. It draws together what may be
compared (`groups`), says beside every number on which terms it stands, and lists what is missing and what brings it.
"""

from mmbench.results.report.writing import write

__all__ = ["write"]
