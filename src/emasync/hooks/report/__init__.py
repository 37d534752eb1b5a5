"""``report.html``: what a root holds and how it came, as one page for people."""
