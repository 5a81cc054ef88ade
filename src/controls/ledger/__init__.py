"""The ledger without its storage: canonical bytes, Merkle tree, signed checkpoints, proofs, verification."""
