"""What a user asks for, one module each. Guarantees: one transaction per request, and no HTTP."""
