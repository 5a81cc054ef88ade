"""The only layer that speaks SQL: tables, one transaction per unit of work, the ledger's append and reads."""
