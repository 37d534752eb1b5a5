"""Plan and progress of one root in SQLite: task sets, states, parts, facts. Knows no network."""
