"""Prefect tasks: each reads, makes one call into fer_core or infra, and writes."""
