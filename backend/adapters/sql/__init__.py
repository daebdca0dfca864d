"""The store in SQL: a SQLite file in WAL mode by default, PostgreSQL by URL.

One file a subject, each a class over `database.Database`; `store.py` puts them together.
"""
