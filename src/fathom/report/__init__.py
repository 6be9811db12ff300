"""Self-contained HTML reports: blocks, pages, intervals, and the composed run and comparison reports."""
