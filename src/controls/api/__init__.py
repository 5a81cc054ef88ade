"""The HTTP interface. Guarantees: no answer before its entry is committed, errors as RFC 9457 problems."""
