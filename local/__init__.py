"""The whole of Referloop on one machine, for trying and developing: ``make run`` is ``python -m local``.

It starts what the Procfile names, with a Redis server and the sandbox besides, and stops all of it together.
Everything it keeps is under ``var/``: the database, the sandbox's state and ``local.json`` (the API token, readable
by its owner only). Removing ``var/`` starts afresh.
"""
