"""Studies that measure nets, and reports of them with tables, plots and contact sheets."""
