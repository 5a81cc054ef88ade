"""The `controls` command. Guarantees: data on stdout, words on stderr, one exit code for each kind of end."""
