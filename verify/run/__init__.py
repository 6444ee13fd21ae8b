"""Executors: deciding the properties of a spec in this process or in several of their own."""
