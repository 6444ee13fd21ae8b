"""Keeping proofs: `verify ci` checks stored evidence and proves again what has changed."""
