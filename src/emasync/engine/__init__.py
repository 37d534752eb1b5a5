"""Moves leased tasks: schedule, transfer, check, commit."""
