"""Who may do which step: grants, duty constraints, order of steps, material facts. No I/O, no clock."""
