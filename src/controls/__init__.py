"""Asks before somebody acts: permit, review or deny with reasons, each answer recorded and provable."""
